"""Small changes of a film that no reader would notice."""

from collections.abc import Callable
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Grey = NDArray[np.uint8]
Perturbation = Callable[[Grey, np.random.Generator], Grey]
_WHITE: Final = 255.0
_NOISE_SHARE: Final = 0.01
_WINDOW_SHARE: Final = 0.05
_JPEG_QUALITY: Final = 90


def _stored(values: NDArray[np.float64]) -> Grey:
    return np.clip(np.rint(values), 0, _WHITE).astype(np.uint8)


def noisy(grey: Grey, random: np.random.Generator) -> Grey:
    """Add uniform noise of 1 % of the grey scale either way."""
    return _stored(grey + random.uniform(-_NOISE_SHARE, _NOISE_SHARE, grey.shape) * _WHITE)


def shifted(grey: Grey, _: np.random.Generator) -> Grey:
    """Shift the film one pixel to the right and down; the first row and column stay as they were."""
    return np.pad(grey, ((1, 0), (1, 0)), mode="edge")[:-1, :-1]


def compressed(grey: Grey, _: np.random.Generator) -> Grey:
    """Encode as JPEG of quality 90 and decode again."""
    buffer = BytesIO()
    Image.fromarray(grey).save(buffer, format="JPEG", quality=_JPEG_QUALITY)
    with Image.open(buffer) as image:
        return np.asarray(image.convert("L"))


def windowed(width: float, level: float = 0.0) -> Perturbation:
    """Show the film through a window of another width (relative) or level (in shares of the grey scale)."""

    def apply(grey: Grey, _: np.random.Generator) -> Grey:
        middle = _WHITE / 2
        return _stored((grey.astype(np.float64) - middle - level * _WHITE) / width + middle)

    return apply


PERTURBATIONS: Final[dict[str, Perturbation]] = {
    "noise 1 %": noisy,
    "shift 1 px": shifted,
    "JPEG quality 90": compressed,
    "window 5 % wider": windowed(1 + _WINDOW_SHARE),
    "window 5 % narrower": windowed(1 - _WINDOW_SHARE),
    "window 5 % up": windowed(1.0, _WINDOW_SHARE),
    "window 5 % down": windowed(1.0, -_WINDOW_SHARE),
}
"""By the name in the report."""
