"""The subgroups in which every number is given: a pooled one alone says little."""

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

POOLED: Final = "pooled"
NOT_STATED: Final = "not stated"
AGES: Final = ("adults", "children", "age not stated")
VIEWS: Final = ("AP", "PA", NOT_STATED)
SEXES: Final = ("F", "M")


class FilmFacts(Protocol):
    """What is known of a film beside its label."""

    @property
    def source(self) -> str:
        """The data set, hospital or machine it comes from."""
        ...

    @property
    def paediatric(self) -> bool | None:
        """Whether it is a child's; None where the age is not stated."""
        ...

    @property
    def view(self) -> str:
        """Projection, e.g. ``"AP Supine"``; empty where not stated."""
        ...

    @property
    def sex(self) -> str:
        """``F``, ``M``, or anything else where not stated."""
        ...


def view_of(film: FilmFacts) -> str:
    """Name the projection: AP, PA or not stated; supine and erect AP films are AP."""
    return film.view[:2] if film.view[:2] in ("AP", "PA") else NOT_STATED


def age_of(film: FilmFacts) -> str:
    """Name the age group."""
    return {True: "children", False: "adults", None: "age not stated"}[film.paediatric]


def paediatric_sources(films: Sequence[FilmFacts]) -> tuple[str, ...]:
    """Name the sources all of whose films are of children."""
    with_others = {film.source for film in films if not film.paediatric}
    return tuple(sorted({film.source for film in films} - with_others))


def subgroups(films: Sequence[FilmFacts]) -> dict[str, NDArray[np.bool_]]:
    """Cut films into the subgroups of a report.

    Returns
    -------
    dict
        ``pooled``; ``without S`` for each purely paediatric source; ``source S``; ages; ``S, age`` for sources of mixed
        age; ``view V``; ``sex X``: each with its mask over the films. None is empty but ``pooled`` of no films.
    """
    sources = np.array([film.source for film in films], np.str_)
    ages = np.array([age_of(film) for film in films], np.str_)
    views = np.array([view_of(film) for film in films], np.str_)
    sexes = np.array([film.sex for film in films], np.str_)
    names = sorted(set(sources.tolist()))
    cut = {POOLED: np.ones(len(films), bool)}
    cut |= {f"without {source}": sources != source for source in paediatric_sources(films)}
    cut |= {f"source {source}": sources == source for source in names}
    cut |= {age: ages == age for age in AGES}
    for source in names:
        found = sorted(set(ages[sources == source].tolist()))
        cut |= {f"{source}, {age}": (sources == source) & (ages == age) for age in found if len(found) > 1}
    cut |= {f"view {view}": views == view for view in VIEWS}
    cut |= {f"sex {sex}": sexes == sex for sex in SEXES}
    return {name: where for name, where in cut.items() if where.any() or name == POOLED}
