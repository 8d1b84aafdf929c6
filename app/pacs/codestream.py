"""Compressed frames without what their makers wrote beside the pixels: comments, application data, trailing bytes.

JPEG (ISO 10918-1 B.1.1), JPEG-LS (ISO 14495-1) and JPEG 2000 (ISO 15444-1 annex A) carry free text in comment and
application segments. Here it is overwritten by zeros in place, so no length changes and every pixel stays as it was.
"""

from typing import Final

from app.domain.errors import UnreadableImageError, UnsupportedFormatError

_SOI, _EOI, _SOS, _COM = 0xD8, 0xD9, 0xDA, 0xFE
_APP0, _APP8, _APP14, _APP15 = 0xE0, 0xE8, 0xEE, 0xEF
_NO_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_J2K_START: Final = b"\xff\x4f\xff\x51"
_SOT, _SOD, _J2K_COM, _EOC = 0xFF90, 0xFF93, 0xFF64, 0xFFD9


def wiped(frame: bytes) -> bytes:
    """Overwrite everything in a compressed frame that no decoder needs.

    Parameters
    ----------
    frame
        A JPEG, JPEG-LS or JPEG 2000 codestream, possibly padded.

    Returns
    -------
    bytes
        As long as before, with the same pixels.

    Raises
    ------
    UnsupportedFormatError
        If it is no such codestream, e.g. a JP2 file with its boxes.
    UnreadableImageError
        If its segments do not add up.
    """
    content = bytearray(frame)
    try:
        if frame.startswith(_J2K_START):
            end = _wipe_jpeg_2000(content)
        elif frame.startswith(b"\xff\xd8\xff"):
            end = _wipe_jpeg(content)
        else:
            raise UnsupportedFormatError("a compressed frame is no JPEG, JPEG-LS or JPEG 2000 codestream")
    except IndexError as error:
        raise UnreadableImageError("a compressed frame is truncated") from error
    content[end:] = bytes(len(content) - end)
    return bytes(content)


def _wipe_jpeg(content: bytearray) -> int:
    """Return where the image ends."""
    at = 2
    while True:
        if content[at] != 0xFF:
            raise UnreadableImageError("a JPEG frame has data where a marker belongs")
        marker = content[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker == _EOI:
            return at + 2
        at += 2
        if marker in _NO_LENGTH:
            continue
        end = at + _length(content, at)
        if marker == _COM or _APP0 <= marker <= _APP15:
            kept = _needed(marker, content[at + 2 : end])
            content[at + 2 : end] = kept + bytes(end - at - 2 - len(kept))
        at = _after_scan(content, end) if marker == _SOS else end


def _needed(marker: int, payload: bytearray) -> bytes:
    """What decoders take from an application segment: how colours are meant."""
    if marker == _APP14 and payload.startswith(b"Adobe") and len(payload) >= 12:
        return b"Adobe" + bytes(payload[5:12])
    if marker == _APP0 and payload.startswith(b"JFIF\0") and len(payload) >= 14:
        return b"JFIF\0" + bytes(payload[5:12]) + b"\0\0"  # without thumbnail
    if marker == _APP8 and payload.startswith(b"mrfx") and len(payload) >= 5:
        return bytes(payload[:5])
    return b""


def _after_scan(content: bytearray, at: int) -> int:
    """Return where the entropy-coded data ends: at a marker that is neither a restart nor a stuffed byte.

    In JPEG-LS (ISO 14495-1 A.1) a byte after 0xFF is below 0x80; in JPEG it is 0.
    """
    while True:
        at = content.find(b"\xff", at)
        if at < 0:
            raise UnreadableImageError("a JPEG frame has no end")
        after = content[at + 1]
        if after < 0x80 or 0xD0 <= after <= 0xD7:
            at += 2
        elif after == 0xFF:
            at += 1
        else:
            return at


def _wipe_jpeg_2000(content: bytearray) -> int:
    """Return where the codestream ends."""
    at = 2
    while True:
        marker = _word(content, at)
        if marker == _EOC:
            return at + 2
        if marker == _SOT:
            at = _wipe_tile_part(content, at)
            continue
        at = _wiped_segment(content, at, marker)


def _wipe_tile_part(content: bytearray, start: int) -> int:
    length = int.from_bytes(content[start + 6 : start + 10], "big")
    at = start
    while (marker := _word(content, at)) != _SOD:
        at = _wiped_segment(content, at, marker)
    if length == 0:  # the last one: up to the end of the codestream
        end = content.rfind(b"\xff\xd9")
        if end < at:
            raise UnreadableImageError("a JPEG 2000 frame has no end")
        return end
    if start + length <= at or start + length > len(content):
        raise UnreadableImageError("a JPEG 2000 tile-part announces a length that it does not have")
    return start + length


def _wiped_segment(content: bytearray, at: int, marker: int) -> int:
    if marker < 0xFF00:
        raise UnreadableImageError("a JPEG 2000 frame has data where a marker belongs")
    end = at + 2 + _length(content, at + 2)
    if marker == _J2K_COM:
        content[at + 6 : end] = bytes(end - at - 6)
    return end


def _length(content: bytearray, at: int) -> int:
    length = _word(content, at)
    if length < 2 or at + length > len(content):
        raise UnreadableImageError("a segment of a compressed frame announces more bytes than there are")
    return length


def _word(content: bytearray, at: int) -> int:
    return content[at] << 8 | content[at + 1]
