"""``multipart/related`` bodies (RFC 2387) as STOW-RS sends them: read while they arrive, within bounds."""

import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from python_multipart.multipart import MultipartParser, parse_options_header

from app.domain.errors import InvalidRequestError, TooLargeError, UnsupportedFormatError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MULTIPART: Final = "multipart/related"
DICOM: Final = "application/dicom"
_BOUNDARY: Final = re.compile(rb"[0-9A-Za-z'()+_,\-./:=? ]{1,70}")
_MOST_HEADER_BYTES: Final = 16_384


def is_multipart_related(content_type: str) -> bool:
    """Whether a content type is multipart/related."""
    return content_type.partition(";")[0].strip().lower() == MULTIPART


async def related_parts(
    body: AsyncIterator[bytes], content_type: str, max_part_bytes: int, max_parts: int
) -> list[bytes]:
    """Read every part of a body.

    Parameters
    ----------
    body
        Pieces as they arrive; whoever counts them bounds the whole.
    content_type
        Of the request, with boundary and root type.
    max_part_bytes, max_parts
        Of one part, and how many.

    Returns
    -------
    list of bytes
        The parts' contents in order, only once the closing boundary has arrived: half a body is none.

    Raises
    ------
    UnsupportedFormatError
        If the parts are something else than DICOM.
    InvalidRequestError
        If there is no boundary, the body is malformed, or ends early.
    TooLargeError
        If a part is too large, or there are too many.
    """
    _, options = parse_options_header(content_type.encode("latin-1", "replace"))
    root_type = options.get(b"type", DICOM.encode()).decode("latin-1").lower()
    if root_type != DICOM:
        raise UnsupportedFormatError(f"parts are {root_type[:60]}; {DICOM} expected")
    boundary = options.get(b"boundary", b"")
    if not _BOUNDARY.fullmatch(boundary):
        raise InvalidRequestError("the content type names no boundary")
    collector = _Collector(max_part_bytes, max_parts)
    parser = MultipartParser(boundary, collector.callbacks())
    async for piece in body:
        if collector.ended:
            continue  # what follows the closing boundary means nothing (RFC 2046, 5.1.1)
        try:
            parser.write(piece)
        except (TooLargeError, UnsupportedFormatError):
            raise
        except Exception as error:
            raise InvalidRequestError(f"the multipart body is malformed: {type(error).__name__}") from error
    if not collector.ended:
        raise InvalidRequestError("the multipart body ends before its closing boundary")
    return collector.parts


class _Collector:
    """Gathers parts from a parser's callbacks."""

    def __init__(self, max_part_bytes: int, max_parts: int) -> None:
        self.parts: list[bytes] = []
        self.ended = False
        self._max_part_bytes, self._max_parts = max_part_bytes, max_parts
        self._part, self._name, self._value, self._header_bytes = bytearray(), bytearray(), bytearray(), 0

    def callbacks(self) -> "MultipartCallbacks":
        """Give what the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_part_data": self._data,
            "on_part_end": self._finish,
            "on_header_field": self._field,
            "on_header_value": self._field_value,
            "on_header_end": self._header,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        if len(self.parts) >= self._max_parts:
            raise TooLargeError(f"more than {self._max_parts} parts")
        self._part, self._header_bytes = bytearray(), 0

    def _data(self, data: bytes, start: int, end: int) -> None:
        if len(self._part) + end - start > self._max_part_bytes:
            raise TooLargeError(f"a part exceeds {self._max_part_bytes} bytes")
        self._part += data[start:end]

    def _finish(self) -> None:
        self.parts.append(bytes(self._part))
        self._part = bytearray()

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._count(end - start)
        self._name += data[start:end]

    def _field_value(self, data: bytes, start: int, end: int) -> None:
        self._count(end - start)
        self._value += data[start:end]

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > _MOST_HEADER_BYTES:
            raise TooLargeError(f"a part's header exceeds {_MOST_HEADER_BYTES} bytes")

    def _header(self) -> None:
        name, value = bytes(self._name).lower(), bytes(self._value)
        self._name, self._value = bytearray(), bytearray()
        if name == b"content-type":
            kind = value.partition(b";")[0].strip().lower().decode("latin-1")
            if kind != DICOM:
                raise UnsupportedFormatError(f"a part is {kind[:60]}; {DICOM} expected")

    def _end(self) -> None:
        self.ended = True
