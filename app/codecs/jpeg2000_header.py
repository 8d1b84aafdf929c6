"""The headers of a JPEG 2000 codestream, walked without decoding (ITU-T T.800 annex A)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from app.codecs.limits import DecodeLimits
from app.domain.errors import TooLargeError, UnreadableImageError, UnsupportedFormatError

CODESTREAM_START = b"\xff\x4f\xff\x51"
_SIZ, _COD, _COC, _TILE_PART, _DATA, _END = 0xFF51, 0xFF52, 0xFF53, 0xFF90, 0xFF93, 0xFFD9
_LEAST_BYTES = {_SIZ: 36, _COD: 10, _COC: 7, _TILE_PART: 8}
_LARGEST_PRECINCT = 15


@dataclass(frozen=True, slots=True)
class Jpeg2000Header:
    """The SIZ segment, as far as a film needs it."""

    width: int
    height: int
    components: int
    precision: int


def read_jpeg2000_header(codestream: bytes, limits: DecodeLimits) -> Jpeg2000Header:
    """Walk the main header and all tile-parts.

    Raises
    ------
    UnreadableImageError
        If the segments do not add up, or the codestream is truncated.
    UnsupportedFormatError
        If components are subsampled, differ in depth, or have more than 16 bits.
    TooLargeError
        If there are more tiles, precincts or segments than the limits allow. Decoders keep about 2 KiB for each
        precinct, and a header of 100 bytes can ask for one every four pixels.
    """
    if not codestream.startswith(CODESTREAM_START):
        raise UnreadableImageError("JPEG 2000 codestream does not begin with a SIZ segment")
    header: Jpeg2000Header | None = None
    for count, (marker, payload) in enumerate(_segments(codestream), start=1):
        limits.check_elements(count, "JPEG 2000 segments")
        if marker == _SIZ and header is None:
            header = _size(payload, limits)
        elif header is None or marker == _SIZ:
            raise UnreadableImageError("JPEG 2000 codestream does not begin with exactly one SIZ segment")
        elif marker == _COD:
            _check_precincts(payload[0] & 1, payload[5:], header, limits)
        elif marker == _COC:  # overrides the parameters of one component, named by the first byte
            _check_precincts(payload[1] & 1, payload[2:], header, limits)
    if header is None:
        raise UnreadableImageError("JPEG 2000 codestream has no SIZ segment")
    return header


def _segments(codestream: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the segments of the main header and of every tile-part's, stepping over the data."""
    at, tile_part_end = 2, 0
    while True:
        if at + 2 > len(codestream):
            raise UnreadableImageError("JPEG 2000 codestream is truncated: no end")
        (marker,) = struct.unpack_from(">H", codestream, at)
        if marker == _END:
            return
        if marker == _DATA:
            if tile_part_end == 0:  # the last tile-part may leave its length open
                tile_part_end = codestream.rfind(b"\xff\xd9", at)
            if tile_part_end <= at or tile_part_end + 2 > len(codestream):
                raise UnreadableImageError("JPEG 2000 codestream is truncated inside a tile-part")
            at = tile_part_end
            continue
        length = int.from_bytes(codestream[at + 2 : at + 4], "big")
        if marker < 0xFF30 or length < 2 or at + 2 + length > len(codestream):
            raise UnreadableImageError("JPEG 2000 segments do not add up")
        payload = codestream[at + 4 : at + 2 + length]
        if len(payload) < _LEAST_BYTES.get(marker, 0):
            raise UnreadableImageError(f"JPEG 2000 segment 0x{marker:04X} is too short")
        if marker == _TILE_PART:
            (stated,) = struct.unpack_from(">I", payload, 2)
            tile_part_end = at + stated if stated else 0
        yield marker, payload
        at += 2 + length


def _size(payload: bytes, limits: DecodeLimits) -> Jpeg2000Header:
    right, bottom, left, top, tile_width, tile_height, tile_left, tile_top, components = struct.unpack_from(
        ">IIIIIIIIH", payload, 2
    )
    width, height = right - left, bottom - top
    if width <= 0 or height <= 0 or not tile_width or not tile_height or len(payload) < 36 + 3 * components:
        raise UnreadableImageError(f"JPEG 2000 image is {width} x {height} with {components} components")
    if not 1 <= components <= 4:
        raise UnsupportedFormatError(f"JPEG 2000 image has {components} components; 1 to 4 expected")
    tiles = -(-(right - tile_left) // tile_width) * -(-(bottom - tile_top) // tile_height)
    if tiles > limits.max_tiles:
        raise TooLargeError(f"JPEG 2000 image has {tiles} tiles, {limits.max_tiles} allowed")
    kinds = {tuple(payload[36 + 3 * index : 39 + 3 * index]) for index in range(components)}
    depth, across, down = min(kinds)
    precision = (depth & 0x7F) + 1
    if len(kinds) > 1 or (across, down) != (1, 1) or precision > 16:
        detail = f"JPEG 2000 components are {sorted(kinds)}"
        raise UnsupportedFormatError(f"{detail}; alike, unsampled, 16 bits at most expected")
    return Jpeg2000Header(width, height, components, precision)


def _check_precincts(are_stated: int, parameters: bytes, header: Jpeg2000Header, limits: DecodeLimits) -> None:
    """Count the precincts that coding style parameters ask for, as if there were one tile (T.800 A.6.1, B.6)."""
    resolutions = parameters[0] + 1
    stated = parameters[5 : 5 + resolutions] if are_stated else b""
    precincts = 0
    for level in range(resolutions):
        across, down = (stated[level] & 15, stated[level] >> 4) if level < len(stated) else (_LARGEST_PRECINCT,) * 2
        reduction = resolutions - 1 - level
        columns, rows = (header.width >> reduction >> across) + 1, (header.height >> reduction >> down) + 1
        precincts += columns * rows * header.components
    if precincts > limits.max_precincts:
        raise TooLargeError(f"JPEG 2000 image has {precincts} precincts, {limits.max_precincts} allowed")
