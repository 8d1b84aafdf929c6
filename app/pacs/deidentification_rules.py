"""The rules of `app.pacs.deidentification_table`, applied to the raw bytes of a data set's elements.

Raw, because pydicom's conversions repeat in logs and warnings what they find odd, and because a value is to be taken
for what the standard says it is, not for what its sender says.
"""

import functools
import hashlib
import hmac
import math
import re
import struct
import uuid
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final, TypeAlias

from pydicom.datadict import dictionary_VM, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.sr.coding import snomed_mapping
from pydicom.uid import UID_dictionary

from app.pacs.deidentification_table import DESCRIPTOR_OF, KEPT, NESTED_IN_CODES, VENDORS, Kept, Rule

_NUMBER_FORMATS: Final = {"US": "H", "SS": "h"}
_DESCRIPTORS: Final = frozenset(DESCRIPTOR_OF.values())
_PIXEL_REPRESENTATION: Final = 0x00280103
_CODE_VALUE, _SCHEME = 0x00080100, 0x00080102
_PATIENT_AGE: Final = 0x00101010
_DECIMAL: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_INTEGER: Final = re.compile(r"[+-]?\d{1,10}")
_DATE: Final = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_TIME: Final = re.compile(r"([01]\d|2[0-3]):?(?:([0-5]\d):?(?:([0-5]\d)(\.\d{1,6})?)?)?")
_AGE: Final = re.compile(r"(\d{3})([DWMY])")
_OLDEST_YEARS: Final = 89
_MOST_VALUES, _MOST_ITEMS, _MOST_DEPTH = 64, 64, 4
_LEGACY_SNOMED: Final = frozenset({"SRT", "SNM3", "99SDM"})


def raw_bytes(source: Dataset, tag: int) -> bytes:
    """An element's value as it lies in the file; empty where it is absent or a sequence."""
    if tag not in source:
        return b""
    value = source.get_item(tag).value
    return value if isinstance(value, bytes) else b""


def raw_text(source: Dataset, tag: int) -> str:
    """An element's value as ASCII without padding; other letters are kept apart, byte by byte."""
    return raw_bytes(source, tag).decode("latin-1").strip(" \0")


class Pseudonyms:
    """What stands for a patient and for UIDs: keyed hashes.

    Parameters
    ----------
    key
        Stays in the hospital.
    patient
        Issuer and patient ID.
    """

    def __init__(self, key: bytes, patient: str) -> None:
        self._key, self._patient = key, patient

    @property
    def patient(self) -> str:
        """A name of 13 characters."""
        return f"P{self._hashed('patient', self._patient).hex()[:12].upper()}"

    @property
    def shift_days(self) -> int:
        """Days by which every date of the patient is moved into the past: 1 to 3650."""
        return 1 + int.from_bytes(self._hashed("dates", self._patient)[:8], "big") % 3650

    def uid(self, original: str) -> str:
        """The UID that stands for another: ``2.25.`` and a UUID (PS3.5, B.2)."""
        return f"2.25.{uuid.UUID(bytes=self._hashed('uid', original)[:16], version=5).int}"

    def _hashed(self, purpose: str, text: str) -> bytes:
        return hmac.new(self._key, f"{purpose}\0{text}".encode(), hashlib.sha256).digest()


def kept_elements(
    source: Dataset, pseudonyms: Pseudonyms, *, dates: bool = False, characteristics: bool = False
) -> Dataset:
    """Write a new data set from what may stay of another.

    Parameters
    ----------
    source
        As received.
    pseudonyms
        Of its patient.
    dates
        Shift dates and keep times, instead of emptying both.
    characteristics
        Keep sex and age.
    """
    return _Table(pseudonyms, dates, characteristics).applied(source, depth=0)


_Applied: TypeAlias = tuple[str, object] | None
"""VR and value; None removes the attribute."""


class _Table:
    def __init__(self, pseudonyms: Pseudonyms, dates: bool, characteristics: bool) -> None:
        self._pseudonyms, self._dates, self._characteristics = pseudonyms, dates, characteristics
        self._rules: Mapping[Rule, Callable[[Dataset, int, Kept], _Applied]] = {
            Rule.NUMBERS: _numbers,
            Rule.DECIMALS: _decimals,
            Rule.TERMS: _terms,
            Rule.CLASS_UID: _class_uid,
            Rule.UID: self._uid,
            Rule.EMPTY: _emptied,
            Rule.PSEUDONYM: self._pseudonym,
            Rule.DATE: self._date,
            Rule.TIME: self._time,
            Rule.CHARACTERISTIC: self._characteristic,
            Rule.VENDOR: _vendor,
            Rule.TABLE: _table_values,
        }

    def applied(self, source: Dataset, depth: int) -> Dataset:
        kept = Dataset()
        present = [(tag, how) for tag, how in KEPT.items() if tag in source]
        for tag, how in present:
            result = self._rules[how.rule](source, tag, how) if how.rule in self._rules else None
            if result is not None:
                kept.add_new(tag, *result)
        # Sequences come last: to read one, pydicom converts other elements of the data set, and the raw bytes are gone.
        for tag, how in present:
            if how.rule is Rule.ITEMS:
                kept.add_new(tag, "SQ", Sequence(self._items(source, tag, depth)))
            elif how.rule is Rule.CODES:
                kept.add_new(tag, "SQ", Sequence(_codes(source, tag, depth)))
        return kept

    def _items(self, source: Dataset, tag: int, depth: int) -> list[Dataset]:
        if depth >= _MOST_DEPTH:
            return []
        found = [self.applied(item, depth + 1) for item in _sequence(source, tag)]
        return [item for item in found if len(item)]

    def _uid(self, source: Dataset, tag: int, _: Kept) -> _Applied:
        text = raw_text(source, tag)
        if not text:
            return None
        return "UI", text if text in UID_dictionary else self._pseudonyms.uid(text)

    def _pseudonym(self, source: Dataset, tag: int, _: Kept) -> _Applied:  # noqa: ARG002 - a rule's parameters
        return dictionary_VR(tag), self._pseudonyms.patient

    def _date(self, source: Dataset, tag: int, _: Kept) -> _Applied:
        found = _DATE.fullmatch(raw_text(source, tag)) if self._dates else None
        if found is None:
            return "DA", ""
        try:
            moved = date(int(found[1]), int(found[2]), int(found[3])) - timedelta(days=self._pseudonyms.shift_days)
        except (ValueError, OverflowError):
            return "DA", ""
        return "DA", f"{moved:%Y%m%d}" if moved.year >= 1000 else ""

    def _time(self, source: Dataset, tag: int, _: Kept) -> _Applied:
        found = _TIME.fullmatch(raw_text(source, tag)) if self._dates else None
        return "TM", "".join(part or "" for part in found.groups()) if found else ""

    def _characteristic(self, source: Dataset, tag: int, how: Kept) -> _Applied:
        if tag != _PATIENT_AGE:
            return _terms(source, tag, how) if self._characteristics else ("CS", "")
        found = _AGE.fullmatch(raw_text(source, tag)) if self._characteristics else None
        if found is None:
            return None
        old = found[2] == "Y" and int(found[1]) > _OLDEST_YEARS
        return "AS", f"{_OLDEST_YEARS + 1:03}Y" if old else found[0]


def _numbers(source: Dataset, tag: int, _: Kept) -> _Applied:
    element: object = source.get_item(tag)
    vr = _number_vr(source, tag, element)
    content = raw_bytes(source, tag)
    order = "<" if not isinstance(element, RawDataElement) or element.is_little_endian else ">"
    count = int(dictionary_VM(tag))
    if len(content) != count * struct.calcsize(_NUMBER_FORMATS[vr]):
        return None
    values = struct.unpack(f"{order}{count}{_NUMBER_FORMATS[vr]}", content)
    if tag in _DESCRIPTORS and not 1 <= values[2] <= 16:
        return None
    return vr, values[0] if count == 1 else list(values)


def _number_vr(source: Dataset, tag: int, element: object) -> str:
    """The VR of a number; of "US or SS" by what the sender says, else by the pixels' sign."""
    vr = dictionary_VR(tag)
    if not vr.startswith("US or SS"):
        return vr
    if tag in _DESCRIPTORS:
        return "US"
    said = element.VR if isinstance(element, RawDataElement) else None
    if said in ("US", "SS"):
        return said
    return "SS" if raw_bytes(source, _PIXEL_REPRESENTATION)[:2].strip(b"\0") else "US"


def _decimals(source: Dataset, tag: int, _: Kept) -> _Applied:
    vr = dictionary_VR(tag)
    values = [part.strip() for part in raw_text(source, tag).split("\\")][:_MOST_VALUES]
    pattern = _INTEGER if vr == "IS" else _DECIMAL
    if not all(len(value) <= 16 and pattern.fullmatch(value) and math.isfinite(float(value)) for value in values):
        return vr, ""
    return vr, values


def _terms(source: Dataset, tag: int, how: Kept) -> _Applied:
    values = [part.strip().upper() for part in raw_text(source, tag).split("\\")][:_MOST_VALUES]
    known = [value if value in how.terms else "" for value in values]
    return "CS", known if any(known) else ""


def _class_uid(source: Dataset, tag: int, _: Kept) -> _Applied:
    text = raw_text(source, tag)
    return ("UI", text) if text in UID_dictionary else None


def _emptied(source: Dataset, tag: int, _: Kept) -> _Applied:  # noqa: ARG001 - a rule's parameters
    vr = dictionary_VR(tag)
    return vr, Sequence([]) if vr == "SQ" else ""


def _vendor(source: Dataset, tag: int, _: Kept) -> _Applied:
    text = f"{raw_text(source, tag)} ".lower()
    return "LO", next((name for begins, name in VENDORS.items() if text.startswith(begins)), "")


def _table_values(source: Dataset, tag: int, _: Kept) -> _Applied:
    """Values of a lookup table, as many as its descriptor says (PS3.3 C.11.1.1)."""
    descriptor = _numbers(source, DESCRIPTOR_OF[tag], Kept(Rule.NUMBERS)) if DESCRIPTOR_OF[tag] in source else None
    if descriptor is None or not isinstance(descriptor[1], list) or len(descriptor[1]) != 3:
        return None
    entries, _, bits = descriptor[1]
    length = (entries or 65536) * (1 if bits <= 8 and len(raw_bytes(source, tag)) <= (entries or 65536) + 1 else 2)
    content = raw_bytes(source, tag)
    if len(content) < length:
        return None
    element: object = source.get_item(tag)
    swap = isinstance(element, RawDataElement) and not element.is_little_endian
    content = content[:length]
    return "OW", swapped(content, 2) if swap else content + bytes(length % 2)


def swapped(content: bytes, width: int) -> bytes:
    """Words of so many bytes in the other byte order; what is left over is cut off."""
    whole = bytearray(content[: len(content) // width * width])
    result = bytearray(len(whole))
    for index in range(width):
        result[index::width] = whole[width - 1 - index :: width]
    return bytes(result)


def _sequence(source: Dataset, tag: int) -> list[Dataset]:
    """The items of a sequence, at most so many; none where it is not one."""
    value = source[tag].value
    return list(value)[:_MOST_ITEMS] if isinstance(value, Sequence) else []


def _codes(source: Dataset, tag: int, depth: int) -> list[Dataset]:
    """Items whose code is in the dictionary; of another nothing is known to be no name."""
    found: list[Dataset] = []
    for item in _sequence(source, tag) if depth < _MOST_DEPTH else ():
        value, scheme = raw_text(item, _CODE_VALUE), raw_text(item, _SCHEME)
        if scheme in _LEGACY_SNOMED:
            scheme, value = "SCT", snomed_mapping["SRT"].get(value, "")
        meaning = _dictionary().get((scheme, value))
        if meaning is None:
            continue
        kept = Dataset()
        kept.CodeValue, kept.CodingSchemeDesignator, kept.CodeMeaning = value, scheme, meaning
        for nested in NESTED_IN_CODES:
            if nested in item and (inner := _codes(item, nested, depth + 1)):
                kept.add_new(nested, "SQ", Sequence(inner))
        found.append(kept)
    return found


@functools.cache
def _dictionary() -> Mapping[tuple[str, str], str]:
    """Meaning by scheme and code, of SNOMED CT and DCM as far as DICOM uses them."""
    known = {
        (scheme, code.value): code.meaning
        for scheme in ("SCT", "DCM")
        for name in getattr(codes, scheme).dir()
        for code in [getattr(getattr(codes, scheme), name)]
    }
    return MappingProxyType(known)
