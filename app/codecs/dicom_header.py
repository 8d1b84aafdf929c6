"""What a DICOM header says, as plain values; nothing in it names the patient (PS3.3, PS3.6)."""

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from app.codecs.dicom_elements import Element
from app.domain.errors import UnreadableImageError


class Tag:
    """The elements a film is read from; no others are looked at."""

    TRANSFER_SYNTAX_UID = 0x00020010
    IMAGE_TYPE = 0x00080008
    SOP_CLASS_UID = 0x00080016
    SOP_INSTANCE_UID = 0x00080018
    MODALITY = 0x00080060
    PRESENTATION_INTENT_TYPE = 0x00080068
    CODE_MEANING = 0x00080104
    BODY_PART_EXAMINED = 0x00180015
    SLICE_THICKNESS = 0x00180050
    IMAGER_PIXEL_SPACING = 0x00181164
    VIEW_POSITION = 0x00185101
    IMAGE_ORIENTATION_PATIENT = 0x00200037
    SAMPLES_PER_PIXEL = 0x00280002
    PHOTOMETRIC_INTERPRETATION = 0x00280004
    PLANAR_CONFIGURATION = 0x00280006
    NUMBER_OF_FRAMES = 0x00280008
    ROWS = 0x00280010
    COLUMNS = 0x00280011
    PIXEL_SPACING = 0x00280030
    BITS_ALLOCATED = 0x00280100
    BITS_STORED = 0x00280101
    HIGH_BIT = 0x00280102
    PIXEL_REPRESENTATION = 0x00280103
    PIXEL_PADDING_VALUE = 0x00280120
    PIXEL_PADDING_RANGE_LIMIT = 0x00280121
    BURNED_IN_ANNOTATION = 0x00280301
    WINDOW_CENTER = 0x00281050
    WINDOW_WIDTH = 0x00281051
    RESCALE_INTERCEPT = 0x00281052
    RESCALE_SLOPE = 0x00281053
    VOI_LUT_FUNCTION = 0x00281056
    RED_PALETTE_DESCRIPTOR = 0x00281101
    GREEN_PALETTE_DESCRIPTOR = 0x00281102
    BLUE_PALETTE_DESCRIPTOR = 0x00281103
    RED_PALETTE_DATA = 0x00281201
    GREEN_PALETTE_DATA = 0x00281202
    BLUE_PALETTE_DATA = 0x00281203
    MODALITY_LUT_SEQUENCE = 0x00283000
    LUT_DESCRIPTOR = 0x00283002
    LUT_DATA = 0x00283006
    VOI_LUT_SEQUENCE = 0x00283010
    VIEW_CODE_SEQUENCE = 0x00540220
    PRESENTATION_LUT_SHAPE = 0x20500020
    FLOAT_PIXEL_DATA = 0x7FE00008
    DOUBLE_FLOAT_PIXEL_DATA = 0x7FE00009
    PIXEL_DATA = 0x7FE00010


WANTED_TAGS = frozenset(value for name, value in vars(Tag).items() if name.isupper())
_CODE_STRING = re.compile(r"[A-Z0-9 _]{1,16}")
_UID = re.compile(r"[0-9.]{1,64}")


@dataclass(frozen=True, slots=True)
class DicomHeader:
    """Typed access to the elements of one dataset or item. Absent and empty are the same."""

    elements: Mapping[int, Element]

    def has(self, tag: int) -> bool:
        """Whether the element is there with a value."""
        return tag in self.elements and len(self.elements[tag].value) > 0

    def strings(self, tag: int) -> tuple[str, ...]:
        """The values of a string element, without padding."""
        if not self.has(tag):
            return ()
        text = bytes(self.elements[tag].value[:4096]).decode("latin-1")
        return tuple(part.strip(" \x00") for part in text.split("\\"))

    def code_string(self, tag: int) -> str | None:
        """The first value of a code string in upper case; None where absent or not one."""
        first = (self.strings(tag) or ("",))[0].upper()
        return first if _CODE_STRING.fullmatch(first) else None

    def uid(self, tag: int) -> str | None:
        """A UID; None where absent or not one."""
        first = (self.strings(tag) or ("",))[0]
        return first if _UID.fullmatch(first) else None

    def numbers(self, tag: int) -> tuple[float, ...]:
        """The finite values of a decimal or integer string; nothing where one of them is not a number."""
        try:
            values = tuple(float(part) for part in self.strings(tag))
        except ValueError:
            return ()
        return values if all(math.isfinite(value) for value in values) else ()

    def words(self, tag: int, signed: bool = False) -> tuple[int, ...]:
        """The 16-bit values of a US or SS element."""
        if not self.has(tag):
            return ()
        element = self.elements[tag]
        count = min(len(element.value) // 2, 16)
        return struct.unpack_from(f"{element.encoding.order}{count}{'h' if signed else 'H'}", element.value)

    def word(self, tag: int, default: int | None = None) -> int:
        """The only value of a US element.

        Raises
        ------
        UnreadableImageError
            If it is absent and there is no default.
        """
        words = self.words(tag)
        if words:
            return words[0]
        if default is None:
            raise UnreadableImageError(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) is missing")
        return default
