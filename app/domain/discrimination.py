"""How well scores tell two classes apart."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric and its 95 % interval; all None where a class has no film.

    Attributes
    ----------
    value, low, high
        The metric, and the 2.5th and 97.5th percentile over bootstrap rounds.
    positives, negatives
        Films of each class.
    """

    value: float | None
    low: float | None
    high: float | None
    positives: int
    negatives: int


def auroc(truth: Values, scores: Values) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting half.

    Parameters
    ----------
    truth
        ``(N,)`` 0 or 1, both present.
    scores
        ``(N,)`` any monotone score.

    Returns
    -------
    float
        0..1.

    Raises
    ------
    ValueError
        If a class is empty.

    References
    ----------
    Hanley and McNeil, Radiology 1982;143:29: the area equals the Mann-Whitney statistic.
    """
    positive = truth == 1
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if positives == 0 or negatives == 0:
        raise ValueError("a ROC curve needs films of both classes")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    midrank = last - (counts - 1) / 2.0
    ranks = midrank[inverse]
    return float((ranks[positive].sum() - positives * (positives + 1) / 2.0) / (positives * negatives))


@dataclass(frozen=True, slots=True)
class RocCurve:
    """Sensitivity against the share of negatives called positive, from the strictest threshold to the laxest.

    Attributes
    ----------
    false_positive_share, sensitivity
        ``(M,)`` from (0, 0) to (1, 1), neither ever falling.
    """

    false_positive_share: Values
    sensitivity: Values

    def thinned(self, most: int) -> "RocCurve":
        """Keep at most ``most`` (2 or more) of the points, spread evenly along the curve, its two ends among them."""
        walked = self.false_positive_share + self.sensitivity
        chosen = np.unique(np.searchsorted(walked, np.linspace(0.0, walked[-1], most)))
        return RocCurve(self.false_positive_share[chosen], self.sensitivity[chosen])


def roc_curve(truth: Values, scores: Values) -> RocCurve:
    """Trace the ROC curve; films of equal score are passed together.

    Parameters
    ----------
    truth
        ``(N,)`` 0 or 1, both present.
    scores
        ``(N,)``.

    Returns
    -------
    RocCurve
        With one point a distinct score, and the origin.

    Raises
    ------
    ValueError
        If a class is empty.
    """
    positive = truth == 1
    if positive.all() or not positive.any():
        raise ValueError("a ROC curve needs films of both classes")
    _, rank = np.unique(-scores, return_inverse=True)
    hits = np.bincount(rank, positive)
    alarms = np.bincount(rank, ~positive)
    return RocCurve(
        np.concatenate([[0.0], np.cumsum(alarms) / alarms.sum()]), np.concatenate([[0.0], np.cumsum(hits) / hits.sum()])
    )
