"""Colour to grey, in bands of rows so that the temporaries stay small."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from app.domain.arrays import StoredPixels

TINT_TOLERANCE = 2 / 255
"""Largest difference between channels, of the full range, that still counts as grey: rounding, not colour."""

_BAND_ROWS = 256
# ITU-R BT.601 luma in 16-bit fixed point, as in libjpeg and Pillow.
_RED, _GREEN, _BLUE, _HALF = 19595, 38470, 7471, 1 << 15


def luminance(rgb: StoredPixels) -> tuple[StoredPixels, bool]:
    """Return the BT.601 luma of an ``(H, W, 3)`` image, and whether it really is coloured.

    Where the three channels are equal the result is that channel, bit for bit.
    """
    grey = np.empty(rgb.shape[:2], rgb.dtype)
    tolerance = TINT_TOLERANCE * np.iinfo(rgb.dtype).max
    coloured = False
    for rows in _bands(rgb.shape[0]):
        red, green, blue = (rgb[rows, :, channel].astype(np.uint32) for channel in range(3))
        grey[rows] = (_RED * red + _GREEN * green + _BLUE * blue + _HALF) >> 16
        coloured = coloured or _spread(rgb[rows]) > tolerance
    return grey, coloured


def is_coloured(rgb: StoredPixels) -> bool:
    """Tell whether the channels of an ``(H, W, 3)`` image differ by more than rounding."""
    tolerance = TINT_TOLERANCE * np.iinfo(rgb.dtype).max
    return any(_spread(rgb[rows]) > tolerance for rows in _bands(rgb.shape[0]))


def chroma_is_coloured(chroma: NDArray[np.uint8]) -> bool:
    """Tell whether 8-bit Cb or Cr samples leave the neutral 128 by more than rounding."""
    return bool(chroma.size) and max(int(chroma.max()) - 128, 128 - int(chroma.min())) > 2


def composite_over_black(grey: StoredPixels, alpha: StoredPixels) -> StoredPixels:
    """Return ``grey * alpha``, rounded; the background of a film is black."""
    white = int(np.iinfo(grey.dtype).max)
    shown = np.empty_like(grey)
    for rows in _bands(grey.shape[0]):
        shown[rows] = (grey[rows].astype(np.uint64) * alpha[rows] + white // 2) // white
    return shown


def _spread(rgb: StoredPixels) -> int:
    return int((rgb.max(axis=2) - rgb.min(axis=2)).max(initial=0))


def _bands(rows: int) -> Iterator[slice]:
    for start in range(0, rows, _BAND_ROWS):
        yield slice(start, start + _BAND_ROWS)
