"""A film's lookup tables as results repeat them: those it is decoded with (PS3.3, C.11.1, C.11.2)."""

from typing import Final

from app.codecs.dicom_header import DicomHeader, Tag
from app.codecs.dicom_pixels import first_table
from app.codecs.grayscale import LookupTable
from app.codecs.limits import DecodeLimits
from app.domain.errors import ScreeningError
from app.domain.source_image import FilmLut

LUT_TAGS: Final = frozenset(
    {
        Tag.BITS_STORED, Tag.PIXEL_REPRESENTATION, Tag.RESCALE_SLOPE, Tag.RESCALE_INTERCEPT,
        Tag.MODALITY_LUT_SEQUENCE, Tag.VOI_LUT_SEQUENCE,
    }
)  # fmt: skip
"""The elements that are looked at."""
_MOST_BITS: Final = 16


def film_luts(header: DicomHeader, limits: DecodeLimits) -> tuple[FilmLut | None, FilmLut | None]:
    """Read a film's modality LUT and its first VOI LUT.

    Returns
    -------
    FilmLut or None, FilmLut or None
        None for both where either cannot be read: such a film cannot be shown, and is refused when it is decoded.
    """
    try:
        bits = min(header.word(Tag.BITS_STORED, _MOST_BITS), _MOST_BITS)
        signed = header.word(Tag.PIXEL_REPRESENTATION, 0) == 1
        modality = first_table(header, Tag.MODALITY_LUT_SEQUENCE, signed, limits)
        negative = modality is None and _lowest(header, bits, signed) < 0
        voi = first_table(header, Tag.VOI_LUT_SEQUENCE, negative, limits)
    except ScreeningError:
        return None, None
    return _kept(modality), _kept(voi)


def _lowest(header: DicomHeader, bits: int, signed: bool) -> float:
    """Give the least value that the rescale can put out."""
    low = -(1 << bits - 1) if signed and bits else 0
    ends = (low, low + (1 << bits) - 1)
    slope, intercept = header.numbers(Tag.RESCALE_SLOPE), header.numbers(Tag.RESCALE_INTERCEPT)
    factor, offset = (slope or (1.0,))[0], (intercept or (0.0,))[0]
    return float(low) if factor == 0 else min(factor * end + offset for end in ends)


def _kept(found: tuple[LookupTable, int] | None) -> FilmLut | None:
    if found is None:
        return None
    table, _ = found
    return FilmLut(table.first_mapped, int(table.white).bit_length(), table.entries.astype("<u2").tobytes())
