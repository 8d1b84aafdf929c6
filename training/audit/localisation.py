"""Do the maps point at what radiologists drew? Hit rate, energy inside and overlap, for every method side by side."""

from collections.abc import Iterator, Sequence
from typing import Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict
from torch import nn
from tqdm import tqdm

from app.domain.errors import ImageRefusedError
from app.domain.preprocessing import InputSpecification
from training.audit.estimates import Estimated, PatientDraws, Values
from training.audit.expert_pair import Expert, FilmMaps, FindsLungs, film_maps, network_expert
from training.audit.map_methods import ALPHAS, LUNG_MASK, MapMethod, map_methods
from training.audit.marked_films import MarkedFilm
from training.audit.pointing import Pointing, mean_pointing, point

TOGETHER: Final = "all parts"
Subset = Literal["all films", "both positive", "interest positive", "overlap positive"]
SUBSETS: Final[tuple[Subset, ...]] = ("all films", "both positive", "interest positive", "overlap positive")
MEASURES: Final = ("hit", "energy", "iou")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MethodResult(_Part):
    """One method over the films of one table.

    ``direction`` is the expert it speaks for, null for a prior; ``flat`` counts its flat maps, which are misses.
    """

    method: str
    direction: str | None
    hit: Estimated
    energy: Estimated
    iou: Estimated
    flat: int


class Gain(_Part):
    """How much more one method has than another, film by film over the same draws of patients."""

    method: str
    against: str
    hit: Estimated
    energy: Estimated
    iou: Estimated


class LocalisationTable(_Part):
    """One kind of drawing, one part, one choice of films.

    ``marked_share`` is the mean share of the film inside the drawing: the energy of a map that is everywhere the same.
    """

    kind: str
    part: str
    subset: Subset
    films: int
    patients: int
    marked_share: float | None
    rows: tuple[MethodResult, ...]
    gains: tuple[Gain, ...]

    def row(self, method: str) -> MethodResult:
        """Give the row of a method by its name."""
        return next(row for row in self.rows if row.method == method)


class LocalisationReport(_Part):
    """Everything measured for one pair of experts, as ``report.json`` keeps it."""

    interest: str
    overlap: str
    alphas: tuple[float, ...]
    parts: tuple[str, ...]
    has_lungs_model: bool
    refused: int
    notes: tuple[str, ...]
    tables: tuple[LocalisationTable, ...]

    def table(self, kind: str, part: str = TOGETHER, subset: Subset = "all films") -> LocalisationTable:
        """Give one table; KeyError if it was not measured."""
        for table in self.tables:
            if (table.kind, table.part, table.subset) == (kind, part, subset):
                return table
        raise KeyError((kind, part, subset))


class MeasuredFilm:
    """One film's maps against its drawing, every method."""

    def __init__(self, film: MarkedFilm, maps: FilmMaps, methods: Sequence[MapMethod]) -> None:
        self.kind, self.part, self.group = film.kind, film.part, film.group
        self.marked_share = float(film.mask.mean())
        self.positive = maps.positive
        self.pointings: dict[str, Pointing] = {}
        for method in methods:
            heats = method.heats(maps)
            if heats:
                self.pointings[method.name] = mean_pointing([point(heat, film.mask) for heat in heats])

    def belongs_to(self, subset: Subset) -> bool:
        """Say whether the film is in a subset."""
        interest, overlap = self.positive
        chosen: dict[Subset, bool] = {
            "all films": True,
            "both positive": interest and overlap,
            "interest positive": interest,
            "overlap positive": overlap,
        }
        return chosen[subset]


def measure_localisation(
    interest: Expert,
    overlap: Expert,
    films: Sequence[MarkedFilm],
    lungs: FindsLungs | None = None,
    alphas: tuple[float, ...] = ALPHAS,
) -> LocalisationReport:
    """Compare every map of two experts, and the priors, with what was drawn on films.

    Parameters
    ----------
    interest, overlap
        The experts of the class of interest and of the overlapping class.
    films
        Whose parts may be read: whoever calls decides.
    lungs
        Finds the lungs. Without it the lung mask is missing from the tables, and the notes say so.
    alphas
        Amplifications.

    Returns
    -------
    LocalisationReport
        A table for each kind of drawing, part (and all together) and subset.

    Notes
    -----
    A hit is a maximum, over the film's own pixels, inside the drawing; where the map is at its top over an area, the
    deepest pixel of the area is taken, and where several areas share the top, their mean. Flat maps miss.
    """
    methods = map_methods(interest.name, overlap.name, alphas)
    measured = measure_films(interest, overlap, films, lungs, methods)
    return LocalisationReport(
        interest=interest.name,
        overlap=overlap.name,
        alphas=alphas,
        parts=tuple(sorted({film.part for film in films})),
        has_lungs_model=lungs is not None,
        refused=len(films) - len(measured),
        notes=_notes(films, lungs),
        tables=tuple(localisation_tables(measured, methods)),
    )


def measure_films(
    interest: Expert,
    overlap: Expert,
    films: Sequence[MarkedFilm],
    lungs: FindsLungs | None,
    methods: Sequence[MapMethod],
) -> list[MeasuredFilm]:
    """Run both experts on every film and measure every method; films that serving refuses are left out."""
    measured = []
    for seed, film in enumerate(tqdm(films, desc="reading maps", unit="film", leave=False, disable=not films)):
        try:
            maps = film_maps(interest, overlap, film.grey, lungs, seed)
        except ImageRefusedError:
            continue
        measured.append(MeasuredFilm(film, maps, methods))
    return measured


def localise_networks(
    interest: nn.Module,
    overlap: nn.Module,
    specification: InputSpecification,
    films: Sequence[MarkedFilm],
    lungs: FindsLungs | None,
    *,
    names: tuple[str, str] = ("covid19", "pneumonia"),
    positive_from: tuple[float, float] = (0.0, 0.0),
) -> LocalisationReport:
    """Compare the maps of two networks that are still in training.

    Parameters
    ----------
    interest, overlap
        As made by `training.networks.build_network` with two outputs.
    specification
        How both are fed.
    films, lungs
        As in `measure_localisation`.
    names
        Of the classes.
    positive_from
        Margins, logit 1 minus logit 0, at and above which each says positive.
    """
    first, second = (
        network_expert(network, specification, name, margin)
        for network, name, margin in zip((interest, overlap), names, positive_from, strict=True)
    )
    return measure_localisation(first, second, films, lungs)


def _notes(films: Sequence[MarkedFilm], lungs: FindsLungs | None) -> tuple[str, ...]:
    notes = ["no expert was trained on masks or boxes"]
    if any(film.part == "train" for film in films):
        notes.append("films of part train were seen in training, with their labels")
    if lungs is None:
        notes.append(f"no lungs model was given: the row {LUNG_MASK!r} is missing")
    return tuple(notes)


def localisation_tables(measured: Sequence[MeasuredFilm], methods: Sequence[MapMethod]) -> Iterator[LocalisationTable]:
    """Average measured films, of one pair of experts or of several seeds of it, by kind, part and subset."""
    for kind in sorted({film.kind for film in measured}):
        of_kind = [film for film in measured if film.kind == kind]
        parts = sorted({film.part for film in of_kind})
        for part in (TOGETHER, *(parts if len(parts) > 1 else ())):
            in_part = of_kind if part == TOGETHER else [film for film in of_kind if film.part == part]
            for subset in SUBSETS:
                chosen = [film for film in in_part if film.belongs_to(subset)]
                yield _table(kind, part, subset, chosen, methods)


def _table(
    kind: str, part: str, subset: Subset, films: Sequence[MeasuredFilm], methods: Sequence[MapMethod]
) -> LocalisationTable:
    draws = PatientDraws([film.group for film in films])
    served = [method for method in methods if all(method.name in film.pointings for film in films)]
    columns = {method.name: {name: _column(films, method.name, name) for name in MEASURES} for method in served}
    rows = tuple(
        MethodResult(
            method=method.name,
            direction=method.direction,
            flat=sum(film.pointings[method.name].flat for film in films),
            **{name: draws.mean(values, is_share=name == "hit") for name, values in columns[method.name].items()},
        )
        for method in (served if films else ())
    )
    gains = tuple(
        Gain(
            method=method.name,
            against=method.against,
            **{
                name: draws.difference(values, columns[method.against][name])
                for name, values in columns[method.name].items()
            },
        )
        for method in (served if films else ())
        if method.against is not None
    )
    return LocalisationTable(
        kind=kind,
        part=part,
        subset=subset,
        films=draws.films,
        patients=draws.patients,
        marked_share=round(float(np.mean([film.marked_share for film in films])), 4) if films else None,
        rows=rows,
        gains=gains,
    )


def _column(films: Sequence[MeasuredFilm], method: str, measure: str) -> Values:
    """One measure of one method, ``(N,)``."""
    return np.array([getattr(film.pointings[method], measure) for film in films], np.float64)
