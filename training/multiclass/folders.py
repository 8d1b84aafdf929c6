"""A data set as a folder per class, with or without a folder per part above them (HAM10000 arranged by diagnosis)."""

import csv
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from training.datasets import ManifestError
from training.multiclass.films import FilmSet, LabelledFilm, list_name

_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg"})
_PARTS: Final = {"train": "train", "val": "val", "validation": "val", "test": "test"}
_FILE_COLUMNS: Final = ("image_id", "file", "filename", "path")
_GROUP_COLUMNS: Final = ("group", "patient_id", "lesion_id")


def from_folders(root: Path, metadata: Path | None = None) -> FilmSet:
    """Read a folder per class: ``root/CLASS/FILE``, or ``root/PART/CLASS/FILE`` with train, val(idation) and test.

    Parameters
    ----------
    root
        The data set. Class names are those of the folders, in alphabetical order.
    metadata
        CSV that says which files belong together: a column ``image_id`` (or ``file``, ``filename``, ``path``) with the
        file's name, with or without suffix, and a column ``group`` (or ``patient_id``, ``lesion_id``). Without it every
        file is a group of its own, and nothing keeps two films of one patient in one part.

    Raises
    ------
    ManifestError
        If there are fewer than two classes, a class is empty, parts have other classes, or a file has no group.
    """
    if not root.is_dir():
        raise ManifestError(f"there is no folder {root}")
    folders = _subfolders(root)
    parts = {folder: _PARTS[folder.name.lower()] for folder in folders if folder.name.lower() in _PARTS}
    if parts and len(parts) != len(folders):
        odd = sorted(folder.name for folder in folders if folder not in parts)
        raise ManifestError(f"{root.name} holds parts and {', '.join(odd)}: parts of classes, or classes, expected")
    tops = parts or {root: ""}
    names = {top: [folder.name for folder in _subfolders(top)] for top in tops}
    classes = tuple(sorted({name for each in names.values() for name in each}))
    if len(classes) < 2:
        raise ManifestError(f"{root.name} holds {len(classes)} classes; a folder for each of two or more expected")
    for top, found in names.items():
        if lacking := set(classes) - set(found):
            raise ManifestError(f"{top.name} has no folder {', '.join(sorted(lacking))}, other parts have")
    groups = _groups(metadata) if metadata is not None else None
    films = [
        LabelledFilm(path, part, _group_of(path, root, groups), root.name, label)
        for top, part in tops.items()
        for label, name in enumerate(classes)
        for path in _images(top / name)
    ]
    listing = "\n".join(f"{film.path.relative_to(root)} {film.path.stat().st_size}" for film in films)
    hashes = {list_name(root): hashlib.sha256(listing.encode()).hexdigest()}
    return FilmSet(classes, tuple(films), 0, hashes)


def _subfolders(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))


def _images(folder: Path) -> list[Path]:
    found = sorted(each for each in folder.iterdir() if each.suffix.lower() in _SUFFIXES)
    if not found:
        raise ManifestError(f"{folder.parent.name}/{folder.name} holds no PNG or JPEG file")
    return found


def _group_of(path: Path, root: Path, groups: Mapping[str, str] | None) -> str:
    if groups is None:
        return str(path.relative_to(root))
    found = groups.get(path.name, groups.get(path.stem))
    if found is None:
        raise ManifestError(f"the metadata say nothing of {path.relative_to(root)}")
    return found


def _groups(metadata: Path) -> dict[str, str]:
    """Read which group every file is of."""
    with metadata.open(newline="", encoding="utf-8-sig") as handle:
        reader = csv.DictReader(handle)
        columns = reader.fieldnames or ()
        file, group = _column(metadata, columns, _FILE_COLUMNS), _column(metadata, columns, _GROUP_COLUMNS)
        return {Path(row[file]).name: row[group] for row in reader}


def _column(metadata: Path, there: Iterable[str], wanted: tuple[str, ...]) -> str:
    found = next((name for name in wanted if name in there), None)
    if found is None:
        raise ManifestError(f"{metadata.name} has no column {' or '.join(wanted)}")
    return found
