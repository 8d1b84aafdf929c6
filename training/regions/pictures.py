"""Pictures in folders by class with masks beside them, as public data sets of outlined objects come.

``FOLDER/<class>/<name>.png`` with ``<name>_mask.png`` (and ``_mask_1.png``, …, united) beside it, as BUSI has it; or
the masks in a tree of their own, ``MASKS/<class>/<name>.png``, as CUB-200 has its segmentations. A picture without a
mask has no outline.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.domain.preprocessing import InputSpecification, to_network_input
from app.domain.radiograph import Provenance, Radiograph
from training.datasets import ManifestError, read_grey, shrunk
from training.loading import LoadedFilm
from training.regions.examples import CACHE_FACTOR, MeasuredExample, RegionData, TrainingExample
from training.regions.outlines import Mask

SHARES: Final = {"train": 0.8, "val": 0.1, "test": 0.1}
"""Of each class, as papers/4 has them."""
_FORMATS: Final = (".png", ".jpg", ".jpeg", ".bmp")
_MASK: Final = "_mask"


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture, its class, the files of its masks (none where nothing was outlined), and its part."""

    path: Path
    label: str
    masks: tuple[Path, ...]
    part: str


def read_picture_folder(folder: Path, masks: Path | None = None, classes: Sequence[str] = ()) -> list[Picture]:
    """List the pictures of a folder.

    Parameters
    ----------
    folder
        One folder a class.
    masks
        A tree of masks; None looks beside the pictures.
    classes
        Which classes, in their order; empty takes all, by name.

    Returns
    -------
    list of Picture
        Class by class. Parts are chosen by the pictures' names alone, so that they are the same on every machine.

    Raises
    ------
    ManifestError
        If a class has no folder, or fewer pictures than parts.
    """
    names = list(classes) or sorted(each.name for each in folder.iterdir() if each.is_dir())
    pictures = []
    for name in names:
        if not (folder / name).is_dir():
            raise ManifestError(f"{folder} has no folder {name!r}")
        files = sorted(each for each in (folder / name).iterdir() if each.suffix.lower() in _FORMATS)
        shown = [each for each in files if _MASK not in each.stem]
        if len(shown) < len(SHARES):
            raise ManifestError(f"{folder / name} holds {len(shown)} pictures; {len(SHARES)} at least are needed")
        parts = _parts(shown)
        for path in shown:
            if masks is None:
                found = tuple(each for each in files if each.stem.startswith(f"{path.stem}{_MASK}"))
            else:
                found = tuple(each for each in [(masks / name / path.name).with_suffix(".png")] if each.is_file())
            pictures.append(Picture(path, name, found, parts[path]))
    return pictures


def _parts(paths: Sequence[Path]) -> dict[Path, str]:
    """Share the pictures of one class out, at least one to each part."""
    ordered = sorted(paths, key=lambda path: hashlib.sha256(path.name.encode()).digest())
    held_out = {part: max(1, round(SHARES[part] * len(ordered))) for part in ("val", "test")}
    names = ["val"] * held_out["val"] + ["test"] * held_out["test"]
    return {path: names[position] if position < len(names) else "train" for position, path in enumerate(ordered)}


def load_pictures(pictures: Sequence[Picture], specification: InputSpecification) -> RegionData:
    """Read pictures, as grey, and their outlines.

    Parameters
    ----------
    pictures
        As `read_picture_folder` lists them.
    specification
        The network's input: pictures are scaled and padded, never stretched.
    """
    classes = tuple(dict.fromkeys(picture.label for picture in pictures))
    single = replace(specification, channels=1, mean=(0.0,), std=(1.0,))
    train: list[TrainingExample] = []
    measured: dict[str, list[MeasuredExample]] = {"val": [], "test": []}
    for picture in pictures:
        grey, outline = read_grey(picture.path), _outline(picture)
        label, group = classes.index(picture.label), f"{picture.label}/{picture.path.stem}"
        if picture.part == "train":
            loaded = LoadedFilm(shrunk(grey, int(CACHE_FACTOR * specification.size_px)), None)
            train.append(TrainingExample(loaded, _shrunk(outline, loaded.grey.shape), label, group, ""))
            continue
        radiograph = Radiograph(grey, Provenance("png", ""))
        films, placement = to_network_input(radiograph, single)
        measured[picture.part].append(MeasuredExample(films[0, 0], placement, outline, None, False, label, group))
    return RegionData(classes, train, measured["val"], measured["test"])


def _outline(picture: Picture) -> Mask | None:
    united: Mask | None = None
    for path in picture.masks:
        with Image.open(path) as image:
            mask = np.asarray(image.convert("L")) > 127
        if mask.shape != read_grey(picture.path).shape:
            raise ManifestError(f"{path.name} has another size than its picture")
        united = mask if united is None else united | mask
    return united


def _shrunk(outline: Mask | None, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    if outline is None:
        return None
    size = (shape[1], shape[0])
    return cv2.resize(outline.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
