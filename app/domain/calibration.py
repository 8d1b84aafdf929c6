"""From a network's logit to a probability that means what it says."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
