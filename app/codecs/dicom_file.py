"""A DICOM file to one display-ready film: file format, transfer syntax, refusals, pixels (PS3.10, PS3.5 annex A)."""

import zlib
from dataclasses import dataclass

from app.codecs.dicom_elements import Encoding, detected_encoding, read_elements
from app.codecs.dicom_frames import FrameLayout, decode_frame
from app.codecs.dicom_header import WANTED_TAGS, DicomHeader, Tag
from app.codecs.dicom_pixels import display_pixels
from app.codecs.dicom_refusals import refuse_by_header
from app.codecs.limits import DecodeLimits
from app.codecs.reading_flags import ReadingFlag
from app.domain.arrays import StoredPixels
from app.domain.errors import TooLargeError, UnreadableImageError, UnsupportedFormatError

_IMPLICIT_LITTLE = "1.2.840.10008.1.2"
_EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
_EXPLICIT_BIG = "1.2.840.10008.1.2.2"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_NATIVE = frozenset({_IMPLICIT_LITTLE, _EXPLICIT_LITTLE, _EXPLICIT_BIG, _DEFLATED})
_INFLATED_AT_ONCE_BYTES = 1 << 20
_META_GROUP_BYTES = b"\x02\x00"


@dataclass(frozen=True, slots=True)
class DicomFilm:
    """What a DICOM file holds of a film; see ``Provenance`` and ``Radiograph`` for the fields."""

    pixels: StoredPixels
    flags: tuple[str, ...]
    view_position: str | None
    photometric_interpretation: str
    pixel_spacing_mm: tuple[float, float] | None
    sop_instance_uid: str | None


def read_dicom(content: bytes, limits: DecodeLimits, *, tolerate_refusals: bool = False) -> DicomFilm:
    """Return the film in a DICOM file.

    Preamble, ``DICM`` and file meta information may be missing; the encoding of the dataset is then told from its
    first element. A deflated dataset is inflated within bounds before any of it is read.

    Raises
    ------
    ImageRefusedError
        If the object says it is not a single frontal chest film for presentation, or is too small.
    UnreadableImageError
        If the file is malformed or truncated.
    UnsupportedFormatError
        If its pixels are coded in a way that is not read here.
    TooLargeError
        If it exceeds the limits.
    """
    header, transfer_syntax = read_header(content, limits)
    flags: tuple[str, ...] = () if transfer_syntax else (ReadingFlag.FILE_META_MISSING,)
    if header.has(Tag.FLOAT_PIXEL_DATA) or header.has(Tag.DOUBLE_FLOAT_PIXEL_DATA):
        raise UnsupportedFormatError("float pixel data (7FE0,0008/0009) is not read")
    flags += refuse_by_header(header, limits, tolerate_refusals=tolerate_refusals)
    layout = FrameLayout.from_header(header)
    compressed = transfer_syntax is not None and transfer_syntax not in _NATIVE
    frame = decode_frame(header.elements[Tag.PIXEL_DATA], layout, compressed, limits)
    pixels, pixel_flags = display_pixels(frame, layout, header, limits)
    return DicomFilm(
        pixels=pixels,
        flags=(*flags, *pixel_flags),
        view_position=header.code_string(Tag.VIEW_POSITION),
        photometric_interpretation=layout.photometric_interpretation,
        pixel_spacing_mm=_pixel_spacing(header),
        sop_instance_uid=header.uid(Tag.SOP_INSTANCE_UID),
    )


def read_header(content: bytes, limits: DecodeLimits) -> tuple[DicomHeader, str | None]:
    """Return the elements a film is read from, and the transfer syntax UID, None where the file does not say."""
    view, start, encoding, transfer_syntax = open_dataset(content, limits)
    elements, _ = read_elements(view, start, encoding, WANTED_TAGS, limits)
    return DicomHeader(elements), transfer_syntax


def open_dataset(content: bytes, limits: DecodeLimits) -> tuple[memoryview, int, Encoding, str | None]:
    """Find the data set of a file: where it is (inflated where it was deflated), how it is coded, its transfer syntax.

    Returns
    -------
    memoryview, int
        Bytes, and where the data set begins in them.
    Encoding
        Of its first element, whatever was announced.
    str or None
        Transfer syntax UID; None where the file does not say.
    """
    view = memoryview(content)
    start = 132 if content[128:132] == b"DICM" else 4 if content.startswith(b"DICM") else 0
    transfer_syntax: str | None = None
    if content.startswith(_META_GROUP_BYTES, start):
        start, transfer_syntax = _read_file_meta(view, start, limits)
    if transfer_syntax == _DEFLATED:
        view, start = memoryview(_inflated(view[start:], limits)), 0
    announced = Encoding(transfer_syntax != _IMPLICIT_LITTLE, transfer_syntax != _EXPLICIT_BIG)
    return view, start, detected_encoding(view, start, announced), transfer_syntax


def _read_file_meta(view: memoryview, start: int, limits: DecodeLimits) -> tuple[int, str | None]:
    """Walk group 0002 element by element: its stated length is often wrong."""
    encoding = detected_encoding(view, start, Encoding(True, True))
    elements, end = read_elements(view, start, encoding, (Tag.TRANSFER_SYNTAX_UID,), limits, only_group=0x0002)
    return end, DicomHeader(elements).uid(Tag.TRANSFER_SYNTAX_UID)


def _inflated(deflated: memoryview, limits: DecodeLimits) -> bytearray:
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    inflated, rest = bytearray(), bytes(deflated)
    try:
        while rest and not inflater.eof:
            inflated += inflater.decompress(rest, _INFLATED_AT_ONCE_BYTES)
            rest = inflater.unconsumed_tail
            if len(inflated) > limits.max_inflated_bytes:
                raise TooLargeError(f"DICOM dataset inflates to more than {limits.max_inflated_bytes} bytes")
    except zlib.error as error:
        raise UnreadableImageError("deflated DICOM dataset does not inflate") from error
    return inflated


def _pixel_spacing(header: DicomHeader) -> tuple[float, float] | None:
    """Row and column spacing at the patient's plane where calibrated, else at the detector; None where not positive."""
    for tag in (Tag.PIXEL_SPACING, Tag.IMAGER_PIXEL_SPACING):
        spacing = header.numbers(tag)
        if len(spacing) == 2 and spacing[0] > 0 and spacing[1] > 0:
            return spacing[0], spacing[1]
    return None
