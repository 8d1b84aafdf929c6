"""From which probability a label is said to be there: chosen on validation films, label by label (SPEC 2.6)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.label_metrics import DEFAULT_THRESHOLD

Values = NDArray[np.float64]
FEWEST_POSITIVES: Final = 10


def best_f1_threshold(truth: Values, probabilities: Values, fewest: int = FEWEST_POSITIVES) -> float:
    """Choose the threshold of the highest F1.

    Parameters
    ----------
    truth
        ``(N,)`` 0, 1, or NaN where unknown.
    probabilities
        ``(N,)`` in 0..1; NaN where a film was refused.
    fewest
        With fewer positives, or without a negative, validation has no say.

    Returns
    -------
    float
        Halfway between two neighbouring probabilities; of equally good ones the nearest to 0.5. `DEFAULT_THRESHOLD`
        where validation has no say.
    """
    known = ~np.isnan(truth) & ~np.isnan(probabilities)
    there, given = truth[known] == 1, probabilities[known]
    positives = int(there.sum())
    if positives < fewest or positives == there.size:
        return DEFAULT_THRESHOLD
    values = np.unique(given)
    cuts = np.concatenate([[values[0]], (values[:-1] + values[1:]) / 2])
    order = np.argsort(given)
    hits = np.concatenate([[0], np.cumsum(there[order])])
    below = np.searchsorted(given[order], cuts, side="left")
    f1 = 2 * (positives - hits[below]) / (there.size - below + positives)
    best = cuts[f1 >= f1.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - DEFAULT_THRESHOLD))])


def label_thresholds(truth: Values, probabilities: Values, fewest: int = FEWEST_POSITIVES) -> Values:
    """Choose `best_f1_threshold` for every label, ``(K,)``; arguments ``(N, K)``."""
    columns = zip(truth.T, probabilities.T, strict=True)
    return np.array([best_f1_threshold(there, given, fewest) for there, given in columns], np.float64)
