"""How alike two maps are: in the order of their cells, in structure, and in where they are highest."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

_PICTURE_PX: Final = 64
_WINDOW: Final = (11, 11)
_SIGMA: Final = 1.5
_C1: Final = 0.01**2
_C2: Final = 0.03**2

Map = NDArray[np.float64]


def ranks(values: Map) -> NDArray[np.float64]:
    """Rank every cell, ties sharing their mean rank, ``(h * w,)``."""
    _, inverse, counts = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    middle: NDArray[np.float64] = last - (counts - 1) / 2.0
    return middle[inverse.ravel()]


def rank_correlation(first: Map, second: Map) -> float:
    """Correlate the ranks of two maps' cells (Spearman); 0 where one of them is flat.

    Parameters
    ----------
    first, second
        ``(h, w)``.

    Returns
    -------
    float
        -1..1.
    """
    one, other = ranks(first), ranks(second)
    if np.ptp(one) == 0.0 or np.ptp(other) == 0.0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def structural_similarity(first: Map, second: Map) -> float:
    """Structural similarity of two maps in 0..1, interpolated to 64 x 64 pixels.

    References
    ----------
    Wang et al., Image quality assessment: from error visibility to structural similarity, IEEE TIP 2004.
    """

    def picture(values: Map) -> Map:
        return np.asarray(cv2.resize(values, (_PICTURE_PX, _PICTURE_PX), interpolation=cv2.INTER_LINEAR), np.float64)

    x, y = picture(first), picture(second)

    def mean(values: Map) -> Map:
        return np.asarray(cv2.GaussianBlur(values, _WINDOW, _SIGMA), np.float64)

    mean_x, mean_y = mean(x), mean(y)
    squares: tuple[Map, Map, Map] = x * x, y * y, x * y
    variance_x, variance_y = mean(squares[0]) - mean_x**2, mean(squares[1]) - mean_y**2
    covariance = mean(squares[2]) - mean_x * mean_y
    alike = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    return float(np.mean(alike / ((mean_x**2 + mean_y**2 + _C1) * (variance_x + variance_y + _C2))))


def same_top(first: Map, second: Map) -> bool:
    """Say whether the highest cell is the same; never for a flat map."""
    if np.ptp(first) == 0.0 or np.ptp(second) == 0.0:
        return False
    return bool(first.argmax() == second.argmax())
