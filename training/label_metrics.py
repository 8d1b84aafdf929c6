"""How well a multi-label network answers: counts and metrics per label, micro and macro, with intervals (SPEC 2.7).

A label is measured on the films where it is known. A label without a single positive has no precision, recall or F1:
they are null and ``undefined``, never 0, and no average counts them.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from app.domain.label_hierarchy import ENSEMBLE_LABELS
from app.domain.patient_bootstrap import ROUNDS, interval, weight_blocks, weighted_auroc, wilson_interval

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]
METRICS: Final = ("precision", "recall", "f1", "specificity")
AUROC: Final = "auroc"
DEFAULT_THRESHOLD: Final = 0.5


class Metric(BaseModel):
    """One metric with its 95 % interval; ``value`` is null and ``undefined`` true where a class is empty."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float | None
    low: float | None
    high: float | None
    undefined: bool


class LabelResult(BaseModel):
    """One label: the films where it is known, what was said of them, and what follows.

    Attributes
    ----------
    films, patients, positives
        Known films, the leak-proof units among them, and films that have the label.
    threshold
        From which probability the label is said to be there; None where films have several.
    tp, fp, tn, fn
        True and false positives, true and false negatives.
    metrics
        `METRICS` and `AUROC`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    films: int
    patients: int
    positives: int
    threshold: float | None
    tp: int
    fp: int
    tn: int
    fn: int
    metrics: dict[str, Metric]


class LabelMetrics(BaseModel):
    """All labels, and the two averages over them.

    Attributes
    ----------
    labels
        By name.
    macro
        Mean of each metric over the labels where it is defined; macro F1 is the mean of the F1s. With the mean AUROC.
    micro
        Each metric of the counts summed over all labels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: dict[str, LabelResult]
    macro: dict[str, Metric]
    micro: dict[str, Metric]


def label_counts(truth: Values, probabilities: Values, thresholds: Values, weights: Values | None = None) -> Values:
    """Count true and false answers per label.

    Parameters
    ----------
    truth
        ``(N, K)`` 0, 1, or NaN where unknown.
    probabilities
        ``(N, K)`` in 0..1; NaN where a film was refused. Either kind of NaN is counted nowhere.
    thresholds
        ``(K,)`` or ``(N, K)``: a label is said to be there at or above its own.
    weights
        ``(R, N)`` how many times each round counts each film; None counts every film once.

    Returns
    -------
    ndarray
        ``(4, R, K)``: TP, FP, TN, FN; R is 1 without weights.
    """
    known = ~np.isnan(truth) & ~np.isnan(probabilities)
    there, said = truth == 1, probabilities >= thresholds
    cells = (there & said, ~there & said, ~there & ~said, there & ~said)
    each = np.ones((1, len(truth))) if weights is None else weights
    return np.stack([each @ (cell & known).astype(np.float64) for cell in cells])


def metrics_of(counts: Values) -> Values:
    """Compute the metrics of counts.

    Parameters
    ----------
    counts
        ``(4, ...)``: TP, FP, TN, FN.

    Returns
    -------
    ndarray
        ``(4, ...)`` in the order of `METRICS`; NaN where undefined: specificity without a negative, the others without
        a positive, precision also where nothing was said. F1 is 2 TP / (2 TP + FP + FN).
    """
    tp, fp, tn, fn = counts
    positives = tp + fn
    return np.stack(
        [
            _divide(tp, np.where(positives > 0, tp + fp, 0.0)),
            _divide(tp, positives),
            _divide(2 * tp, np.where(positives > 0, 2 * tp + fp + fn, 0.0)),
            _divide(tn, tn + fp),
        ]
    )


def label_metrics(
    truth: Values,
    probabilities: Values,
    groups: NDArray[np.str_],
    labels: Sequence[str] = ENSEMBLE_LABELS,
    thresholds: Values | float = DEFAULT_THRESHOLD,
    rounds: int = ROUNDS,
) -> LabelMetrics:
    """Measure every label and average over them.

    Parameters
    ----------
    truth, probabilities
        ``(N, K)``, see `label_counts`.
    groups
        ``(N,)`` leak-proof unit of each film: what the intervals resample.
    labels
        ``K`` names.
    thresholds
        One for all, ``(K,)`` for each label, or ``(N, K)`` where films of several networks are pooled.
    rounds
        Of the bootstrap; 0 gives no intervals but Wilson's of a share that is 0 or 1.

    Returns
    -------
    LabelMetrics
        A share of 0 or 1 has Wilson's interval over patients, as resampling could only repeat it; an F1, an average or
        an AUROC of 0 or 1 has none. Rounds in which a label of a macro average is undefined are left out of its
        interval; with too few others it has none.

    Raises
    ------
    ValueError
        If the shapes do not belong together.
    """
    if truth.shape != probabilities.shape or truth.shape != (len(groups), len(labels)):
        raise ValueError(
            f"truth {truth.shape} and probabilities {probabilities.shape} of "
            f"{len(groups)} films and {len(labels)} labels"
        )
    cut = np.broadcast_to(np.asarray(thresholds, np.float64), truth.shape)
    known = ~np.isnan(truth) & ~np.isnan(probabilities)
    counts, areas = _resampled(truth, probabilities, cut, groups, rounds)
    each = metrics_of(counts)
    denominators = _denominators(truth, probabilities, cut, known)
    results = {}
    for k, label in enumerate(labels):
        patients = [_patients(groups, among[:, k]) for among in denominators]
        tp, fp, tn, fn = (int(v) for v in counts[:, 0, k])
        entries = _entries(each[:, :, k], patients)
        sides = [_patients(groups, known[:, k] & (truth[:, k] == side)) for side in (0, 1)]
        entries[AUROC] = _entry(areas[:, k], min(sides), is_share=False)
        results[label] = LabelResult(
            films=int(known[:, k].sum()),
            patients=_patients(groups, known[:, k]),
            positives=tp + fn,
            threshold=_only(cut[:, k]),
            tp=tp,
            fp=fp,
            tn=tn,
            fn=fn,
            metrics=entries,
        )
    everybody = _patients(groups, _anywhere(known))
    macro = {name: _entry(_mean(row), everybody, is_share=False) for name, row in zip(METRICS, each, strict=True)}
    macro[AUROC] = _entry(_mean(areas), everybody, is_share=False)
    micro = _entries(metrics_of(counts.sum(axis=2)), [_patients(groups, _anywhere(among)) for among in denominators])
    return LabelMetrics(labels=results, macro=macro, micro=micro)


def _divide(above: Values, below: Values) -> Values:
    quotient: Values = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
    return quotient


def _only(values: Values) -> float | None:
    """Give the value of all, None where there are several."""
    return float(values[0]) if np.unique(values).size == 1 else None


def _mean(values: Values) -> Values:
    """Mean ``(R,)`` over the labels ``(R, K)`` that the films define (row 0); NaN in a round that lacks one of them.

    Rounds without a rare label would average fewer labels, and so be better or worse for no other reason.
    """
    defined = ~np.isnan(values[0])
    none = np.full(len(values), np.nan)
    return values[:, defined].mean(axis=1) if defined.any() else none


def _anywhere(among: Mask) -> Mask:
    """Films ``(N,)`` of any label ``(N, K)``."""
    films: Mask = np.any(among, axis=1)
    return films


def _patients(groups: NDArray[np.str_], among: Mask) -> int:
    return int(np.unique(groups[among]).size)


def _denominators(truth: Values, probabilities: Values, thresholds: Values, known: Mask) -> list[Mask]:
    """Name the films ``(N, K)`` that each of `METRICS` is a share of."""
    there, said = truth == 1, probabilities >= thresholds
    return [known & said, known & there, known & (said | there), known & ~there]


def _resampled(
    truth: Values, probabilities: Values, thresholds: Values, groups: NDArray[np.str_], rounds: int
) -> tuple[Values, Values]:
    """Counts ``(4, 1 + rounds, K)`` and AUROCs ``(1 + rounds, K)``: of the films first, then of each round."""
    known = ~np.isnan(truth) & ~np.isnan(probabilities)
    counts, areas = [], []
    blocks = weight_blocks(groups, rounds) if rounds and len(groups) else iter(())
    for weights in (np.ones((1, len(groups))), *blocks):
        counts.append(label_counts(truth, probabilities, thresholds, weights))
        area = np.full((len(weights), truth.shape[1]), np.nan)
        for k in range(truth.shape[1]):
            films = known[:, k]
            if films.any():
                area[:, k] = weighted_auroc(truth[films, k] == 1, probabilities[films, k], weights[:, films])
        areas.append(area)
    return np.concatenate(counts, axis=1), np.concatenate(areas)


def _entries(values: Values, patients: Sequence[int]) -> dict[str, Metric]:
    """Make the metrics' entries of ``(4, 1 + rounds)``; ``patients`` each is a share of."""
    return {
        name: _entry(row, among, is_share=name != "f1")
        for name, row, among in zip(METRICS, values, patients, strict=True)
    }


def _entry(values: Values, patients: int, *, is_share: bool) -> Metric:
    """Make one entry of ``(1 + rounds,)``: the value itself first, then the bootstrap's."""
    value = float(values[0])
    if np.isnan(value):
        return Metric(value=None, low=None, high=None, undefined=True)
    certain = wilson_interval(value, patients) if is_share else None
    low, high = (interval(values[1:], patients) if 0 < value < 1 else certain) or (None, None)
    return Metric(value=value, low=low, high=high, undefined=False)
