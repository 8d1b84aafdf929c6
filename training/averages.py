"""Precision, recall, F1 and specificity of a multi-label network: per label, micro and macro (SPEC 2.7)."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from training.bootstrap import interval, patient_weights

Values = NDArray[np.float64]
METRICS: Final = ("precision", "recall", "f1", "specificity")


class Average(BaseModel):
    """One metric with its interval; ``value`` is null and ``undefined`` true where a class is empty."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float | None
    low: float | None
    high: float | None
    undefined: bool


class Averages(BaseModel):
    """Metrics at the default operating points, over the evaluated labels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: dict[str, dict[str, Average]]
    macro: dict[str, Average]
    micro: dict[str, Average]


@dataclass(frozen=True, slots=True)
class Scored:
    """Truth ``(N,)`` (NaN unknown), calibrated probabilities ``(N,)`` (NaN refused) and threshold of one label."""

    truth: Values
    probabilities: Values
    threshold: float


def _divide(above: Values, below: Values) -> Values:
    quotient: Values = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
    return quotient


def metrics_of(counts: Values) -> Values:
    """Compute the metrics of counts.

    Parameters
    ----------
    counts
        ``(4, ...)``: TP, FP, TN, FN.

    Returns
    -------
    ndarray
        ``(4, ...)`` in the order of `METRICS`; NaN where undefined. F1 is 2 TP / (2 TP + FP + FN).
    """
    tp, fp, tn, fn = counts
    return np.stack(
        [_divide(tp, tp + fp), _divide(tp, tp + fn), _divide(2 * tp, 2 * tp + fp + fn), _divide(tn, tn + fp)]
    )


def _entries(values: Values, patients: int) -> dict[str, Average]:
    """Make the metrics' entries of ``(4, 1 + rounds)``: the value itself first, then the bootstrap's."""
    entries = {}
    for name, row in zip(METRICS, values, strict=True):
        defined = not np.isnan(row[0])
        bounds = interval(row[1:], patients) if defined else None
        low, high = bounds if bounds is not None else (None, None)
        entries[name] = Average(value=float(row[0]) if defined else None, low=low, high=high, undefined=not defined)
    return entries


def averages_of(scored: dict[str, Scored], groups: NDArray[np.str_]) -> Averages:
    """Average over labels.

    Parameters
    ----------
    scored
        The labels that count.
    groups
        ``(N,)`` leak-proof units.

    Returns
    -------
    Averages
        Macro is the mean over the labels where the metric is defined; micro is the metric of the summed counts.
    """
    weights = np.concatenate([np.ones((1, len(groups))), patient_weights(groups)])
    patients = int(np.unique(groups).size)
    counts = {}
    for label, entry in scored.items():
        known = ~np.isnan(entry.truth) & ~np.isnan(entry.probabilities)
        truth, said = entry.truth == 1, entry.probabilities >= entry.threshold
        cells = (truth & said, ~truth & said, ~truth & ~said, truth & ~said)
        counts[label] = np.stack([weights @ (cell & known) for cell in cells])
    if not counts:
        nothing = np.full((4, 2), np.nan)
        return Averages(labels={}, macro=_entries(nothing, 0), micro=_entries(nothing, 0))
    each = {label: metrics_of(count) for label, count in counts.items()}
    stacked = np.stack(list(each.values()))
    defined = ~np.isnan(stacked)
    macro = _divide(np.where(defined, stacked, 0.0).sum(axis=0), defined.sum(axis=0).astype(np.float64))
    micro = metrics_of(np.sum(list(counts.values()), axis=0))
    return Averages(
        labels={label: _entries(values, patients) for label, values in each.items()},
        macro=_entries(macro, patients),
        micro=_entries(micro, patients),
    )
