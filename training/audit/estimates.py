"""Means over films with intervals that draw patients, and differences of two means over the same draws."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from training.bootstrap import ROUNDS, interval, patient_weights, wilson_interval

Values = NDArray[np.float64]
_DIGITS: Final = 4


class Estimated(BaseModel):
    """A mean over films and its 95 % interval; all null where there is no film, the interval where it is undefined."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float | None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        """Give it as ``0.31 (0.20-0.42)``."""
        if self.value is None:
            return "-"
        if self.low is None or self.high is None:
            return f"{self.value:.2f}"
        return f"{self.value:.2f} ({self.low:.2f}-{self.high:.2f})"


class PatientDraws:
    """Bootstrap draws of the patients of some films, the same for everything that is averaged over these films.

    Parameters
    ----------
    groups
        The leak-proof unit of each film.
    rounds, seed
        How many draws, and their seed.
    """

    def __init__(self, groups: Sequence[str], rounds: int = ROUNDS, seed: int = 0) -> None:
        self.films = len(groups)
        self.patients = len(set(groups))
        self._weights = patient_weights(np.array(groups), rounds, seed) if groups else np.zeros((rounds, 0))

    def mean(self, values: Values, *, is_share: bool = False) -> Estimated:
        """Average one value a film.

        Parameters
        ----------
        values
            ``(N,)`` in the order of the groups.
        is_share
            The values are 0 or 1 for each film: where all are alike the interval is Wilson's, not a point.
        """
        if self.films == 0:
            return Estimated(value=None)
        value = float(values.mean())
        if is_share and value in {0.0, 1.0}:
            low, high = wilson_interval(value, self.patients)
            return Estimated(value=value, low=round(low, _DIGITS), high=round(high, _DIGITS))
        bounds = interval((self._weights @ values) / self._weights.sum(axis=1), self.patients)
        if bounds is None:
            return Estimated(value=round(value, _DIGITS))
        return Estimated(value=round(value, _DIGITS), low=round(bounds[0], _DIGITS), high=round(bounds[1], _DIGITS))

    def difference(self, values: Values, than: Values) -> Estimated:
        """Average how much more each film has of one value than of another, over the same draws."""
        return self.mean(values - than)
