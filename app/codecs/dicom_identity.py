"""Whose a received DICOM object is, and which: read within bounds, without decoding pixels (PS3.3 C.7.1 to C.7.6)."""

import hashlib
import hmac
import re
import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Final

from app.codecs.dicom_elements import Element, Encoding, read_elements
from app.codecs.dicom_file import open_dataset
from app.codecs.dicom_header import DicomHeader, Tag
from app.codecs.dicom_luts import LUT_TAGS, film_luts
from app.codecs.limits import DecodeLimits
from app.codecs.sniffing import ImageFormat, sniff
from app.domain.errors import IntakeReason, IntakeRefusedError
from app.domain.source_image import SourceImage

_EXPLICIT: Final = Encoding(explicit=True, little_endian=True)
_STUDY_UID, _SERIES_UID = 0x0020000D, 0x0020000E
_PATIENT_ID, _ISSUER = 0x00100020, 0x00100021
_TIMEZONE: Final = 0x00080201
_DATES: Final = ((0x00080022, 0x00080032), (0x00080023, 0x00080033), (0x00080021, 0x00080031), (0x00080020, 0x00080030))
"""Date and time of acquisition, content, series and study: the first pair that is there counts."""
_LONGEST_VALUE_BYTES: Final = 4096
_UID: Final = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
_DATE: Final = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_TIME: Final = re.compile(r"(\d{2}):?(\d{2})?:?(\d{2})?(?:\.(\d{1,6}))?")
_ZONE: Final = re.compile(r"([+-])(\d{2})(\d{2})")

# fmt: off
REPEATED: Final[Mapping[int, str]] = MappingProxyType({
    0x00080005: "CS", 0x00080008: "CS", 0x00080016: "UI", 0x00080018: "UI", 0x00080020: "DA", 0x00080021: "DA",
    0x00080022: "DA", 0x00080023: "DA", 0x00080030: "TM", 0x00080031: "TM", 0x00080032: "TM", 0x00080033: "TM",
    0x00080050: "SH", 0x00080060: "CS", 0x00080068: "CS", 0x00080070: "LO", 0x00080080: "LO", 0x00080090: "PN",
    0x00080201: "SH", 0x00081030: "LO", 0x0008103E: "LO", 0x00081090: "LO",
    0x00100010: "PN", 0x00100020: "LO", 0x00100021: "LO", 0x00100030: "DA", 0x00100032: "TM", 0x00100040: "CS",
    0x00101010: "AS", 0x00101020: "DS", 0x00101030: "DS",
    0x00120062: "CS", 0x00180015: "CS", 0x00181164: "DS", 0x00185101: "CS",
    0x0020000D: "UI", 0x0020000E: "UI", 0x00200010: "SH", 0x00200011: "IS", 0x00200013: "IS", 0x00200020: "CS",
    0x00200052: "UI", 0x00200060: "CS", 0x00200062: "CS",
    0x00280002: "US", 0x00280004: "CS", 0x00280010: "US", 0x00280011: "US", 0x00280030: "DS", 0x00280034: "IS",
    0x00280301: "CS", 0x00281050: "DS", 0x00281051: "DS", 0x00281052: "DS", 0x00281053: "DS", 0x00281054: "LO",
    0x00281056: "CS", 0x00282110: "CS", 0x00282112: "DS", 0x00282114: "CS", 0x20500020: "CS",
})
# fmt: on
"""The elements that results repeat, and their VRs (PS3.6); no sequence is among them."""


class DicomObjectReader:
    """`ObjectReader` over the bounded walker.

    Parameters
    ----------
    limits
        As for decoding.
    patient_secret
        Key of the hash that stands for a patient.
    """

    def __init__(self, limits: DecodeLimits, patient_secret: bytes) -> None:
        self._limits, self._secret = limits, patient_secret

    def identify(self, content: bytes) -> SourceImage | None:
        """Give an object's identity; None for PNG and JPEG; see `ObjectReader`."""
        self._limits.check_content(len(content))
        if sniff(content) is not ImageFormat.DICOM:
            return None
        view, start, encoding, transfer_syntax = open_dataset(content, self._limits)
        wanted = {*REPEATED, *LUT_TAGS, Tag.PIXEL_DATA}
        elements, _ = read_elements(view, start, encoding, wanted, self._limits)
        header = DicomHeader(elements)
        modality_lut, voi_lut = film_luts(header, self._limits)
        return SourceImage(
            sop_class_uid=_uid(header, Tag.SOP_CLASS_UID, "SOP Class UID (0008,0016)"),
            sop_instance_uid=_uid(header, Tag.SOP_INSTANCE_UID, "SOP Instance UID (0008,0018)"),
            series_instance_uid=_uid(header, _SERIES_UID, "Series Instance UID (0020,000E)"),
            study_instance_uid=_uid(header, _STUDY_UID, "Study Instance UID (0020,000D)"),
            transfer_syntax_uid=transfer_syntax,
            modality=header.code_string(Tag.MODALITY),
            rows=header.word(Tag.ROWS, 0),
            columns=header.word(Tag.COLUMNS, 0),
            header=_repeated(elements),
            modality_lut=modality_lut,
            voi_lut=voi_lut,
        )

    def dataset_sha256(self, content: bytes) -> str:
        """Hash an object's data set; the whole file where it is no DICOM object."""
        if sniff(content) is not ImageFormat.DICOM:
            return hashlib.sha256(content).hexdigest()
        view, start, _, transfer_syntax = open_dataset(content, self._limits)
        digest = hashlib.sha256((transfer_syntax or "").encode())
        digest.update(view[start:])
        return digest.hexdigest()

    def patient_key(self, source: SourceImage) -> str | None:
        """Give the keyed hash (HMAC-SHA-256) of issuer and patient ID."""
        elements, _ = read_elements(memoryview(source.header), 0, _EXPLICIT, (_PATIENT_ID, _ISSUER), self._limits)
        header = DicomHeader(elements)
        patient = (header.strings(_PATIENT_ID) or ("",))[0]
        if not patient:
            return None
        issuer = (header.strings(_ISSUER) or ("",))[0]
        return hmac.new(self._secret, f"{issuer}\0{patient}".encode(), hashlib.sha256).hexdigest()

    def acquired_at(self, source: SourceImage) -> datetime | None:
        """Give date and time of the film; without a time zone in the header its clock is taken for UTC."""
        wanted = {_TIMEZONE, *(tag for pair in _DATES for tag in pair)}
        header = DicomHeader(read_elements(memoryview(source.header), 0, _EXPLICIT, wanted, self._limits)[0])
        zone = _zone((header.strings(_TIMEZONE) or ("",))[0])
        for date_tag, time_tag in _DATES:
            date = (header.strings(date_tag) or ("",))[0]
            if found := _moment(date, (header.strings(time_tag) or ("",))[0], zone):
                return found
        return None


def _uid(header: DicomHeader, tag: int, name: str) -> str:
    if not header.has(tag):
        raise IntakeRefusedError(IntakeReason.MISSING_UID, f"{name} is missing")
    found = header.uid(tag)
    if found is None or not _UID.fullmatch(found):
        raise IntakeRefusedError(IntakeReason.INVALID_UID, f"{name} is no UID (PS3.5, 9.1)")
    return found


def _repeated(elements: Mapping[int, Element]) -> bytes:
    """Write the elements again, Explicit VR Little Endian, in order; values that are too long are left out."""
    written = bytearray()
    for tag, vr in sorted(REPEATED.items()):
        element = elements.get(tag)
        if element is None or element.fragments is not None or len(element.value) > _LONGEST_VALUE_BYTES:
            continue
        value = bytes(element.value)
        if vr == "US":
            words = struct.unpack(f"{element.encoding.order}{len(value) // 2}H", value[: len(value) // 2 * 2])
            value = struct.pack(f"<{len(words)}H", *words)
        if len(value) % 2:
            value += b"\0" if vr == "UI" else b" "
        written += struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(value)) + value
    return bytes(written)


def _zone(text: str) -> timezone:
    found = _ZONE.fullmatch(text)
    if found is None:
        return UTC
    minutes = int(found[2]) * 60 + int(found[3])
    return timezone(timedelta(minutes=minutes if found[1] == "+" else -minutes)) if minutes < 24 * 60 else UTC


def _moment(date: str, time: str, zone: timezone) -> datetime | None:
    day, clock = _DATE.fullmatch(date), _TIME.match(time)
    if day is None:
        return None
    hour, minute, second, fraction = clock.groups(default="0") if clock else ("0", "0", "0", "0")
    try:
        return datetime(
            int(day[1]), int(day[2]), int(day[3]), int(hour), int(minute), min(int(second), 59),
            int(fraction.ljust(6, "0")), tzinfo=zone,
        )  # fmt: skip
    except (ValueError, OverflowError):
        return None
