"""The patient and study elements of a kept header, decoded (PS3.5 section 6.1; PS3.3 C.7.1.1, C.7.2.1).

The header is our own writing: short elements, no sequence. It is walked here, because pydicom logs and warns about
values that it finds odd, and repeats them.
"""

import re
import struct
from typing import Final

from pydicom.charset import TEXT_VR_DELIMS, convert_encodings, decode_bytes

from app.domain.source_image import SourceImage
from app.services.hospital.study_identity import StudyIdentity

_CHARACTER_SET, _ACCESSION, _STUDY_DATE = 0x00080005, 0x00080050, 0x00080020
_PATIENT_ID, _ISSUER = 0x00100020, 0x00100021
_DATE: Final = re.compile(r"(\d{4})\.?(0[1-9]|1[0-2])\.?(0[1-9]|[12]\d|3[01])")


def study_identity(source: SourceImage) -> StudyIdentity:
    """Read what `SourceImage.header` says of patient and study; what cannot be read is absent."""
    elements = _elements(source.header)
    encodings = _encodings(elements.get(_CHARACTER_SET, b""))
    date = _DATE.fullmatch(_text(elements.get(_STUDY_DATE, b""), encodings))
    return StudyIdentity(
        patient_id=_text(elements.get(_PATIENT_ID, b""), encodings),
        issuer=_text(elements.get(_ISSUER, b""), encodings),
        accession_number=_text(elements.get(_ACCESSION, b""), encodings),
        study_date="-".join(date.groups()) if date else None,
    )


def _elements(header: bytes) -> dict[int, bytes]:
    """Explicit VR Little Endian, VRs with a 16-bit length (PS3.5, 7.1.2)."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 8 <= len(header):
        group, number, length = struct.unpack_from("<HH2xH", header, at)
        found[group << 16 | number] = header[at + 8 : at + 8 + length]
        at += 8 + length
    return found


def _encodings(charset: bytes) -> list[str]:
    try:
        return convert_encodings([term.strip(" \0") for term in charset.decode("latin-1").split("\\")])
    except (LookupError, ValueError, UserWarning):
        return ["latin-1"]


def _text(value: bytes, encodings: list[str]) -> str:
    try:
        text = decode_bytes(value, encodings, TEXT_VR_DELIMS)
    except (LookupError, ValueError, UserWarning):
        text = value.decode("latin-1")
    return text.strip(" \0")
