"""Stored values to display values: modality, VOI, one inversion (PACS notes, section 4; PS3.3 C.11)."""

import numpy as np
from numpy.typing import NDArray

from app.codecs.dicom_elements import first_item
from app.codecs.dicom_frames import Frame, FrameLayout
from app.codecs.dicom_header import DicomHeader, Tag
from app.codecs.grayscale import LookupTable, Values, Window, apply_window, rescale, stretch, to_display
from app.codecs.limits import DecodeLimits
from app.codecs.luminance import luminance
from app.codecs.reading_flags import ReadingFlag
from app.codecs.third_party_samples import stored_pixels
from app.domain.arrays import StoredPixels
from app.domain.errors import UnreadableImageError, UnsupportedFormatError

_LUT_TAGS = (Tag.LUT_DESCRIPTOR, Tag.LUT_DATA)
_PALETTES = (
    (Tag.RED_PALETTE_DESCRIPTOR, Tag.RED_PALETTE_DATA),
    (Tag.GREEN_PALETTE_DESCRIPTOR, Tag.GREEN_PALETTE_DATA),
    (Tag.BLUE_PALETTE_DESCRIPTOR, Tag.BLUE_PALETTE_DATA),
)


def display_pixels(
    frame: Frame, layout: FrameLayout, header: DicomHeader, limits: DecodeLimits
) -> tuple[StoredPixels, tuple[str, ...]]:
    """Return MONOCHROME2 display values, and flags.

    Images of 8 bits stay at 8 bits unless a lookup table puts out more; all others use the whole range of 16 bits.
    Colour images are reduced to their luma, to which no VOI window applies.
    """
    if layout.is_colour:
        return _colour_to_grey(frame, layout)
    if layout.photometric_interpretation == "PALETTE COLOR":
        return _palette_to_grey(frame, layout, header)
    table, flags = _display_table(frame.pixels, layout, header, limits)
    return table[frame.pixels], (*frame.flags, *flags)


def _display_table(
    pixels: StoredPixels, layout: FrameLayout, header: DicomHeader, limits: DecodeLimits
) -> tuple[StoredPixels, tuple[str, ...]]:
    """Return the display value of every bit pattern.

    Padding is black whatever the polarity, and does not count for the range. Without a VOI transform the range of the
    film's own values is used, except for 8-bit values without a modality transform: those are display values already,
    and a PNG of the same pixels must read the same.
    """
    stored = _values_of_patterns(layout)
    padding = _is_padding(stored, layout, header)
    values, modality_bits, flags = _modality(stored, layout, header, limits)
    brightness, voi_bits, voi_flags = _voi(values, header, limits)
    flags += voi_flags
    if brightness is None:
        if layout.bits_stored == 8 and not layout.is_signed and values is stored and not padding.any():
            brightness = stretch(values, 0, 255)
        else:
            present = np.zeros(len(stored), np.bool_)
            present[pixels] = True
            shown = values[present & ~padding]
            brightness = stretch(values, *((shown.min(), shown.max()) if shown.size else (0, 0)))
            flags += (ReadingFlag.VOI_WINDOW_MISSING,)
    inverted = (
        layout.photometric_interpretation == "MONOCHROME1"
        or header.code_string(Tag.PRESENTATION_LUT_SHAPE) == "INVERSE"
    )
    bits = 8 if max(layout.bits_stored, modality_bits, voi_bits) <= 8 else 16
    table = to_display(brightness, inverted, bits)
    if padding.any():
        table[padding] = 0
        flags += (ReadingFlag.PADDING_BLACKENED,)
    return table, flags


def _values_of_patterns(layout: FrameLayout) -> Values:
    patterns = np.arange(1 << layout.bits_stored, dtype=np.float64)
    if layout.is_signed:
        patterns[len(patterns) // 2 :] -= len(patterns)
    return patterns


def _is_padding(stored: Values, layout: FrameLayout, header: DicomHeader) -> NDArray[np.bool_]:
    """Tell which stored values are padding (PS3.3 C.7.5.1.1.2); the limits may come in either order."""
    value = header.words(Tag.PIXEL_PADDING_VALUE, layout.is_signed)
    if not value:
        return np.zeros(len(stored), np.bool_)
    limit = header.words(Tag.PIXEL_PADDING_RANGE_LIMIT, layout.is_signed) or value
    between: NDArray[np.bool_] = (stored >= min(value[0], limit[0])) & (stored <= max(value[0], limit[0]))
    return between


def _modality(
    stored: Values, layout: FrameLayout, header: DicomHeader, limits: DecodeLimits
) -> tuple[Values, int, tuple[str, ...]]:
    """Return values after the modality LUT or rescale, and the bits a LUT puts out."""
    table = first_table(header, Tag.MODALITY_LUT_SEQUENCE, layout.is_signed, limits)
    if table is not None:
        return table[0].apply(stored), table[0].bits, ()
    slope, intercept = header.numbers(Tag.RESCALE_SLOPE), header.numbers(Tag.RESCALE_INTERCEPT)
    if not slope and not intercept:
        return stored, 0, ()
    factor, offset = (slope or (1.0,))[0], (intercept or (0.0,))[0]
    if factor == 0:
        return stored, 0, (ReadingFlag.RESCALE_INVALID,)
    return (stored if (factor, offset) == (1.0, 0.0) else rescale(stored, factor, offset)), 0, ()


def _voi(values: Values, header: DicomHeader, limits: DecodeLimits) -> tuple[Values | None, int, tuple[str, ...]]:
    """Return brightness by the first VOI LUT, else by the first window; None where there is neither."""
    table = first_table(header, Tag.VOI_LUT_SEQUENCE, bool(values.min() < 0), limits)
    if table is not None:
        lookup, items = table
        brightness = lookup.apply(values) / lookup.white
        return brightness, lookup.bits, (ReadingFlag.VOI_SEVERAL,) if items > 1 else ()
    centres, widths = header.numbers(Tag.WINDOW_CENTER), header.numbers(Tag.WINDOW_WIDTH)
    if not centres or not widths:
        return None, 0, ()
    function = header.code_string(Tag.VOI_LUT_FUNCTION) or "LINEAR"
    window = Window(centres[0], widths[0], function)
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID") or not window.is_valid:
        return None, 0, (ReadingFlag.VOI_WINDOW_INVALID,)
    several = min(len(centres), len(widths)) > 1
    return apply_window(values, window), 0, (ReadingFlag.VOI_SEVERAL,) if several else ()


def first_table(header: DicomHeader, tag: int, signed: bool, limits: DecodeLimits) -> tuple[LookupTable, int] | None:
    """Read the first item of a LUT sequence; None where there is none.

    Parameters
    ----------
    header
        Of the film.
    tag
        `Tag.MODALITY_LUT_SEQUENCE` or `Tag.VOI_LUT_SEQUENCE`.
    signed
        Whether the table's inputs may be negative.
    limits
        Of what is walked over.

    Returns
    -------
    tuple or None
        The table, and how many items there are.

    Raises
    ------
    UnreadableImageError
        If the sequence or the table does not add up.
    TooLargeError
        If it has more elements than allowed.
    """
    if not header.has(tag):
        return None
    item = first_item(header.elements[tag], _LUT_TAGS, limits)
    if item is None:
        return None
    table = _lookup_table(DicomHeader(item[0]), Tag.LUT_DESCRIPTOR, Tag.LUT_DATA, signed)
    return table, item[1]


def _lookup_table(header: DicomHeader, descriptor_tag: int, data_tag: int, signed: bool) -> LookupTable:
    """Read descriptor and entries (PS3.3 C.11.1.1.1, C.7.6.3.1.5)."""
    descriptor, data = header.words(descriptor_tag), header.elements.get(data_tag)
    if len(descriptor) != 3 or data is None:
        raise UnreadableImageError(f"LUT ({descriptor_tag >> 16:04X},{descriptor_tag & 0xFFFF:04X}) is incomplete")
    count, first_mapped, bits = descriptor[0] or 1 << 16, descriptor[1], descriptor[2]
    explicitly_signed = header.elements[descriptor_tag].vr == "SS"
    if (signed or explicitly_signed) and first_mapped >= 1 << 15:
        first_mapped -= 1 << 16
    if not 1 <= bits <= 16:
        raise UnreadableImageError(f"LUT has {bits} bits an entry; 8 to 16 expected")
    entries: NDArray[np.uint16]
    if len(data.value) >= 2 * count:
        entries = np.frombuffer(data.value, data.encoding.order + "u2", count).astype(np.uint16)
    elif len(data.value) >= count:  # 8-bit entries, packed
        entries = np.frombuffer(data.value, np.uint8, count).astype(np.uint16)
    else:
        raise UnreadableImageError(f"LUT has {len(data.value)} bytes for {count} entries")
    return LookupTable(first_mapped, bits, entries)


def _colour_to_grey(frame: Frame, layout: FrameLayout) -> tuple[StoredPixels, tuple[str, ...]]:
    flags = frame.flags
    grey = frame.pixels
    if not frame.is_luma:
        grey, coloured = luminance(frame.pixels)
        if coloured:
            flags += (ReadingFlag.CONVERTED_FROM_COLOUR,)
    spare_bits = 8 * grey.dtype.itemsize - layout.bits_stored
    return stored_pixels(grey << spare_bits if spare_bits else grey), flags


def _palette_to_grey(frame: Frame, layout: FrameLayout, header: DicomHeader) -> tuple[StoredPixels, tuple[str, ...]]:
    if not all(header.has(tag) for _, tag in _PALETTES):
        raise UnsupportedFormatError(
            "PALETTE COLOR without plain palette data (0028,1201); segmented ones are not read"
        )
    stored = _values_of_patterns(layout)
    tables = [_lookup_table(header, descriptor, data, layout.is_signed) for descriptor, data in _PALETTES]
    white = max(table.white for table in tables)
    rgb = np.stack([np.rint(table.apply(stored) * (0xFFFF / white)) for table in tables], axis=-1).astype(np.uint16)
    table, _ = luminance(rgb[np.newaxis])
    _, coloured = luminance(rgb[np.newaxis, np.unique(frame.pixels)])
    flags = (*frame.flags, ReadingFlag.CONVERTED_FROM_COLOUR) if coloured else frame.flags
    if white <= 0xFF:
        table = np.rint(table / 257).astype(np.uint8)
    return table[0][frame.pixels], flags
