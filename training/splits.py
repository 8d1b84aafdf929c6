"""Patient groups never cross from one part of the data to another."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from training.datasets import Film

PARTS: Final = ("train", "val", "test")


class SplitError(ValueError):
    """A patient group stands in two parts, or a part is unknown or empty."""


def check_groups(films: Iterable[Film]) -> None:
    """Fail if a group has films in more than one part.

    Parameters
    ----------
    films
        All films of the run, every part.

    Raises
    ------
    SplitError
        Naming up to five of the groups that cross.
    """
    parts: dict[str, set[str]] = defaultdict(set)
    for film in films:
        if film.part not in PARTS:
            raise SplitError(f"{film.path.name} is in part {film.part!r}; one of {', '.join(PARTS)} expected")
        parts[film.group].add(film.part)
    crossing = sorted(group for group, where in parts.items() if len(where) > 1)
    if crossing:
        raise SplitError(f"{len(crossing)} patient groups are in more than one part: {', '.join(crossing[:5])}")
