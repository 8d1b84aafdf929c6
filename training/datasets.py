"""Films and their labels as a manifest lists them.

A manifest is a CSV with one film a row (docs/manifest.md). Columns read here: ``path`` (relative to the manifest),
``split`` (train, val, test; ``train_extra`` counts as train), ``dataset`` (the source), ``group`` (the leak-proof unit;
``patient_id`` where absent), ``age_group``, ``view``, ``sex``, ``label_quality``, ``finding``, ``licence`` and the
labels of `training.labels`.
"""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.domain.resampling import resize
from training.labels import LABEL_COLUMNS, ensemble_targets

_REQUIRED: Final = ("path", "split", "dataset")
_SPLITS: Final = ("train", "train_extra", "val", "test")
_SHOWN: Final = 10


class ManifestError(ValueError):
    """A manifest that cannot be trained on, with the rows that are wrong."""


@dataclass(frozen=True, slots=True)
class Film:
    """One row of a manifest.

    Attributes
    ----------
    path
        The image file.
    part
        ``train``, ``val`` or ``test``.
    source
        The data set it comes from.
    group
        The leak-proof unit, one patient or several joined.
    paediatric
        None where the age group is not stated.
    targets
        Fourteen values in the order of `app.domain.label_hierarchy.ENSEMBLE_LABELS`; NaN is unknown.
    noisy
        The source's labels are mined from reports and known to be noisy.
    squashed
        The file was stretched to a square by whoever copied it.
    licence
        What the source states; empty where the manifest does not say.
    patient
        The source's own identifier; empty where the manifest has none. One `group` may hold several.
    """

    path: Path
    part: str
    source: str
    group: str
    paediatric: bool | None
    view: str
    sex: str
    targets: tuple[float, ...]
    noisy: bool
    squashed: bool
    licence: str = ""
    patient: str = ""


def _film(row: dict[str, str], root: Path, squashed: bool) -> Film:
    age = row.get("age_group", "")
    part = "train" if row["split"] == "train_extra" else row["split"]
    return Film(
        path=root / row["path"],
        part=part,
        source=row["dataset"],
        group=row.get("group") or f"{row['dataset']}:{row.get('patient_id') or row['path']}",
        paediatric=True if age.startswith("paediatric") else (False if age == "adult" else None),
        view=row.get("view", ""),
        sex=row.get("sex", ""),
        targets=tuple(ensemble_targets(row)),
        noisy="noisy" in row.get("label_quality", ""),
        squashed=squashed,
        licence=row.get("licence", ""),
        patient=f"{row['dataset']}:{row['patient_id']}" if row.get("patient_id") else "",
    )


def read_manifest(manifest: Path) -> list[Film]:
    """Read the films a manifest lists.

    Parameters
    ----------
    manifest
        The CSV.

    Returns
    -------
    list of Film
        In the manifest's order.

    Raises
    ------
    ManifestError
        If a column is missing, no column is a label, or rows have an unknown part, an unreadable label or no file: the
        first ten of them are named by their line.
    """
    with manifest.open(newline="", encoding="utf-8") as handle:
        reader = csv.DictReader(handle)
        missing = [column for column in _REQUIRED if column not in (reader.fieldnames or ())]
        if missing:
            raise ManifestError(f"{manifest.name} lacks the columns {', '.join(missing)}")
        if not set(LABEL_COLUMNS) & set(reader.fieldnames or ()):
            raise ManifestError(f"{manifest.name} has no label: one of {', '.join(LABEL_COLUMNS)} expected")
        films, problems = [], []
        for number, row in enumerate(reader, start=2):
            root = manifest.parent
            squashed = row["split"] == "train_extra"
            if squashed and not (root / row["path"]).exists():
                root = root.parent
            try:
                film = _film(row, root, squashed)
            except ValueError as error:
                problems.append(f"line {number}: {error}")
                continue
            if row["split"] not in _SPLITS:
                problems.append(f"line {number}: split {row['split']!r}; one of {', '.join(_SPLITS)} expected")
            if not film.path.is_file():
                problems.append(f"line {number}: {row['path']} is not there")
            films.append(film)
    if problems:
        more = f"; {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ManifestError(f"{manifest.name}, {'; '.join(problems[:_SHOWN])}{more}")
    if not films:
        raise ManifestError(f"{manifest.name} lists no film")
    return films


def manifest_sha256(manifest: Path) -> str:
    """Hash a manifest's bytes; it lists the hash of every film."""
    return hashlib.sha256(manifest.read_bytes()).hexdigest()


def read_grey(path: Path) -> NDArray[np.uint8]:
    """Decode a raster film as 8-bit grey, ``(H, W)``."""
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


def shrunk(grey: NDArray[np.uint8], longer_side_px: int) -> NDArray[np.uint8]:
    """Shrink a film to ``longer_side_px`` if it is larger, its aspect kept."""
    longer = max(grey.shape)
    if longer > longer_side_px:
        height, width = (max(1, side * longer_side_px // longer) for side in grey.shape)
        grey = np.clip(np.rint(resize(grey, height, width)), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(grey)
