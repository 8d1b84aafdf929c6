"""Films that may leave the hospital: the Basic Application Level Confidentiality Profile of PS3.15 Annex E.

A new object is written from what `app.pacs.deidentification_table` lets stay; nothing is deleted from the old one, so
nothing can be forgotten in it. The same key gives the same pseudonyms and UIDs, so that the films of a patient, a study
and a series stay together, in one export or in several; without the key nobody can tell which they were.
"""

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Final

from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from app.domain.errors import InvalidRequestError, TooLargeError, UnreadableImageError, UnsupportedFormatError
from app.pacs.clean_pixels import Box, compressed, decompressed, layout_of, native
from app.pacs.deidentification_rules import Pseudonyms, kept_elements, raw_bytes, raw_text, swapped
from app.pacs.deidentification_table import CAPTURE_CLASSES, IMAGE_CLASSES

MIN_KEY_BYTES: Final = 16
_SOP_CLASS, _PATIENT_ID, _ISSUER, _STUDY, _BURNED_IN = 0x00080016, 0x00100020, 0x00100021, 0x0020000D, 0x00280301
_PIXEL_DATA: Final = 0x7FE00010
_NATIVE: Final = frozenset({ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian})
_COMPRESSED: Final = "1.2.840.10008.1.2.4."
_RLE: Final = "1.2.840.10008.1.2.5"
_METHODS: Final = {
    "113100": "Basic Application Confidentiality Profile",
    "113101": "Clean Pixel Data Option",
    "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
    "113108": "Retain Patient Characteristics Option",
}


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What is wanted beside the Basic Profile.

    Attributes
    ----------
    modified_dates
        Dates are shifted, by the same number of days for every film of a patient, and times kept; else both are
        emptied.
    patient_characteristics
        Sex, and age up to 89 years, stay.
    blank_boxes
        ``(x0, y0, x1, y1)`` in pixels that are blanked in every frame: where somebody saw text. What is compressed is
        decompressed for it.
    pixels_inspected
        Somebody looked at these pixels, or has other reasons to say that they name nobody.
    even_if_pixels_may_identify
        Exports what may be identified by its pixels too, marked as not de-identified.
    max_bytes, max_pixels
        Of one object, inflated.
    """

    modified_dates: bool = False
    patient_characteristics: bool = False
    blank_boxes: tuple[Box, ...] = ()
    pixels_inspected: bool = False
    even_if_pixels_may_identify: bool = False
    max_bytes: int = 256 * 1024 * 1024
    max_pixels: int = 100_000_000


def deidentified(content: bytes, key: bytes, options: ExportOptions | None = None) -> bytes:
    """Write a film anew without what identifies its patient.

    Parameters
    ----------
    content
        A Part 10 file of an image.
    key
        At least 16 bytes, kept in the hospital: it makes pseudonyms, UIDs and the shift of dates.
    options
        Beside the Basic Profile.

    Returns
    -------
    bytes
        A Part 10 file. ``PatientIdentityRemoved`` is YES only where the pixels are clean: the object says that nothing
        is burned in and is no capture of unknown source, or boxes were blanked, or somebody looked.

    Raises
    ------
    InvalidRequestError
        If the pixels may identify the patient and nothing was said about it.
    UnsupportedFormatError
        If it is no image that can be exported, or of a transfer syntax that cannot.
    UnreadableImageError, TooLargeError
        If it is malformed or beyond the limits.
    ValueError
        If the key is too short.
    """
    options = options or ExportOptions()
    if len(key) < MIN_KEY_BYTES:
        raise ValueError(f"the key has {len(key)} bytes; at least {MIN_KEY_BYTES} expected")
    source, transfer_syntax = _opened(content, options)
    sop_class = raw_text(source, _SOP_CLASS)
    if sop_class not in IMAGE_CLASSES:
        raise UnsupportedFormatError("(0008,0016) is no projection radiograph or capture: it cannot be exported")
    clean = _pixels_are_clean(source, sop_class, options)
    if not clean and not options.even_if_pixels_may_identify:
        raise InvalidRequestError(
            "the pixels may identify the patient ((0028,0301) Burned In Annotation, or a capture of unknown source): "
            "blank boxes, say that somebody inspected them, or export them marked as not de-identified"
        )
    patient = f"{raw_text(source, _ISSUER)}\0{raw_text(source, _PATIENT_ID)}"
    pseudonyms = Pseudonyms(key, patient if patient != "\0" else raw_text(source, _STUDY))
    exported = kept_elements(
        source, pseudonyms, dates=options.modified_dates, characteristics=options.patient_characteristics
    )
    for required in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        if required not in exported:
            raise UnreadableImageError(f"{required} is missing")
    _say_what_was_done(exported, clean, options)
    written_as = _take_pixels(source, exported, transfer_syntax, options)
    return _written(exported, written_as)


def _opened(content: bytes, options: ExportOptions) -> tuple[Dataset, UID]:
    if len(content) > options.max_bytes:
        raise TooLargeError(f"{len(content)} bytes; {options.max_bytes} allowed")
    try:
        if _transfer_syntax(content) == DeflatedExplicitVRLittleEndian:
            return _inflated(content, options.max_bytes), ExplicitVRLittleEndian
        source = dcmread(io.BytesIO(content), force=True)
        implied = "1.2.840.10008.1.2" if source.original_encoding[0] else ExplicitVRLittleEndian
        return source, UID(_transfer_syntax(content) or implied)
    except TooLargeError:
        raise
    except Exception as error:  # pydicom raises whatever the bytes lead it to
        raise UnreadableImageError("the DICOM data set is malformed") from error


def _meta_elements(content: bytes) -> tuple[dict[int, bytes], int]:
    """File meta information by tag, and where the data set begins (PS3.10, 7.1)."""
    found: dict[int, bytes] = {}
    at = 132
    if content[128:132] != b"DICM":
        return found, 0
    while at + 12 <= len(content) and content[at : at + 2] == b"\x02\x00":
        (number,) = struct.unpack_from("<H", content, at + 2)
        long = content[at + 4 : at + 6] in (b"OB", b"UN")
        (length,) = struct.unpack_from("<I" if long else "<H", content, at + (8 if long else 6))
        begin = at + (12 if long else 8)
        found[0x00020000 | number] = content[begin : begin + length]
        at = begin + length
    return found, at


def _transfer_syntax(content: bytes) -> str:
    return _meta_elements(content)[0].get(0x00020010, b"").decode("ascii", "replace").strip(" \0")


def _inflated(content: bytes, most: int) -> Dataset:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = inflater.decompress(content[_meta_elements(content)[1] :], most)
    if inflater.unconsumed_tail:
        raise TooLargeError(f"the inflated data set exceeds {most} bytes")
    return read_dataset(io.BytesIO(plain), is_implicit_VR=False, is_little_endian=True)


def _pixels_are_clean(source: Dataset, sop_class: str, options: ExportOptions) -> bool:
    if options.blank_boxes or options.pixels_inspected:
        return True
    return sop_class not in CAPTURE_CLASSES and raw_text(source, _BURNED_IN).upper() != "YES"


def _say_what_was_done(exported: Dataset, clean: bool, options: ExportOptions) -> None:
    exported.PatientIdentityRemoved = "YES" if clean else "NO"
    exported.LongitudinalTemporalInformationModified = "MODIFIED" if options.modified_dates else "REMOVED"
    if options.blank_boxes or options.pixels_inspected:
        exported.BurnedInAnnotation = "NO"
    if not clean:
        exported.DeidentificationMethod = "Discern: attributes only, pixels may identify the patient"
        return
    exported.DeidentificationMethod = "Discern: PS3.15 Annex E Basic Profile"
    applied = ["113100"]
    applied += ["113101"] if options.blank_boxes else []
    applied += ["113107"] if options.modified_dates else []
    applied += ["113108"] if options.patient_characteristics else []
    items = []
    for code in applied:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "DCM", _METHODS[code]
        items.append(item)
    exported.DeidentificationMethodCodeSequence = items


def _take_pixels(source: Dataset, exported: Dataset, transfer_syntax: UID, options: ExportOptions) -> UID:
    """Add clean pixel data; give the transfer syntax it is in."""
    layout = layout_of(exported, options.max_pixels)
    content = raw_bytes(source, _PIXEL_DATA)
    if not content:
        raise UnsupportedFormatError("an object without pixels cannot be exported")
    is_jpeg, is_rle = transfer_syntax.startswith(_COMPRESSED), transfer_syntax == _RLE
    if not (is_jpeg or is_rle or transfer_syntax in _NATIVE):
        raise UnsupportedFormatError("(0002,0010) is no transfer syntax that can be exported")
    if is_rle or (is_jpeg and options.blank_boxes):  # RLE has no known end; boxes need pixels
        content = decompressed(content, transfer_syntax, exported)
        layout, transfer_syntax = layout_of(exported, options.max_pixels), ExplicitVRLittleEndian
    elif is_jpeg:
        exported.add_new(_PIXEL_DATA, "OB", compressed(content, layout))
        exported["PixelData"].is_undefined_length = True
        return transfer_syntax
    if transfer_syntax == ExplicitVRBigEndian and layout.bits_allocated > 8:
        content = swapped(content, layout.bits_allocated // 8)
    wide = layout.bits_allocated > 8
    exported.add_new(_PIXEL_DATA, "OW" if wide else "OB", native(content, layout, options.blank_boxes))
    return ExplicitVRLittleEndian


def _written(exported: Dataset, transfer_syntax: UID) -> bytes:
    """A Part 10 file whose meta information is made anew: no AE titles, an empty preamble."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = exported.SOPClassUID
    meta.MediaStorageSOPInstanceUID = exported.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax
    buffer = io.BytesIO()
    exported.file_meta, exported.preamble = meta, bytes(128)
    dcmwrite(buffer, exported, enforce_file_format=True)
    return buffer.getvalue()
