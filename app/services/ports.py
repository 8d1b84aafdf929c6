"""What the services need from the world; the edges implement it, `bootstrap` joins them."""

from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.domain.arrays import RgbImage
from app.domain.radiograph import Radiograph


class RadiographDecoder(Protocol):
    """Bytes to a film."""

    def decode(self, content: bytes, *, tolerate_refusals: bool = False) -> Radiograph:
        """Decode one image; raises only `ScreeningError` subclasses, whatever the bytes.

        With ``tolerate_refusals`` a refusal that can be overridden becomes a flag of the film.
        """
        ...


class PictureEncoder(Protocol):
    """Pixels to PNG bytes."""

    def colour(self, image: RgbImage) -> bytes:
        """Encode ``(H, W, 3)``."""
        ...

    def grey(self, image: NDArray[np.uint8]) -> bytes:
        """Encode ``(H, W)``."""
        ...

    def palette(self, indices: NDArray[np.uint8], colours: NDArray[np.uint8]) -> bytes:
        """Encode ``(H, W)`` indices into ``(256, 4)`` colours with alpha."""
        ...


class Clock(Protocol):
    """Time as the services see it."""

    def now(self) -> datetime:
        """Aware UTC."""
        ...
