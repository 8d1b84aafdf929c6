"""Metrics of scored films with intervals that resample patients, many rounds at once.

A round is a row of weights, how many times each film was drawn, not a copy of the films. Rounds are made in blocks, so
that memory does not grow with the number of films.
"""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.domain.discrimination import Estimate

Values: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]
ROUNDS: Final = 1000
_FEWEST_ROUNDS: Final = 100
_BLOCK_WEIGHTS: Final = 1 << 20
_Z: Final = 1.959964


def weight_blocks(
    groups: NDArray[np.str_], rounds: int = ROUNDS, seed: int = 0, block_weights: int = _BLOCK_WEIGHTS
) -> Iterator[Values]:
    """Draw patients with replacement, a block of rounds at a time.

    Parameters
    ----------
    groups
        ``(N,)`` leak-proof unit of each film.
    rounds, seed
        How often, and the seed.
    block_weights
        Largest size of a block; the draws do not depend on it.

    Yields
    ------
    ndarray
        ``(block, N)``: how many times each film is in each round. Films of one patient have the same weight.
    """
    names, member = np.unique(groups, return_inverse=True)
    random = np.random.default_rng(seed)
    chances = np.full(len(names), 1.0 / len(names))
    step = max(1, block_weights // len(member))
    for first in range(0, rounds, step):
        counts = random.multinomial(len(names), chances, min(step, rounds - first))
        yield counts[:, member].astype(np.float64)


def patient_weights(groups: NDArray[np.str_], rounds: int = ROUNDS, seed: int = 0) -> Values:
    """Draw all rounds at once, ``(rounds, N)``; see `weight_blocks`."""
    return np.concatenate(list(weight_blocks(groups, rounds, seed, rounds * len(groups))))


def weighted_auroc(truth: Mask, scores: Values, weights: Values) -> Values:
    """Area under the ROC curve of every round, ties counting half.

    Parameters
    ----------
    truth, scores
        ``(N,)``.
    weights
        ``(rounds, N)``.

    Returns
    -------
    ndarray
        ``(rounds,)``; NaN where a round lacks a class.
    """
    _, rank = np.unique(scores, return_inverse=True)
    order = np.argsort(rank, kind="stable")
    starts = np.searchsorted(rank[order], np.arange(rank.max() + 1))
    positive = np.add.reduceat((weights * truth)[:, order], starts, axis=1)
    negative = np.add.reduceat((weights * ~truth)[:, order], starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    won = (positive * (below + negative / 2)).sum(axis=1)
    return _ratio(won, positive.sum(axis=1) * negative.sum(axis=1))


def weighted_share(of: Mask, among: Mask, weights: Values) -> Values:
    """Share of ``among`` that is also ``of``, ``(rounds,)``; NaN where a round has none."""
    return _ratio(weights @ (of & among), weights @ among)


def _ratio(above: Values, below: Values) -> Values:
    """Divide; NaN where the divisor is 0."""
    quotient: Values = np.divide(above, below, out=np.full_like(below, np.nan, np.float64), where=below > 0)
    return quotient


def interval(values: Values, patients: int) -> tuple[float, float] | None:
    """95 % interval of bootstrap values; None with fewer than two patients or too few defined rounds."""
    defined = values[~np.isnan(values)]
    if patients < 2 or defined.size < _FEWEST_ROUNDS:
        return None
    low, high = (float(v) for v in np.percentile(defined, (2.5, 97.5)))
    return low, high


def wilson_interval(value: float, patients: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of independent patients.

    Where every film went one way, resampling can only repeat that: five of five would be 1.000 (1.000-1.000).

    References
    ----------
    Wilson, Probable inference, the law of succession, and statistical inference, JASA 1927.
    """
    spread = _Z**2 / patients
    centre = (value + spread / 2) / (1 + spread)
    reach = _Z / (1 + spread) * np.sqrt(value * (1 - value) / patients + spread / (4 * patients))
    return max(0.0, float(centre - reach)), min(1.0, float(centre + reach))


class Sample:
    """Scored films of one subgroup with known truth, ready to be measured.

    Parameters
    ----------
    truth
        ``(N,)`` 0, 1, or NaN where unknown.
    scores
        ``(N,)``; NaN where the film was refused. Either kind of NaN leaves the film out.
    groups
        ``(N,)`` leak-proof unit.
    rounds
        Of the bootstrap.
    """

    def __init__(self, truth: Values, scores: Values, groups: NDArray[np.str_], rounds: int = ROUNDS) -> None:
        known = ~np.isnan(truth) & ~np.isnan(scores)
        self.truth: Mask = truth[known] == 1
        self.scores: Values = scores[known]
        self.groups = groups[known]
        self._rounds = rounds
        self._only_block: Values | None = None

    @property
    def films(self) -> int:
        """Films measured."""
        return int(self.truth.size)

    @property
    def patients(self) -> int:
        """Leak-proof units among them."""
        return int(np.unique(self.groups).size)

    @property
    def positives(self) -> int:
        """Films of the class."""
        return int(self.truth.sum())

    @property
    def negatives(self) -> int:
        """Films not of the class."""
        return self.films - self.positives

    def auroc(self) -> Estimate:
        """Area under the ROC curve; undefined if a class is empty, without interval if it is 0 or 1."""
        if self.positives == 0 or self.negatives == 0:
            return Estimate(None, None, None, self.positives, self.negatives)
        value = float(weighted_auroc(self.truth, self.scores, np.ones((1, self.films)))[0])
        fewest = min(np.unique(self.groups[side]).size for side in (self.truth, ~self.truth)) if 0 < value < 1 else 0
        return self._estimate(value, lambda weights: weighted_auroc(self.truth, self.scores, weights), fewest)

    def sensitivity(self, threshold: float) -> Estimate:
        """Share of positives at or above a threshold."""
        return self.share(self.scores >= threshold, self.truth)

    def specificity(self, threshold: float) -> Estimate:
        """Share of negatives below a threshold."""
        return self.share(self.scores < threshold, ~self.truth)

    def share(self, of: Mask, among: Mask) -> Estimate:
        """Share of ``among`` that is also ``of``; undefined if there is none. Wilson's interval if it is 0 or 1."""
        if not among.any():
            return Estimate(None, None, None, self.positives, self.negatives)
        patients = int(np.unique(self.groups[among]).size)
        share = float((of & among).sum() / among.sum())
        if not 0 < share < 1:
            return Estimate(share, *wilson_interval(share, patients), self.positives, self.negatives)
        return self._estimate(share, lambda weights: weighted_share(of, among, weights), patients)

    def _estimate(self, value: float, metric: Callable[[Values], Values], patients: int) -> Estimate:
        values = np.concatenate([metric(weights) for weights in self._blocks()]) if patients >= 2 else np.empty(0)
        low, high = interval(values, patients) or (None, None)
        return Estimate(value, low, high, self.positives, self.negatives)

    def _blocks(self) -> Iterator[Values]:
        """The rounds; kept where one block holds them all, drawn again where it does not."""
        if self._only_block is not None:
            yield self._only_block
            return
        for weights in weight_blocks(self.groups, self._rounds):
            if len(weights) == self._rounds:
                self._only_block = weights
            yield weights
