"""What the folds say: each by itself, mean and standard deviation over them, and all their films together."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.domain.label_hierarchy import ENSEMBLE_LABELS
from app.domain.patient_bootstrap import ROUNDS
from app.domain.subgroups import AGES, paediatric_sources, subgroups
from training.audit.record import Record
from training.crossval.answers import Answers, held_to_parents, targets
from training.crossval.folds import Fold
from training.datasets import Film
from training.label_metrics import LabelMetrics, Metric, label_metrics
from training.label_thresholds import label_thresholds

Values = NDArray[np.float64]
PAPER_SOURCES: Final = ("ieee8023", "kermany")
THE_PAPERS: Final = "ieee8023 and kermany"


class Spread(Record):
    """Mean and sample standard deviation over the folds where a metric is defined; null where too few are."""

    mean: float | None
    sd: float | None
    folds: int


class FoldResult(Record):
    """One fold of one network."""

    fold: int
    epoch: int
    seconds: float | None
    thresholds: dict[str, float]
    metrics: LabelMetrics


class ModelResult(Record):
    """One row of the table.

    Attributes
    ----------
    name
        An architecture, ``ensemble``, or ``source alone``.
    members
        Whose mean it is; empty for the others.
    folds
        Each with its own thresholds.
    micro, macro, labels
        Over the folds.
    pooled
        Every film once, as the fold that tested it answered, with patient-bootstrap intervals.
    subgroups
        The same for sources and ages.
    """

    name: str
    members: tuple[str, ...]
    folds: tuple[FoldResult, ...]
    micro: dict[str, Spread]
    macro: dict[str, Spread]
    labels: dict[str, dict[str, Spread]]
    pooled: LabelMetrics
    subgroups: dict[str, LabelMetrics]


class FoldFacts(Record):
    """How many films and patients a fold has in each part, and how many tested films have each label."""

    fold: int
    films: dict[str, int]
    patients: dict[str, int]
    positives: dict[str, int]


class CrossValidation(Record):
    """Everything that was measured.

    Attributes
    ----------
    recipe
        Of every architecture but for its name.
    planned_folds, folds
        How many there are, and the finished ones that are reported.
    """

    recipe: dict[str, Any]  # Any: JSON
    seed: int
    planned_folds: int
    folds: tuple[FoldFacts, ...]
    models: tuple[ModelResult, ...]
    manifests_sha256: dict[str, str]
    versions: dict[str, str]


def facts_of(fold: Fold) -> FoldFacts:
    """Count a fold's films, patients and labels."""
    parts = {"train": fold.train, "val": fold.val, "test": fold.test}
    truth = targets(fold.test)
    return FoldFacts(
        fold=fold.number + 1,
        films={part: len(films) for part, films in parts.items()},
        patients={part: len({film.group for film in films}) for part, films in parts.items()},
        positives={label: int((truth[:, k] == 1).sum()) for k, label in enumerate(ENSEMBLE_LABELS)},
    )


def evaluate_model(
    name: str, folds: Sequence[Fold], answers: Sequence[Answers], members: tuple[str, ...] = (), rounds: int = ROUNDS
) -> ModelResult:
    """Measure one network over the folds.

    Parameters
    ----------
    name, members
        Of the row.
    folds, answers
        Side by side.
    rounds
        Of the bootstrap.
    """
    results, said, cuts = [], [], []
    for fold, given in zip(folds, answers, strict=True):
        thresholds = label_thresholds(targets(fold.val), held_to_parents(given.val))
        probabilities = held_to_parents(given.test)
        metrics = label_metrics(targets(fold.test), probabilities, _groups(fold.test), ENSEMBLE_LABELS, thresholds, 0)
        results.append(
            FoldResult(
                fold=fold.number + 1,
                epoch=given.epoch,
                seconds=None if np.isnan(given.seconds) else given.seconds,
                thresholds=dict(zip(ENSEMBLE_LABELS, thresholds.tolist(), strict=True)),
                metrics=metrics,
            )
        )
        said.append(probabilities)
        cuts.append(np.broadcast_to(thresholds, probabilities.shape))
    films = [film for fold in folds for film in fold.test]
    probabilities, thresholds = np.concatenate(said), np.concatenate(cuts)

    def measure(where: NDArray[np.bool_]) -> LabelMetrics:
        chosen = [film for film, kept in zip(films, where, strict=True) if kept]
        return label_metrics(
            targets(chosen), probabilities[where], _groups(chosen), ENSEMBLE_LABELS, thresholds[where], rounds
        )

    return ModelResult(
        name=name,
        members=members,
        folds=tuple(results),
        micro=_spreads([result.metrics.micro for result in results]),
        macro=_spreads([result.metrics.macro for result in results]),
        labels={
            label: _spreads([result.metrics.labels[label].metrics for result in results]) for label in ENSEMBLE_LABELS
        },
        pooled=measure(np.ones(len(films), bool)),
        subgroups={cut: measure(where) for cut, where in cuts_of(films).items()},
    )


def cuts_of(films: Sequence[Film]) -> dict[str, NDArray[np.bool_]]:
    """Cut films by age, by source, and into the sources of papers/2 where both are there."""
    cut = subgroups(films)
    wanted = [*AGES, *(f"without {source}" for source in paediatric_sources(films))]
    chosen = {name: cut[name] for name in wanted if name in cut}
    chosen |= {name: where for name, where in cut.items() if name.startswith("source ")}
    sources = np.array([film.source for film in films])
    if set(PAPER_SOURCES) < set(sources.tolist()):
        chosen[THE_PAPERS] = np.isin(sources, PAPER_SOURCES)
    return chosen


def spread_of(values: Sequence[float | None]) -> Spread:
    """Mean and sample standard deviation of the values that are defined."""
    defined = [value for value in values if value is not None]
    return Spread(
        mean=statistics.fmean(defined) if defined else None,
        sd=statistics.stdev(defined) if len(defined) > 1 else None,
        folds=len(defined),
    )


def _spreads(folds: Sequence[Mapping[str, Metric]]) -> dict[str, Spread]:
    return {name: spread_of([metrics[name].value for metrics in folds]) for name in folds[0]}


def _groups(films: Sequence[Film]) -> NDArray[np.str_]:
    return np.array([film.group for film in films], np.str_)
