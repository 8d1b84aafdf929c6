"""One film, as every later step sees it: MONOCHROME2 pixels and what is known of where they came from."""

from dataclasses import dataclass, field

import numpy as np

from app.domain.arrays import StoredPixels


@dataclass(frozen=True, slots=True)
class Provenance:
    """What the file says about the film, without anything that names the patient.

    Attributes
    ----------
    format
        ``"png"``, ``"jpeg"`` or ``"dicom"``, decided by content.
    sha256
        Hash of the bytes as received, in hex.
    view_position
        DICOM (0018,5101), e.g. ``"PA"``; None where the file does not say.
    photometric_interpretation
        DICOM (0028,0004) of the stored pixels; ``MONOCHROME2`` for raster formats.
    pixel_spacing_mm
        Row and column spacing; None where absent or zero.
    sop_instance_uid
        DICOM (0008,0018); None for raster formats.
    """

    format: str
    sha256: str
    view_position: str | None = None
    photometric_interpretation: str = "MONOCHROME2"
    pixel_spacing_mm: tuple[float, float] | None = None
    sop_instance_uid: str | None = None


@dataclass(frozen=True, slots=True)
class Radiograph:
    """Display-ready pixels of one film.

    Attributes
    ----------
    pixels
        ``(H, W)`` uint8 or uint16, MONOCHROME2: 0 is black, the dtype's largest value is white. Modality LUT,
        VOI LUT and the one inversion of MONOCHROME1 have been applied (PS3.3 C.7.6.3.1.2, C.11.1, C.11.2).
    provenance
        Where the pixels came from.
    flags
        What the reader should know about the reading, e.g. ``"voi_window_missing"``, ``"converted_from_colour"``.
    """

    pixels: StoredPixels
    provenance: Provenance
    flags: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        """Refuse anything but a two-dimensional unsigned image that has pixels."""
        pixels = self.pixels
        if pixels.ndim != 2 or pixels.size == 0 or pixels.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"pixels are {pixels.dtype} of shape {pixels.shape}; uint8 or uint16 (H, W) expected")

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])
