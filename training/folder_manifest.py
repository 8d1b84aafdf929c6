"""A manifest of films that lie in one folder a label, patients held apart."""

import csv
import os
import re
from pathlib import Path
from typing import Final

import numpy as np

from app.domain.label_hierarchy import PARENT_OF
from training.datasets import ManifestError
from training.labels import LABEL_COLUMNS

SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg"})
_OTHER: Final = "other"
_NO_FINDING: Final = "no_finding"


def labels_of_folder(name: str) -> dict[str, str]:
    """Read a folder's name as labels.

    Parameters
    ----------
    name
        A label that a manifest has a column for (``covid19``, ``bacterial``, …): it and all above it are 1,
        ``no_finding`` is 0. ``no_finding`` and ``other`` (abnormal, but no pneumonia): pneumonia and all below it are
        0. What a name does not decide is unknown.

    Returns
    -------
    dict
        Column to ``1``, ``0`` or ``-1``.

    Raises
    ------
    ManifestError
        If the name is none of these.
    """
    if name not in (*LABEL_COLUMNS, _OTHER):
        raise ManifestError(f"the folder {name!r} is no label; {', '.join((*LABEL_COLUMNS, _OTHER))} expected")
    if name in (_NO_FINDING, _OTHER):
        values = dict.fromkeys(LABEL_COLUMNS, "0")
        values[_NO_FINDING] = "1" if name == _NO_FINDING else "0"
        return values
    values = dict.fromkeys(LABEL_COLUMNS, "-1")
    values[_NO_FINDING] = "0"
    label: str | None = name
    while label is not None:
        values[label] = "1"
        label = PARENT_OF[label]
    return values


def write_folder_manifest(
    folder: Path,
    out: Path,
    *,
    source: str,
    patient: str = "",
    age_group: str = "",
    shares: tuple[float, float] = (0.2, 0.2),
    seed: int = 0,
) -> int:
    """Write a manifest of a folder that holds one folder a label.

    Parameters
    ----------
    folder
        Holds the labels' folders (`labels_of_folder`); films lie in them at any depth, as PNG or JPEG.
    out
        The CSV; paths in it are relative to it.
    source
        Name of the data set.
    patient
        Regular expression whose first group, searched in a file's name, is the patient; empty takes each film as one.
    age_group
        ``adult``, ``paediatric`` or empty for unknown; of all films.
    shares
        Of the patients, for validation and test.
    seed
        Of the split.

    Returns
    -------
    int
        Films written.

    Raises
    ------
    ManifestError
        If a folder is no label, a file's name has no patient, shares are out of range, or there is no film.
    """
    validating, testing = shares
    if min(shares) < 0 or validating + testing >= 1:
        raise ManifestError(f"shares of {validating:g} and {testing:g}; something must be left to train on")
    pattern = re.compile(patient) if patient else None
    if pattern is not None and not pattern.groups:
        raise ManifestError(f"the expression {patient!r} has no group that could be the patient")
    rows = []
    for label_folder in sorted(entry for entry in folder.iterdir() if entry.is_dir()):
        labels = labels_of_folder(label_folder.name)
        for path in sorted(each for each in label_folder.rglob("*") if each.suffix.lower() in SUFFIXES):
            group = f"{source}:{_patient_of(path, pattern)}"
            rows.append({"path": os.path.relpath(path, out.parent), "dataset": source, "group": group, **labels})
    if not rows:
        raise ManifestError(f"{folder} holds no PNG or JPEG in a label's folder")
    parts = _parts(sorted({row["group"] for row in rows}), validating, testing, seed)
    with out.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, ("path", "split", "dataset", "group", "age_group", *LABEL_COLUMNS))
        writer.writeheader()
        writer.writerows({**row, "split": parts[row["group"]], "age_group": age_group} for row in rows)
    return len(rows)


def _patient_of(path: Path, pattern: re.Pattern[str] | None) -> str:
    if pattern is None:
        return f"{path.parent.name}/{path.name}"
    found = pattern.search(path.name)
    if found is None:
        raise ManifestError(f"no patient in {path.name!r} by {pattern.pattern!r}")
    return found.group(1)


def _parts(groups: list[str], validating: float, testing: float, seed: int) -> dict[str, str]:
    """Draw each patient's part."""
    order = np.random.default_rng(seed).permutation(len(groups))
    val, test = round(validating * len(groups)), round(testing * len(groups))
    names = ["val"] * val + ["test"] * test + ["train"] * (len(groups) - val - test)
    return {groups[index]: name for index, name in zip(order, names, strict=True)}
