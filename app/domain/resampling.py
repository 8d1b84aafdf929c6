"""Separable, anti-aliased resampling as banded matrix products.

A resampler along one axis is a sparse row-stochastic matrix: every output pixel is a weighted mean of the few input
pixels under its kernel. Stored dense it would cost ``out x in`` products a row; cut into blocks of output rows, each
block only touches the band of input under it, and the product runs at the speed of a matrix multiplication without
ever converting the whole image to floating point.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.domain.arrays import GrayImage, StoredPixels

Kernel: TypeAlias = Literal["bicubic", "bilinear"]

_SUPPORT: dict[Kernel, float] = {"bicubic": 2.0, "bilinear": 1.0}
_BLOCK = 16


@dataclass(frozen=True, slots=True)
class _Band:
    """Weights ``(outputs, inputs)`` of one block of outputs over ``inputs`` pixels from ``start``."""

    start: int
    stop: int
    weights: NDArray[np.float32]


def _kernel_values(distance: NDArray[np.float64], kernel: Kernel) -> NDArray[np.float64]:
    """Kernel at ``distance`` pixels: Keys' cubic with a = -0.5, or the triangle."""
    x = np.abs(distance)
    if kernel == "bilinear":
        return np.maximum(0.0, 1.0 - x)
    near = ((1.5 * x - 2.5) * x) * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


@lru_cache(maxsize=256)
def _bands(length: int, out_length: int, kernel: Kernel) -> tuple[_Band, ...]:
    """Cut the resampling matrix of one axis into bands."""
    scale = length / out_length
    stretch = max(scale, 1.0)
    reach = _SUPPORT[kernel] * stretch
    bands = []
    for first in range(0, out_length, _BLOCK):
        outputs = np.arange(first, min(first + _BLOCK, out_length))
        centres = (outputs + 0.5) * scale
        start = max(0, int(np.floor(centres[0] - reach)))
        stop = min(length, int(np.ceil(centres[-1] + reach)))
        inputs = np.arange(start, stop) + 0.5
        weights = _kernel_values((inputs[None, :] - centres[:, None]) / stretch, kernel)
        weights /= weights.sum(axis=1, keepdims=True)
        bands.append(_Band(start, stop, weights.astype(np.float32)))
    return tuple(bands)


def resize(pixels: StoredPixels | GrayImage, height: int, width: int, kernel: Kernel = "bicubic") -> GrayImage:
    """Resize an image with half-pixel centres, anti-aliased when it shrinks.

    Parameters
    ----------
    pixels
        ``(H, W)`` uint8, uint16 or float32.
    height, width
        Size of the result in pixels, at least 1.
    kernel
        ``"bicubic"`` (Keys, a = -0.5, as Pillow's) or ``"bilinear"``.

    Returns
    -------
    GrayImage
        ``(height, width)`` in the units of ``pixels``; bicubic may overshoot their range a little.

    Raises
    ------
    ValueError
        If the size is not positive or the image is empty.

    References
    ----------
    Keys, Cubic convolution interpolation for digital image processing, IEEE TASSP 1981, eq. 15.
    """
    if height < 1 or width < 1 or pixels.size == 0:
        raise ValueError(f"cannot resize {pixels.shape} to {(height, width)}")
    rows = np.empty((height, pixels.shape[1]), np.float32)
    at = 0
    for band in _bands(pixels.shape[0], height, kernel):
        count = band.weights.shape[0]
        np.matmul(
            band.weights, pixels[band.start : band.stop].astype(np.float32, copy=False), out=rows[at : at + count]
        )
        at += count
    resized = np.empty((height, width), np.float32)
    at = 0
    for band in _bands(pixels.shape[1], width, kernel):
        count = band.weights.shape[0]
        np.matmul(rows[:, band.start : band.stop], band.weights.T, out=resized[:, at : at + count])
        at += count
    return resized
