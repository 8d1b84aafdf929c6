"""The marker segments of a JPEG or JPEG-LS codestream, walked without decoding (ITU-T T.81 annex B, T.87 annex C)."""

import re
import struct
from dataclasses import dataclass

from app.codecs.limits import DecodeLimits
from app.domain.errors import UnreadableImageError

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_JPEG_LS = 0xF7
_START_OF_SCAN, _END_OF_IMAGE, _APP1, _APP14 = 0xDA, 0xD9, 0xE1, 0xEE
# Inside entropy-coded data 0xFF is followed by 0x00 or a restart marker; anything else begins a segment.
_MARKER_IN_SCAN = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What the segments say before any coefficient is decoded.

    ``process`` is the low byte of the SOF marker: 0xC0 baseline, 0xC1 extended, 0xC2 progressive, 0xC3 lossless,
    0xF7 JPEG-LS, near-lossless with ``near`` above 0. ``adobe_transform`` is None without an Adobe segment.
    ``exif_orientation`` is 1 where unstated.
    """

    process: int
    precision: int
    width: int
    height: int
    component_ids: tuple[int, ...]
    adobe_transform: int | None
    has_jfif: bool
    exif_orientation: int
    near: int = 0

    @property
    def components(self) -> int:
        """Number of colour components."""
        return len(self.component_ids)

    @property
    def is_dct_8_bit(self) -> bool:
        """Whether it is a Huffman-coded baseline, extended or progressive image of 8 bits."""
        return self.process in (0xC0, 0xC1, 0xC2) and self.precision == 8


def read_jpeg_header(content: bytes, limits: DecodeLimits) -> JpegHeader:
    """Walk all segments: the frame, orientation and colour transform, and that the image has an end.

    Raises
    ------
    UnreadableImageError
        If the segments do not add up, there is not exactly one frame, or there is no end of image.
    TooLargeError
        If there are more segments, metadata or scans than the limits allow.
    """
    frame: tuple[int, int, int, int, tuple[int, ...]] | None = None
    adobe_transform: int | None = None
    orientation, has_jfif, near = 1, False, 0
    at, segments, scans, metadata_bytes = 2, 0, 0, 0
    while True:
        marker, at = _next_marker(content, at)
        segments += 1
        limits.check_elements(segments, "JPEG segments")
        if marker == _END_OF_IMAGE:
            break
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # no length follows
            continue
        payload = _payload(content, at)
        metadata_bytes += len(payload)
        limits.check_metadata(metadata_bytes)
        at += 2 + len(payload)
        if marker in _FRAMES:
            if frame is not None:
                raise UnreadableImageError("JPEG has two frame headers")
            frame = _frame(marker, payload)
        elif marker == 0xE0 and payload.startswith(b"JFIF\x00"):
            has_jfif = True
        elif marker == _APP1 and payload.startswith(b"Exif\x00\x00"):
            orientation = exif_orientation(payload[6:])
        elif marker == _APP14 and payload.startswith(b"Adobe") and len(payload) >= 12:
            adobe_transform = payload[11]
        elif marker == _START_OF_SCAN:
            if frame is None:
                raise UnreadableImageError("JPEG scan before its frame header")
            if frame[0] == _JPEG_LS:  # other stuffing rules; its decoder notices a missing end
                near = payload[-3] if len(payload) >= 6 else 0
                break
            scans += 1
            limits.check_scans(scans, frame[2] * frame[3])
            found = _MARKER_IN_SCAN.search(content, at)
            if found is None:
                raise UnreadableImageError("JPEG is truncated: no end of image")
            at = found.start()
    if frame is None or (scans == 0 and frame[0] != _JPEG_LS):
        raise UnreadableImageError("JPEG has no frame or no scan")
    process, precision, width, height, ids = frame
    return JpegHeader(process, precision, width, height, ids, adobe_transform, has_jfif, orientation, near)


def exif_orientation(tiff: bytes) -> int:
    """Return tag 0x0112 of the first directory of an Exif block, 1 where absent or malformed (Exif 2.32, 4.6.4)."""
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 10:
        return 1
    (directory,) = struct.unpack_from(order + "I", tiff, 4)
    if directory + 2 > len(tiff):
        return 1
    (entries,) = struct.unpack_from(order + "H", tiff, directory)
    for index in range(min(entries, 512)):
        entry = directory + 2 + 12 * index
        if entry + 12 > len(tiff):
            break
        tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, entry)
        if tag == 0x0112:
            return int(value) if kind == 3 and 1 <= value <= 8 else 1
    return 1


def _next_marker(content: bytes, at: int) -> tuple[int, int]:
    end = len(content)
    while at + 1 < end:
        if content[at] != 0xFF:
            raise UnreadableImageError("JPEG segments do not add up")
        if content[at + 1] != 0xFF:  # 0xFF may be repeated as fill
            return content[at + 1], at + 2
        at += 1
    raise UnreadableImageError("JPEG is truncated: no end of image")


def _payload(content: bytes, at: int) -> bytes:
    length = int.from_bytes(content[at : at + 2], "big")
    if length < 2 or at + length > len(content):
        raise UnreadableImageError("JPEG is truncated inside a segment")
    return content[at + 2 : at + length]


def _frame(marker: int, payload: bytes) -> tuple[int, int, int, int, tuple[int, ...]]:
    if len(payload) < 6 or len(payload) < 6 + 3 * payload[5]:
        raise UnreadableImageError("JPEG frame header is too short")
    precision, height, width, components = struct.unpack_from(">BHHB", payload)
    if not width or not height or not components:
        raise UnreadableImageError(f"JPEG frame is {width} x {height} with {components} components")
    return marker, precision, width, height, tuple(payload[6 + 3 * index] for index in range(components))
