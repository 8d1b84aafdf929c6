"""Discrimination of scores, with patient-bootstrap intervals."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

Scores = NDArray[np.float64]
Metric = Callable[[Scores, Scores], float]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric with its 95 % interval; ``value`` is None where a class is empty.

    Attributes
    ----------
    value, low, high
        The metric and its 2.5th and 97.5th bootstrap percentile.
    positives, negatives
        Films of each class.
    """

    value: float | None
    low: float | None
    high: float | None
    positives: int
    negatives: int


def auroc(truth: Scores, scores: Scores) -> float:
    """Area under the ROC curve; ``truth`` is 0 or 1."""
    return float(roc_auc_score(truth, scores))


def with_interval(
    truth: Scores, scores: Scores, groups: NDArray[np.str_], metric: Metric = auroc, rounds: int = 1000, seed: int = 0
) -> Estimate:
    """Estimate a metric with an interval that resamples patients, not films.

    Parameters
    ----------
    truth
        ``(N,)`` 0, 1, or NaN where unknown; unknown films are left out.
    scores
        ``(N,)`` any monotone score.
    groups
        ``(N,)`` leak-proof unit of each film.
    metric
        Of truth and scores; needs both classes.
    rounds, seed
        Bootstrap rounds and their seed.

    Returns
    -------
    Estimate
        With ``value`` None if a class is empty.
    """
    known = ~np.isnan(truth)
    truth, scores, groups = truth[known], scores[known], groups[known]
    positives, negatives = int((truth == 1).sum()), int((truth == 0).sum())
    if positives == 0 or negatives == 0:
        return Estimate(None, None, None, positives, negatives)
    random = np.random.default_rng(seed)
    _, member = np.unique(groups, return_inverse=True)
    order = np.argsort(member, kind="stable")
    starts = np.searchsorted(member[order], np.arange(member.max() + 2))
    films_of = [order[starts[g] : starts[g + 1]] for g in range(member.max() + 1)]
    values = []
    for _ in range(rounds):
        drawn = np.concatenate([films_of[g] for g in random.integers(0, len(films_of), len(films_of))])
        if 0 < truth[drawn].sum() < drawn.size:
            values.append(metric(truth[drawn], scores[drawn]))
    low, high = (float(v) for v in np.percentile(values, (2.5, 97.5)))
    return Estimate(metric(truth, scores), low, high, positives, negatives)
