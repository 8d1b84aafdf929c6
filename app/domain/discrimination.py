"""How well scores tell two classes apart, with intervals that resample patients."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = NDArray[np.float64]
Metric: TypeAlias = Callable[[Values, Values], float]


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


def with_interval(
    truth: Values,
    scores: Values,
    groups: NDArray[np.str_],
    metric: Metric = auroc,
    *,
    rounds: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Estimate a metric with an interval that draws patients, not films, with replacement.

    Parameters
    ----------
    truth
        ``(N,)`` 0, 1, or NaN where unknown; unknown films are left out.
    scores
        ``(N,)``.
    groups
        ``(N,)`` the patient, or leak-proof unit, of each film.
    metric
        Of truth and scores; called only where both classes are present.
    rounds, seed
        Bootstrap rounds and their seed.

    Returns
    -------
    Estimate
        Without values if a class is empty.
    """
    known = ~np.isnan(truth)
    truth, scores, groups = truth[known], scores[known], groups[known]
    positives, negatives = int((truth == 1).sum()), int((truth == 0).sum())
    if positives == 0 or negatives == 0:
        return Estimate(None, None, None, positives, negatives)
    _, member = np.unique(groups, return_inverse=True)
    order = np.argsort(member, kind="stable")
    films_of = np.split(order, np.cumsum(np.bincount(member))[:-1])
    random = np.random.default_rng(seed)
    values = []
    for _ in range(rounds):
        drawn = np.concatenate([films_of[group] for group in random.integers(0, len(films_of), len(films_of))])
        if 0 < truth[drawn].sum() < drawn.size:
            values.append(metric(truth[drawn], scores[drawn]))
    low, high = (float(v) for v in np.percentile(values, (2.5, 97.5))) if values else (None, None)
    return Estimate(metric(truth, scores), low, high, positives, negatives)
