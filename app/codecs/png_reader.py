"""PNG to grey; nothing is inflated but the pixels, and those no further than the header promises (PNG, 3rd edition)."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import imagecodecs
import numpy as np
from isal import isal_zlib

from app.codecs.jpeg_markers import exif_orientation
from app.codecs.limits import DecodeLimits
from app.codecs.luminance import composite_over_black, luminance
from app.codecs.reading_flags import ReadingFlag
from app.codecs.sniffing import PNG_SIGNATURE
from app.codecs.third_party_samples import stored_pixels
from app.domain.arrays import StoredPixels
from app.domain.errors import TooLargeError, UnreadableImageError

# Colour type: allowed bit depths, channels in the file (PNG 11.2.1).
_COLOUR_TYPES = {
    0: ((1, 2, 4, 8, 16), 1),
    2: ((8, 16), 3),
    3: ((1, 2, 4, 8), 1),
    4: ((8, 16), 2),
    6: ((8, 16), 4),
}
# Adam7: first column, first row, column step, row step of each pass.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_SLACK_BYTES = 1 << 16
"""Surplus after the last row that is cut off, as libpng does, rather than called a bomb."""


@dataclass(frozen=True, slots=True)
class PngHeader:
    """The IHDR chunk."""

    width: int
    height: int
    depth: int
    colour_type: int
    interlaced: bool

    @property
    def decoded_bytes_per_pixel(self) -> int:
        """As decoded: palettes become RGB and transparency becomes a channel, at worst."""
        return (4 if self.colour_type in (2, 3, 6) else 2) * (2 if self.depth == 16 else 1)

    @property
    def raw_bytes(self) -> int:
        """Filtered rows of all passes, each led by its filter byte (PNG 7.3)."""
        bits = self.depth * _COLOUR_TYPES[self.colour_type][1]
        passes = _ADAM7 if self.interlaced else ((0, 0, 1, 1),)
        total = 0
        for left, top, across, down in passes:
            columns, rows = -(-(self.width - left) // across), -(-(self.height - top) // down)
            if columns > 0 and rows > 0:
                total += rows * (1 + (columns * bits + 7) // 8)
        return total


@dataclass(frozen=True, slots=True)
class _Chunks:
    header: PngHeader
    header_payload: bytes
    palette: bytes | None
    transparency: bytes | None
    pixels: bytes
    orientation: int


def decode_png(content: bytes, limits: DecodeLimits) -> tuple[StoredPixels, int, tuple[str, ...]]:
    """Return the grey pixels of a PNG, its Exif orientation (not yet applied), and flags.

    Grey and RGB of 16 bits keep them; anything less becomes 8 bits. Alpha, a transparent palette entry or a colour key
    is composited over black, the background of a film: what the picture hides must not be analysed. Of an animation
    the default image is read. Text, profiles, gamma and other ancillary chunks are stepped over, never inflated.

    Raises
    ------
    UnreadableImageError
        If a chunk is malformed, fails its CRC, is missing, or the pixels are cut short.
    TooLargeError
        If the header, or what the pixels inflate to, exceeds the limits.
    """
    chunks = _read_chunks(content, limits)
    decoded = stored_pixels(imagecodecs.png_decode(_with_stored_pixels(chunks, _inflate(chunks))))
    grey, flags = _to_grey(decoded)
    return grey, chunks.orientation, flags


def _to_grey(decoded: StoredPixels) -> tuple[StoredPixels, tuple[str, ...]]:
    flags: list[str] = []
    pixels = decoded.reshape(*decoded.shape[:2], -1)
    channels = pixels.shape[2]
    if channels >= 3:
        grey, coloured = luminance(pixels[..., :3])
        if coloured:
            flags.append(ReadingFlag.CONVERTED_FROM_COLOUR)
    else:
        grey = stored_pixels(np.ascontiguousarray(pixels[..., 0]))
    if channels in (2, 4):
        alpha = pixels[..., -1]
        if int(alpha.min()) < np.iinfo(alpha.dtype).max:
            grey = composite_over_black(grey, alpha)
            flags.append(ReadingFlag.ALPHA_COMPOSITED)
    return grey, tuple(flags)


def _read_chunks(content: bytes, limits: DecodeLimits) -> _Chunks:
    header: PngHeader | None = None
    header_payload = b""
    palette: bytes | None = None
    transparency: bytes | None = None
    parts: list[memoryview] = []
    orientation, metadata_bytes = 1, 0
    for count, (kind, payload, crc_holds) in enumerate(_walk(content), start=1):
        limits.check_elements(count, "PNG chunks")
        if (header is None) != (kind == b"IHDR"):
            raise UnreadableImageError("PNG does not begin with exactly one IHDR chunk")
        if kind == b"IDAT":
            parts.append(payload)
        else:
            metadata_bytes += len(payload)
            limits.check_metadata(metadata_bytes)
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT") and not crc_holds():
            raise UnreadableImageError(f"PNG chunk {kind.decode()} fails its CRC")
        if kind == b"IHDR":
            header_payload = bytes(payload)
            header = _header(header_payload)
            limits.check_raster(header.width, header.height, header.decoded_bytes_per_pixel, len(content))
        elif kind == b"PLTE":
            palette = bytes(payload)
        elif kind == b"tRNS":
            transparency = bytes(payload)
        elif kind == b"eXIf":
            orientation = exif_orientation(bytes(payload))
        elif kind[0] < ord("a") and kind not in (b"IDAT", b"IEND"):
            raise UnreadableImageError(f"PNG has an unknown critical chunk {kind!r}")
    if header is None or not parts:
        raise UnreadableImageError("PNG has no pixels")
    if header.colour_type == 3 and not palette:
        raise UnreadableImageError("PNG has a colour type with palette, but no palette")
    return _Chunks(header, header_payload, palette, transparency, b"".join(parts), orientation)


def _walk(content: bytes) -> Iterator[tuple[bytes, memoryview, "_Crc"]]:
    view, at = memoryview(content), len(PNG_SIGNATURE)
    while True:
        if at + 12 > len(content):
            raise UnreadableImageError("PNG is truncated: no IEND chunk")
        length, kind = struct.unpack_from(">I4s", content, at)
        if at + 12 + length > len(content):
            raise UnreadableImageError("PNG is truncated inside a chunk")
        if not kind.isalpha():
            raise UnreadableImageError("PNG chunks do not add up")
        (crc,) = struct.unpack_from(">I", content, at + 8 + length)
        yield kind, view[at + 8 : at + 8 + length], _Crc(view[at + 4 : at + 8 + length], crc)
        if kind == b"IEND":
            return
        at += 12 + length


@dataclass(frozen=True, slots=True)
class _Crc:
    """A check that is made only of the chunks that matter."""

    covered: memoryview
    stated: int

    def __call__(self) -> bool:
        return zlib.crc32(self.covered) == self.stated


def _header(payload: bytes) -> PngHeader:
    if len(payload) != 13:
        raise UnreadableImageError(f"PNG IHDR has {len(payload)} bytes, 13 expected")
    width, height, depth, colour_type, compression, filtering, interlace = struct.unpack(">IIBBBBB", payload)
    if not width or not height:
        raise UnreadableImageError(f"PNG is {width} x {height}")
    if colour_type not in _COLOUR_TYPES or depth not in _COLOUR_TYPES[colour_type][0]:
        raise UnreadableImageError(f"PNG has colour type {colour_type} with {depth} bits")
    if compression or filtering or interlace > 1:
        raise UnreadableImageError(
            f"PNG has methods {compression}, {filtering}, {interlace}; 0, 0, and 0 or 1 expected"
        )
    return PngHeader(width, height, depth, colour_type, bool(interlace))


def _inflate(chunks: _Chunks) -> bytes:
    expected = chunks.header.raw_bytes
    raw: bytes = isal_zlib.decompressobj().decompress(chunks.pixels, expected + _SLACK_BYTES)
    if len(raw) < expected:
        raise UnreadableImageError(f"PNG pixels are cut short: {len(raw)} of {expected} bytes")
    if len(raw) == expected + _SLACK_BYTES:
        raise TooLargeError(f"PNG pixels inflate to more than the {expected} bytes its header promises")
    return raw[:expected]


def _with_stored_pixels(chunks: _Chunks, raw: bytes) -> bytes:
    """Wrap inflated rows into a PNG of critical chunks only, its pixels stored (DEFLATE level 0).

    libpng then only unfilters: ISA-L inflates twice as fast as the zlib inside libpng (2048 x 2048, one core: 10 + 4 ms
    against 17), and libpng never sees an ancillary chunk.
    """
    kinds = [(b"IHDR", chunks.header_payload)]
    if chunks.palette is not None and chunks.header.colour_type in (2, 3, 6):
        kinds.append((b"PLTE", chunks.palette))
    if chunks.transparency is not None and chunks.header.colour_type in (0, 2, 3):
        kinds.append((b"tRNS", chunks.transparency))
    kinds += [(b"IDAT", zlib.compress(raw, 0)), (b"IEND", b"")]
    return PNG_SIGNATURE + b"".join(png_chunk(kind, payload) for kind, payload in kinds)


def png_chunk(kind: bytes, payload: bytes) -> bytes:
    """Return one chunk: length, type, payload, CRC (PNG 5.3)."""
    crc = zlib.crc32(payload, zlib.crc32(kind))
    return b"".join((struct.pack(">I", len(payload)), kind, payload, struct.pack(">I", crc)))
