"""How well a network tells several classes apart: macro F1, macro AUROC, each class, by subgroup, with intervals."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.discrimination import roc_curve
from app.domain.multiclass import class_probabilities
from app.domain.subgroups import subgroups
from training.audit.record import Record
from training.bootstrap import ROUNDS, Sample
from training.label_metrics import Metric, label_metrics
from training.multiclass.films import LabelledFilm

Values = NDArray[np.float64]
TARGET_SENSITIVITIES: Final = (0.90, 0.95)
_ROC_POINTS: Final = 200
_SLOPES: Final = (0.05, 20.0)
_STEPS: Final = 100


class ClassesResult(Record):
    """One subgroup.

    Attributes
    ----------
    films, patients
        How many.
    accuracy, macro_f1, macro_auroc
        Over the classes; a class without films is in no average.
    classes
        Precision, recall, F1, specificity and AUROC (against all other classes) of each.
    confusion
        Films by true class (row) and predicted class (column).
    """

    films: int
    patients: int
    accuracy: Metric
    macro_f1: Metric
    macro_auroc: Metric
    classes: dict[str, dict[str, Metric]]
    confusion: tuple[tuple[int, ...], ...]


class Point(Record):
    """One way to call a film positive: from a share on, or because the class is the most probable (no threshold).

    Thresholds are chosen on validation; sensitivity and specificity are measured on the films of the report.
    """

    name: str
    threshold: float | None
    sensitivity: Metric
    specificity: Metric


class Roc(Record):
    """ROC curve of one class against all others: shares of false and of true positives."""

    false_positive_share: tuple[float, ...]
    sensitivity: tuple[float, ...]


class ClassesReport(Record):
    """A network on some films.

    Attributes
    ----------
    positive
        The class that is binarised.
    slope
        What the logits are multiplied by before the softmax, fitted on validation.
    subgroups
        By `app.domain.subgroups`; ``pooled`` is never to be quoted alone.
    source_alone
        Pooled, if every film were said to be what most training films of its source are: no pixel is looked at.
    points, roc
        Of the positive class; None where a class is empty.
    """

    classes: tuple[str, ...]
    positive: str
    slope: float
    subgroups: dict[str, ClassesResult]
    source_alone: ClassesResult | None
    points: tuple[Point, ...]
    roc: Roc | None


def fitted_slope(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Fit the slope (one over the temperature) that makes softmax probabilities of validation films likeliest.

    Parameters
    ----------
    logits, labels
        ``(N, K)`` and ``(N,)``.

    Returns
    -------
    float
        Within 0.05 and 20: the log-likelihood is concave in it, so that thirds of the bracket are left out in turn.
    """

    def loss(slope: float) -> float:
        shares = class_probabilities(logits, slope)[np.arange(len(labels)), labels]
        return float(-np.log(np.maximum(shares, np.finfo(np.float64).tiny)).mean())

    low, high = _SLOPES
    for _ in range(_STEPS):
        one, other = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, other) if loss(one) <= loss(other) else (one, high)
    return (low + high) / 2


def measured(
    probabilities: Values,
    labels: NDArray[np.int64],
    groups: NDArray[np.str_],
    classes: Sequence[str],
    rounds: int = ROUNDS,
) -> ClassesResult:
    """Measure one subgroup.

    Parameters
    ----------
    probabilities
        ``(N, K)``; the most probable class is said.
    labels, groups
        ``(N,)`` true class and leak-proof unit.
    classes
        ``K`` names.
    rounds
        Of the bootstrap over patients.
    """
    count = len(classes)
    there = (labels[:, None] == np.arange(count)).astype(np.float64)
    said = probabilities.argmax(axis=1)
    called = (said[:, None] == np.arange(count)).astype(np.float64)
    decided = label_metrics(there, called, groups, classes, rounds=rounds)
    graded = label_metrics(there, probabilities, groups, classes, rounds=rounds)
    cells = Counter(zip(labels.tolist(), said.tolist(), strict=True))
    return ClassesResult(
        films=len(labels),
        patients=int(np.unique(groups).size),
        accuracy=decided.micro["recall"],
        macro_f1=decided.macro["f1"],
        macro_auroc=graded.macro["auroc"],
        classes={
            name: {**decided.labels[name].metrics, "auroc": graded.labels[name].metrics["auroc"]} for name in classes
        },
        confusion=tuple(tuple(cells[row, column] for column in range(count)) for row in range(count)),
    )


def thresholds_of(shares: Values, truth: NDArray[np.bool_]) -> dict[str, float]:
    """Choose the highest thresholds that keep 90 % and 95 % of the positives of validation; none without a positive."""
    positives = np.sort(shares[truth])
    if not positives.size:
        return {}
    return {
        f"sensitivity-{target:.2f}": float(positives[int(np.floor((1 - target) * positives.size + 1e-9))])
        for target in TARGET_SENSITIVITIES
    }


def evaluated(
    logits: NDArray[np.float32],
    films: Sequence[LabelledFilm],
    classes: Sequence[str],
    positive: str,
    *,
    slope: float,
    thresholds: dict[str, float],
    train: Sequence[LabelledFilm] = (),
) -> ClassesReport:
    """Measure a network.

    Parameters
    ----------
    logits
        ``(N, K)`` of the films.
    films
        What is measured.
    classes, positive
        Names, and the one that is binarised.
    slope, thresholds
        Fitted and chosen on validation.
    train
        The training films, for what the source alone tells.
    """
    probabilities = class_probabilities(logits, slope)
    labels = np.array([film.label for film in films], np.int64)
    groups = np.array([film.group for film in films], np.str_)
    column = list(classes).index(positive)
    truth, shares = labels == column, probabilities[:, column]
    sample = Sample(truth.astype(np.float64), shares, groups)
    points = [
        Point(
            name=name, threshold=threshold,
            sensitivity=_metric(sample.sensitivity(threshold)), specificity=_metric(sample.specificity(threshold)),
        )
        for name, threshold in thresholds.items()
    ]  # fmt: skip
    said = probabilities.argmax(axis=1) == column
    most_probable = Point(
        name="most probable class", threshold=None,
        sensitivity=_metric(sample.share(said, truth)), specificity=_metric(sample.share(~said, ~truth)),
    )  # fmt: skip
    curve = roc_curve(truth.astype(np.float64), shares).thinned(_ROC_POINTS) if 0 < truth.sum() < len(truth) else None
    return ClassesReport(
        classes=tuple(classes),
        positive=positive,
        slope=slope,
        subgroups={
            name: measured(probabilities[where], labels[where], groups[where], classes)
            for name, where in subgroups(films).items()
        },
        source_alone=measured(_by_source(films, train, len(classes)), labels, groups, classes) if train else None,
        points=(most_probable, *points),
        roc=None
        if curve is None
        else Roc(false_positive_share=tuple(curve.false_positive_share), sensitivity=tuple(curve.sensitivity)),
    )


def _metric(estimate: object) -> Metric:
    """Give an estimate of the domain as a metric of a report."""
    value, low, high = (getattr(estimate, name) for name in ("value", "low", "high"))
    return Metric(value=value, low=low, high=high, undefined=value is None)


def _by_source(films: Sequence[LabelledFilm], train: Sequence[LabelledFilm], count: int) -> Values:
    """Class shares of the training films of each film's source; of all of them where the source is not among them."""
    found: dict[str, Values] = {}
    for source in {film.source for film in films}:
        labels = [film.label for film in train if film.source == source] or [film.label for film in train]
        found[source] = np.bincount(labels, minlength=count) / len(labels)
    return np.stack([found[film.source] for film in films])
