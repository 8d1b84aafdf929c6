"""The data elements of a DICOM dataset, read within bounds (PS3.5 section 7).

Why not ``pydicom.dcmread``: it has no limits. A deflated file of 1.5 MB costs it 3 GB, nested sequences exhaust the
stack, and its warnings can only be contained by filters that are global to the process. Reading a film needs thirty
elements of a few hundred; here those are sliced out and everything else, the patient's identity included, is stepped
over. The tests hold this reader to pydicom's answers on pydicom's own test files.
"""

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from app.codecs.limits import DecodeLimits
from app.domain.errors import UnreadableImageError

PIXEL_DATA = 0x7FE00010
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
_FRAGMENTED_VRS = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"OV"})


@dataclass(frozen=True, slots=True)
class Encoding:
    """How elements are laid out: with or without VR, and the byte order."""

    explicit: bool
    little_endian: bool

    @property
    def order(self) -> str:
        """The ``struct`` prefix."""
        return "<" if self.little_endian else ">"


@dataclass(frozen=True, slots=True)
class Element:
    """One data element. ``fragments`` replaces ``value`` where the length was undefined and it is not a sequence."""

    vr: str
    value: memoryview
    encoding: Encoding
    fragments: tuple[memoryview, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Header:
    tag: int
    vr: bytes
    length: int
    value_at: int


class _MalformedError(Exception):
    """The structure does not add up here; what that means depends on where it is."""


def detected_encoding(view: memoryview, start: int, announced: Encoding) -> Encoding:
    """Return the encoding the first element has, where it plainly contradicts the announced one.

    Files whose transfer syntax lies about VRs or byte order are known; the first element begins a low group, so a
    wrong byte order shows as a group above 0x00FF, a wrong form as bytes that are, or are not, a VR.
    """
    if start + 8 > len(view):
        return announced
    (group,) = struct.unpack_from(announced.order + "H", view, start)
    little_endian = announced.little_endian if 0 < group <= 0xFF or group % 256 else not announced.little_endian
    explicit = bytes(view[start + 4 : start + 6]) in _LONG_VRS | _SHORT_VRS
    return Encoding(explicit, little_endian)


def read_elements(
    view: memoryview,
    start: int,
    encoding: Encoding,
    wanted: Collection[int],
    limits: DecodeLimits,
    only_group: int | None = None,
) -> tuple[dict[int, Element], int]:
    """Return the wanted top-level elements by tag, and where reading stopped.

    Elements are read up to and including the pixel data, what follows it cannot matter to a film; with ``only_group``
    up to the first element of another group. Of a tag that comes
    twice the last one counts, as in pydicom.

    Raises
    ------
    UnreadableImageError
        If an element announces more bytes than there are, or a sequence does not add up.
    TooLargeError
        If there are more elements, deeper sequences or more metadata than the limits allow.
    """
    found: dict[int, Element] = {}
    walk = _Walk(view, limits)
    at = start
    try:
        while at + 8 <= len(view):
            header = walk.header(at, encoding)
            if only_group is not None and header.tag >> 16 != only_group:
                break
            if header.tag >> 16 == 0 and header.length == 0:  # trailing zeros pad some files
                break
            at, element = walk.element(header, encoding)
            if header.tag in wanted:
                found[header.tag] = element
            if header.tag == PIXEL_DATA:
                break
            limits.check_metadata(at - start)
    except (_MalformedError, struct.error) as error:
        raise UnreadableImageError(f"DICOM dataset is malformed or truncated: {error}") from error
    return found, at


def first_item(
    element: Element, wanted: Collection[int], limits: DecodeLimits
) -> tuple[Mapping[int, Element], int] | None:
    """Return the wanted elements of a sequence's first item, and how many items there are; None where it is empty."""
    walk = _Walk(element.value, limits)
    first: tuple[int, int] | None = None
    at, items = 0, 0
    try:
        while at + 8 <= len(element.value):
            header = walk.header(at, element.encoding)
            if header.tag != _ITEM:
                break
            at = walk.end_of_item(header, element.encoding)
            first = first or (header.value_at, at)
            items += 1
    except (_MalformedError, struct.error) as error:
        raise UnreadableImageError(f"DICOM sequence is malformed: {error}") from error
    if first is None:
        return None
    content = element.value[first[0] : first[1]]
    return read_elements(content, 0, element.encoding, wanted, limits)[0], items


class _Walk:
    """An iterative walk over one dataset, which counts what it meets."""

    def __init__(self, view: memoryview, limits: DecodeLimits) -> None:
        self._view = view
        self._limits = limits
        self._count = 0

    def header(self, at: int, encoding: Encoding) -> _Header:
        self._count += 1
        self._limits.check_elements(self._count, "DICOM elements")
        group, number = struct.unpack_from(encoding.order + "HH", self._view, at)
        tag = group << 16 | number
        if group != 0xFFFE and encoding.explicit:
            vr = bytes(self._view[at + 4 : at + 6])
            if vr in _SHORT_VRS:
                (length,) = struct.unpack_from(encoding.order + "H", self._view, at + 6)
                return _Header(tag, vr, length, at + 8)
            if vr in _LONG_VRS or (vr.isalpha() and vr.isupper()):  # unknown VRs have the long form, PS3.5 6.2
                (length,) = struct.unpack_from(encoding.order + "I", self._view, at + 8)
                return _Header(tag, vr, length, at + 12)
        (length,) = struct.unpack_from(encoding.order + "I", self._view, at + 4)
        return _Header(tag, b"", length, at + 8)

    def element(self, header: _Header, encoding: Encoding) -> tuple[int, Element]:
        """Return where the element ends, and the element."""
        at, vr = header.value_at, header.vr.decode("latin-1")
        if header.length != _UNDEFINED:
            end = self._end(header)
            value = self._view[at:end]
            if header.vr == b"SQ" or self._looks_like_items(header, encoding):
                self._check_depth_within(header, encoding)
            return end, Element(vr, value, encoding)
        if header.tag == PIXEL_DATA or header.vr in _FRAGMENTED_VRS:
            end, fragments = self._fragments(at, encoding)
            return end, Element(vr, self._view[at:end], encoding, fragments)
        # A sequence; under the VR UN its items are implicit (PS3.5 6.2.2).
        inner = Encoding(False, True) if header.vr == b"UN" else encoding
        end = self._end_of_items(at, None, inner)
        return end, Element("SQ", self._view[at:end], inner)

    def end_of_item(self, header: _Header, encoding: Encoding) -> int:
        """Return where an item ends, its delimiter included."""
        if header.length != _UNDEFINED:
            return self._end(header)
        return self._end_of_items(header.value_at, None, encoding, inside_item=True)

    def _end(self, header: _Header) -> int:
        end = header.value_at + header.length
        if end > len(self._view):
            raise _MalformedError(f"({header.tag >> 16:04X},{header.tag & 0xFFFF:04X}) announces {header.length} bytes")
        return end

    def _looks_like_items(self, header: _Header, encoding: Encoding) -> bool:
        """Without a VR, a value that begins with an item is taken for a sequence, as far as its depth goes."""
        if header.vr not in (b"", b"UN") or header.length < 8:
            return False
        return struct.unpack_from(encoding.order + "HH", self._view, header.value_at) == (0xFFFE, 0xE000)

    def _check_depth_within(self, header: _Header, encoding: Encoding) -> None:
        """Hold a sequence of known length to the nesting limit; that its inside may be malformed costs nothing here."""
        end = header.value_at + header.length
        inner = Encoding(False, True) if header.vr == b"UN" else encoding
        try:
            self._end_of_items(header.value_at, end, inner)
        except (_MalformedError, struct.error):
            return

    def _fragments(self, at: int, encoding: Encoding) -> tuple[int, tuple[memoryview, ...]]:
        fragments: list[memoryview] = []
        while True:
            if at + 8 > len(self._view):  # the delimiter is missing, the fragments are whole
                return len(self._view), tuple(fragments)
            header = self.header(at, encoding)
            if header.tag == _SEQUENCE_END:
                return header.value_at, tuple(fragments)
            if header.tag != _ITEM or header.length == _UNDEFINED:
                raise _MalformedError("encapsulated pixel data has something else than items")
            at = self._end(header)
            fragments.append(self._view[header.value_at : at])

    def _end_of_items(self, at: int, end: int | None, encoding: Encoding, inside_item: bool = False) -> int:
        """Return where a sequence (or, ``inside_item``, an item) of undefined length ends, delimiter included.

        The stack holds, for each open level, whether it is an item, and its end where that is known.
        """
        stack: list[tuple[bool, int | None, Encoding]] = [(inside_item, end, encoding)]
        while stack:
            is_item, level_end, level_encoding = stack[-1]
            if level_end is not None and at >= level_end:
                stack.pop()
                at = level_end
                continue
            header = self.header(at, level_encoding)
            if header.tag == (_ITEM_END if is_item else _SEQUENCE_END):
                stack.pop()
                at = header.value_at
                continue
            if not is_item:
                if header.tag != _ITEM:
                    raise _MalformedError(
                        f"a sequence has ({header.tag >> 16:04X},{header.tag & 0xFFFF:04X}) for an item"
                    )
                stack.append((True, self._known_end(header), level_encoding))
                at = header.value_at
            elif header.length == _UNDEFINED and (header.vr in _FRAGMENTED_VRS or header.tag == PIXEL_DATA):
                at, _ = self._fragments(header.value_at, level_encoding)
            elif header.length == _UNDEFINED or header.vr == b"SQ" or self._looks_like_items(header, level_encoding):
                inner = Encoding(False, True) if header.vr == b"UN" else level_encoding
                stack.append((False, self._known_end(header), inner))
                self._limits.check_nesting((len(stack) + 1) // 2)
                at = header.value_at
            else:
                at = self._end(header)
        return at

    def _known_end(self, header: _Header) -> int | None:
        return None if header.length == _UNDEFINED else self._end(header)
