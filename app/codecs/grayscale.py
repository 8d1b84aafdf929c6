"""The DICOM grayscale pipeline as pure functions of values (PS3.3 C.7.6.3.1.2, C.11.1, C.11.2; PS3.14).

Stored values have at most 16 bits, so each step maps a vector of at most 65,536 of them, in double precision, and the
image is looked up once at the end.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.domain.arrays import StoredPixels

Values = NDArray[np.float64]
"""``(n,)`` values at one stage of the pipeline, one for each possible stored value."""


@dataclass(frozen=True, slots=True)
class LookupTable:
    """A LUT item: entries for consecutive inputs from ``first_mapped`` on, of ``bits`` bits each."""

    first_mapped: int
    bits: int
    entries: NDArray[np.uint16]

    def apply(self, values: Values) -> Values:
        """Look values up; inputs outside the table take its first or last entry (PS3.3 C.11.1.1.1)."""
        index = np.clip(np.trunc(values) - self.first_mapped, 0, len(self.entries) - 1).astype(np.intp)
        looked_up: Values = self.entries[index].astype(np.float64)
        return looked_up

    @property
    def white(self) -> float:
        """The largest output: of the stated bits, or of what the entries need where the statement is too small."""
        return float((1 << max(self.bits, int(self.entries.max(initial=0)).bit_length())) - 1)


@dataclass(frozen=True, slots=True)
class Window:
    """A VOI window; ``function`` is LINEAR, LINEAR_EXACT or SIGMOID (PS3.3 C.11.2.1.2, C.11.2.1.3)."""

    centre: float
    width: float
    function: str = "LINEAR"

    @property
    def is_valid(self) -> bool:
        """LINEAR needs a width of at least 1, the others more than 0."""
        return self.width >= 1 if self.function == "LINEAR" else self.width > 0


def rescale(values: Values, slope: float, intercept: float) -> Values:
    """Apply the modality rescale: ``slope * stored + intercept``."""
    return slope * values + intercept


def apply_window(values: Values, window: Window) -> Values:
    """Return brightness in 0..1.

    Raises
    ------
    ValueError
        If the window is not valid.
    """
    if not window.is_valid:
        raise ValueError(f"window width {window.width} is not valid for {window.function}")
    if window.function == "SIGMOID":
        exponent = np.clip(-4 * (values - window.centre) / window.width, -700, 700)
        bright: Values = 1 / (1 + np.exp(exponent))
        return bright
    if window.function == "LINEAR_EXACT":
        return np.clip((values - window.centre) / window.width + 0.5, 0, 1)
    centre, width = window.centre - 0.5, window.width - 1
    if width == 0:
        return (values > centre).astype(np.float64)
    return np.clip((values - centre) / width + 0.5, 0, 1)


def stretch(values: Values, lowest: float, highest: float) -> Values:
    """Return brightness in 0..1 over a range; a range of one value is black."""
    if highest <= lowest:
        return np.zeros_like(values)
    return np.clip((values - lowest) / (highest - lowest), 0, 1)


def to_display(brightness: Values, inverted: bool, bits: int) -> StoredPixels:
    """Return display values of 8 or 16 bits, inverted at most once: 0 is black."""
    shown = 1 - brightness if inverted else brightness
    white = (1 << bits) - 1
    rounded = np.rint(shown * white)
    return rounded.astype(np.uint8) if bits == 8 else rounded.astype(np.uint16)
