"""Tables over trained region networks, in the shape of the paper's: means over seeds, patients' intervals."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from training.bootstrap import ROUNDS, Values, interval, patient_weights, weighted_auroc
from training.label_metrics import label_counts, metrics_of
from training.regions.measuring import MeasuredFilm, MeasuredRun

BASELINE: Final = "baseline"
"""Row of the plain classifiers: no outline shown."""
_TWO: Final = 2
_METRIC_ROWS: Final = {"precision": 0, "sensitivity": 1, "specificity": 3, "f1": 2}
"""Row of `training.label_metrics.metrics_of` by the name of the column."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cell(_Part):
    """One number: the mean over seeds, their standard deviation, and a 95 % interval that resamples patients.

    The interval is of the mean over these very networks: it says how far the films decide, the deviation how far the
    seeds do. All null where nothing could be measured.
    """

    value: float | None
    deviation: float | None = None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        """Give it as ``0.31 ± 0.02 (0.20-0.42)``."""
        if self.value is None:
            return "-"
        spread = f" ± {self.deviation:.2f}" if self.deviation is not None else ""
        return f"{self.value:.2f}{spread}" + (
            f" ({self.low:.2f} to {self.high:.2f})" if self.low is not None and self.high is not None else ""
        )


class RegionRow(_Part):
    """One way to train, over its seeds; ``gains`` are differences from the plain classifiers on the same draws."""

    row: str
    seeds: tuple[int, ...]
    outlines_shown: float
    films: int
    outlined: int
    cells: dict[str, Cell]
    gains: dict[str, Cell]


class RegionTable(_Part):
    """Rows of one experiment, measured on one part."""

    name: str
    part: str
    rows: tuple[RegionRow, ...]


Column = Callable[[Sequence[MeasuredFilm], Values], Values]
"""Films of one network and the weights ``(R, N)`` of some rounds to the rounds' metric, ``(R,)``; NaN undefined."""


def _classes(metric: str) -> Column:
    """Mean over the classes, each against the rest, of the class with the highest logit."""

    def of(films: Sequence[MeasuredFilm], weights: Values) -> Values:
        logits = np.array([film.logits for film in films])
        truth = np.eye(logits.shape[1])[[film.label for film in films]]
        said = np.eye(logits.shape[1])[logits.argmax(axis=1)]
        counts = label_counts(truth, said, np.full(logits.shape[1], 0.5), weights)
        return _mean_of_defined(metrics_of(counts)[_METRIC_ROWS[metric]])

    return of


def _accuracy(films: Sequence[MeasuredFilm], weights: Values) -> Values:
    right = np.array([float(np.argmax(film.logits) == film.label) for film in films])
    return _weighted_mean(right, weights)


def _auroc(films: Sequence[MeasuredFilm], weights: Values) -> Values:
    """Of the second class of two, else the mean of each against the rest."""
    logits, labels = np.array([film.logits for film in films]), np.array([film.label for film in films])
    if logits.shape[1] == _TWO:
        return weighted_auroc(labels == 1, logits[:, 1] - logits[:, 0], weights)
    each = [weighted_auroc(labels == k, logits[:, k], weights) for k in range(logits.shape[1])]
    return _mean_of_defined(np.stack(each, axis=1))


def _mean_of_defined(values: Values) -> Values:
    """Mean over the last axis of what is defined; NaN where nothing is."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=-1)
    mean: Values = np.divide(total, known.sum(axis=-1), out=np.full_like(total, np.nan), where=known.any(axis=-1))
    return mean


def _of_films(value: Callable[[MeasuredFilm], float | None]) -> Column:
    """Mean over the films that have a value."""

    def of(films: Sequence[MeasuredFilm], weights: Values) -> Values:
        found = [value(film) for film in films]
        known = np.array([each is not None for each in found])
        values = np.array([each if each is not None else 0.0 for each in found], np.float64)
        return _weighted_mean(values[known], weights[:, known])

    return of


def _weighted_mean(values: Values, weights: Values) -> Values:
    total = weights.sum(axis=1)
    mean: Values = np.divide(weights @ values, total, out=np.full_like(total, np.nan), where=total > 0)
    return mean


def _outline(name: str) -> Column:
    return _of_films(lambda film: None if film.outline is None else float(getattr(film.outline, name)))


def _part(name: str) -> Column:
    return _of_films(lambda film: None if film.part is None else float(getattr(film.part, name)))


def _if_outlined(value: Callable[[MeasuredFilm], float | None]) -> Column:
    return _of_films(lambda film: None if film.outline is None else value(film))


COLUMNS: Final[dict[str, Column]] = {
    **{name: _classes(name) for name in _METRIC_ROWS},
    "accuracy": _accuracy,
    "auroc": _auroc,
    "region_iou": _outline("region_iou"),
    "region_nothing": _if_outlined(lambda film: float(bool(film.flags))),
    "region_empty_if_clear": _of_films(lambda film: float("empty_region" in film.flags) if film.is_clear else None),
    "outline_share": _outline("share"),
    "map_hit": _outline("map_hit"),
    "map_energy": _outline("map_energy"),
    "map_iou": _outline("map_iou"),
    "part_share": _part("share"),
    "map_hit_part": _part("map_hit"),
    "map_energy_part": _part("map_energy"),
    "map_entropy": _of_films(lambda film: film.map_entropy),
    "agreement_iou": _if_outlined(lambda film: film.agreement_iou),
    "agreement_energy": _if_outlined(lambda film: film.agreement_energy),
    "agreement_correlation": _if_outlined(lambda film: film.agreement_correlation),
}
"""Columns by name. ``region_nothing``: share of outlined films whose region is flagged empty or saturated."""
OF_REGIONS: Final = frozenset(
    {
        "region_iou",
        "region_nothing",
        "region_empty_if_clear",
        *(name for name in COLUMNS if name.startswith("agreement")),
    }
)
"""Columns that a plain classifier has no value in: nothing trained its saliency prediction network."""


def region_table(name: str, runs: Sequence[MeasuredRun], rounds: int = ROUNDS) -> RegionTable:
    """Average runs by row, seeds side by side.

    Parameters
    ----------
    name
        Of the experiment.
    runs
        On the same films in the same order.
    rounds
        Of resampling.

    Raises
    ------
    ValueError
        If there is no run, or they were measured on other films.
    """
    if not runs:
        raise ValueError("no run was measured")
    films = [(film.group, film.label) for film in runs[0].films]
    if any([(film.group, film.label) for film in run.films] != films for run in runs):
        raise ValueError("the runs were measured on different films")
    groups = np.array([group for group, _ in films])
    weights = patient_weights(groups, rounds)
    names = list(dict.fromkeys(run.row for run in runs))
    by_row = {row: [run for run in runs if run.row == row] for row in names}
    drawn = {row: _draws(each, weights) for row, each in by_row.items()}
    patients = len(set(groups.tolist()))
    rows = []
    for row, each in by_row.items():
        cells, gains = {}, {}
        for column in COLUMNS:
            if row.endswith(BASELINE) and column in OF_REGIONS:
                cells[column] = Cell(value=None)
                continue
            cells[column] = _cell(drawn[row][column], patients)
            against = next((other for other in names if other.endswith(BASELINE)), None)
            if against is not None and against != row and column not in OF_REGIONS:
                gain = drawn[row][column].mean(axis=0) - drawn[against][column].mean(axis=0)
                gains[column] = _cell(gain[None], patients)
        rows.append(
            RegionRow(
                row=row,
                seeds=tuple(run.seed for run in each),
                outlines_shown=float(np.mean([run.outlines_shown for run in each])),
                films=len(films),
                outlined=sum(film.outline is not None for film in each[0].films),
                cells=cells,
                gains=gains,
            )
        )
    return RegionTable(name=name, part=runs[0].part, rows=tuple(rows))


def _draws(runs: Sequence[MeasuredRun], weights: Values) -> dict[str, NDArray[np.float64]]:
    """Every column of every seed, ``(seeds, 1 + rounds)``: all films first, then the rounds."""
    rounds = np.concatenate([np.ones((1, weights.shape[1])), weights])
    return {name: np.stack([column(run.films, rounds) for run in runs]) for name, column in COLUMNS.items()}


def _cell(draws: NDArray[np.float64], patients: int) -> Cell:
    points = draws[:, 0]
    if np.isnan(points).any():
        return Cell(value=None)
    bounds = interval(draws[:, 1:].mean(axis=0), patients)
    low, high = bounds if bounds is not None else (None, None)
    return Cell(
        value=float(points.mean()),
        deviation=float(points.std(ddof=1)) if len(points) > 1 else None,
        low=low,
        high=high,
    )
