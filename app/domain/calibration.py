"""From a network's logit to a probability that means what it says, and how well it does."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Truth: TypeAlias = NDArray[np.bool_]
Probabilities: TypeAlias = NDArray[np.float64]
ECE_BINS: Final = 15
NEXT_TO_CERTAIN: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Calibration:
    """Logistic recalibration ``p = sigmoid(logit * slope + intercept)``.

    Temperature scaling is ``slope = 1 / T`` with no intercept; Platt scaling uses both; the identity changes nothing.

    References
    ----------
    Platt 1999; Guo et al., On calibration of modern neural networks, ICML 2017.
    """

    slope: float = 1.0
    intercept: float = 0.0

    def __post_init__(self) -> None:
        """A calibration never turns the order of the scores around."""
        if not (np.isfinite(self.slope) and np.isfinite(self.intercept) and self.slope > 0.0):
            raise ValueError(f"calibration slope {self.slope}, intercept {self.intercept}")

    def logit(self, raw: float) -> float:
        """Calibrate one raw logit."""
        return raw * self.slope + self.intercept

    def probability(self, raw: float) -> float:
        """Calibrated probability in 0..1 of one raw logit."""
        return float(sigmoid(np.float64(self.logit(raw))))


def sigmoid(logits: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    """Logistic function without overflow, element by element."""
    positive = np.exp(-np.abs(logits))
    return np.where(np.asarray(logits) >= 0, 1.0 / (1.0 + positive), positive / (1.0 + positive))


def logit_of(probability: float) -> float:
    """Give the logit whose logistic is a probability; 0 and 1, which have none, as next to them."""
    bounded = min(max(probability, NEXT_TO_CERTAIN), 1.0 - NEXT_TO_CERTAIN)
    return math.log(bounded) - math.log1p(-bounded)


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Films of similar probability: how many, their mean probability, and the share that was positive."""

    films: int
    probability: float
    frequency: float


def reliability(truth: Truth, probabilities: Probabilities, bins: int = ECE_BINS) -> tuple[ReliabilityBin, ...]:
    """Compare probabilities with what was true, over bins of equal mass.

    Parameters
    ----------
    truth, probabilities
        ``(N,)``; films of equal probability are put into bins in their order.
    bins
        Sizes differ by one film at most.

    Returns
    -------
    tuple
        From the least to the most probable; empty with fewer films than bins.
    """
    return tuple(
        ReliabilityBin(part.size, float(probabilities[part].mean()), float(truth[part].mean()))
        for part in _equal_parts(probabilities, bins)
    )


def calibration_error(truth: Truth, probabilities: Probabilities, bins: int = ECE_BINS) -> float | None:
    """Give the expected calibration error over bins of equal mass; None with fewer films than bins.

    References
    ----------
    Naeini et al., Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015; bins of equal mass:
    Nixon et al., Measuring calibration in deep learning, CVPR workshops 2019.
    """
    gaps = [
        abs(float(probabilities[part].mean() - truth[part].mean())) * part.size
        for part in _equal_parts(probabilities, bins)
    ]
    return sum(gaps) / truth.size if gaps else None


def brier_score(truth: Truth, probabilities: Probabilities) -> float | None:
    """Mean squared difference between probability and truth; None without films."""
    return float(((probabilities - truth) ** 2).mean()) if truth.size else None


def _equal_parts(probabilities: Probabilities, bins: int) -> Iterator[NDArray[np.int64]]:
    if probabilities.size >= bins:
        yield from np.array_split(np.argsort(probabilities, kind="stable"), bins)
