"""Films with one class each, whatever lists them: the project's manifest, a COVIDx list, or a folder per class."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.domain.label_hierarchy import ENSEMBLE_LABELS
from training.datasets import Film, ManifestError, manifest_sha256, read_manifest

CLASSES: Final = ("covid19", "normal", "pneumonia")
"""The three classes of papers/3, in their order."""
POSITIVE: Final = "covid19"
"""The class whose precision, recall, F1 and ROC are reported apart."""
PARTS: Final = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class LabelledFilm:
    """One film and its class.

    Attributes
    ----------
    path
        The image file.
    part
        ``train``, ``val`` or ``test``; empty where the list has no split.
    group
        The leak-proof unit: one patient, or the file itself where nothing says whose it is.
    source
        The data set it comes from; empty where nothing says so.
    label
        Index of its class.
    paediatric
        None where the age group is not stated.
    licence, view, sex
        What the list states; empty where it does not.
    """

    path: Path
    part: str
    group: str
    source: str
    label: int
    paediatric: bool | None = None
    licence: str = ""
    view: str = ""
    sex: str = ""


@dataclass(frozen=True, slots=True)
class FilmSet:
    """Films of one or several lists.

    Attributes
    ----------
    classes
        Names, in the order of the network's outputs.
    films
        Those that have a class.
    left_out
        Films without a class among these, or of which it is not known.
    sha256
        Hash of every list by its name.
    """

    classes: tuple[str, ...]
    films: tuple[LabelledFilm, ...]
    left_out: int
    sha256: dict[str, str]

    def counts(self) -> dict[str, int]:
        """Films of each class."""
        found = Counter(film.label for film in self.films)
        return {name: found[index] for index, name in enumerate(self.classes)}


def class_of(film: Film) -> str | None:
    """Give a manifest row's class of the three.

    COVID-19 is ``covid19`` 1; pneumonia is ``pneumonia`` 1 where ``covid19`` is 0; normal is ``no_finding`` 1 with
    neither. Everything else, and whatever is not known, has no class here.
    """
    value = dict(zip(ENSEMBLE_LABELS, film.targets, strict=True))
    if value["covid19"] == 1:
        return "covid19"
    if value["covid19"] != 0:
        return None
    if value["pneumonia"] == 1:
        return "pneumonia"
    return "normal" if value["pneumonia"] == 0 and value["no_finding"] == 1 else None


def from_manifest(manifest: Path) -> FilmSet:
    """Read the project's manifest (docs/training.md) as films of the three classes.

    Raises
    ------
    ManifestError
        If it cannot be read, or no film of it has a class.
    """
    films = read_manifest(manifest)
    kept = [_labelled(film, name) for film in films if (name := class_of(film)) is not None]
    if not kept:
        raise ManifestError(f"{manifest.name}: none of {len(films)} films is {', '.join(CLASSES)}")
    return FilmSet(CLASSES, tuple(kept), len(films) - len(kept), {list_name(manifest): manifest_sha256(manifest)})


def _labelled(film: Film, name: str) -> LabelledFilm:
    return LabelledFilm(
        film.path,
        film.part,
        film.group,
        film.source,
        CLASSES.index(name),
        film.paediatric,
        licence=film.licence,
        view=film.view,
        sex=film.sex,
    )


def list_name(path: Path) -> str:
    """Name a list by its folder and file: several are called alike."""
    return f"{path.resolve().parent.name}/{path.name}"


def joined(sets: Sequence[FilmSet]) -> FilmSet:
    """Put several lists together.

    Raises
    ------
    ManifestError
        If there is none, they have other classes, or a file stands in two of them.
    """
    if not sets:
        raise ManifestError("there is no list of films")
    if any(each.classes != sets[0].classes for each in sets):
        raise ManifestError(f"lists of other classes: {' and '.join(sorted({', '.join(s.classes) for s in sets}))}")
    films = tuple(film for each in sets for film in each.films)
    files = Counter(film.path.resolve() for film in films)
    twice = [path.name for path, count in files.items() if count > 1]
    if twice:
        raise ManifestError(f"{len(twice)} files stand in two lists: {', '.join(sorted(twice)[:5])}")
    hashes = {name: value for each in sets for name, value in each.sha256.items()}
    return FilmSet(sets[0].classes, films, sum(each.left_out for each in sets), hashes)
