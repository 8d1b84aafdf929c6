"""The label lists of COVIDx: ``train_COVIDx*.txt`` and ``test_COVIDx*.txt``, one film a line, no header.

A line is ``patient_id filename class`` or ``patient_id filename class source``, parted by white space; a file name may
hold spaces, so that the class is looked for from the right.
"""

from pathlib import Path
from typing import Final

from training.datasets import ManifestError, manifest_sha256
from training.multiclass.films import CLASSES, FilmSet, LabelledFilm, list_name

_CLASS_OF: Final = {"covid-19": "covid19", "normal": "normal", "pneumonia": "pneumonia"}
_BINARY: Final = frozenset({"positive", "negative"})
_SHORTEST: Final = 3


def from_covidx(labels: Path, images: Path | None = None) -> FilmSet:
    """Read one list.

    Parameters
    ----------
    labels
        The text file. Its films are part ``train`` if the name begins with ``train``, ``test`` if with ``test``, and
        without a part otherwise.
    images
        Folder of the files; the list's own where none is given. A folder ``train`` or ``test`` in it is searched too.

    Raises
    ------
    ManifestError
        Naming the line, if it cannot be read, its file is absent, or a patient id means nothing.
    """
    folder = labels.parent if images is None else images
    part = next((name for name in ("train", "test") if labels.name.lower().startswith(name)), "")
    folders = [folder, *([folder / part] if part else [])]
    films = []
    for number, line in enumerate(labels.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            patient, file, name, source = _fields(line)
        except ValueError as error:
            raise ManifestError(f"{labels.name}, line {number}: {error}") from error
        path = next((each / file for each in folders if (each / file).is_file()), None)
        if path is None:
            raise ManifestError(f"{labels.name}, line {number}: {file} is not in {' or '.join(map(str, folders))}")
        films.append(LabelledFilm(path, part, f"{source or 'covidx'}:{patient}", source, CLASSES.index(name)))
    if not films:
        raise ManifestError(f"{labels.name} lists no film")
    return FilmSet(CLASSES, tuple(films), 0, {list_name(labels): manifest_sha256(labels)})


def _fields(line: str) -> tuple[str, str, str, str]:
    """Part a line into patient, file, class and source."""
    words = line.split()
    if len(words) < _SHORTEST:
        raise ValueError(f"{len(words)} words; patient_id filename class [source] expected")
    for place in (len(words) - 1, len(words) - 2):
        word = words[place].lower()
        if word in _CLASS_OF and place >= 2:
            source = words[place + 1] if place + 1 < len(words) else ""
            return words[0], " ".join(words[1:place]), _CLASS_OF[word], source
        if word in _BINARY and place >= 2:
            raise ValueError(f"class {words[place]!r}: a list of two classes; one of {', '.join(_CLASS_OF)} expected")
    raise ValueError(f"no class of {', '.join(_CLASS_OF)} at its end")
