"""The boundary where arrays of third-party decoders get their types."""

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from app.domain.arrays import StoredPixels
from app.domain.errors import UnreadableImageError


def stored_pixels(decoded: NDArray[Any]) -> StoredPixels:  # Any: what a codec returned is checked here
    """Return decoded samples as unsigned 8- or 16-bit integers; signed ones keep their bit patterns.

    Raises
    ------
    UnreadableImageError
        If they are anything else.
    """
    if decoded.dtype == np.int8:
        decoded = decoded.view(np.uint8)
    elif decoded.dtype == np.int16:
        decoded = decoded.view(np.uint16)
    if decoded.dtype not in (np.uint8, np.uint16):
        raise UnreadableImageError(f"decoder returned {decoded.dtype} samples; 8 or 16 bits expected")
    return cast(StoredPixels, decoded)  # checked on the line above
