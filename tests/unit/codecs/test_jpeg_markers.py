"""The walk over JPEG segments."""

import struct

import imagecodecs
import pytest
from PIL import Image

from app.codecs.jpeg_markers import exif_orientation, read_jpeg_header
from app.codecs.limits import DecodeLimits
from app.domain.errors import UnreadableImageError
from tests.unit.codecs.samples import film, grey_jpeg, pillow_bytes

LIMITS = DecodeLimits()


def test_frames_of_every_process_are_read() -> None:
    baseline = read_jpeg_header(grey_jpeg(film()), LIMITS)
    progressive = read_jpeg_header(
        pillow_bytes(Image.fromarray(film()).convert("RGB"), "JPEG", progressive=True), LIMITS
    )
    lossless = read_jpeg_header(bytes(imagecodecs.jpeg8_encode(film(bits=12), lossless=True, bitspersample=12)), LIMITS)
    near_lossless = read_jpeg_header(bytes(imagecodecs.jpegls_encode(film(), level=2)), LIMITS)

    assert (baseline.process, baseline.width, baseline.height, baseline.components) == (0xC0, 120, 96, 1)
    assert (progressive.process, progressive.components, progressive.has_jfif) == (0xC2, 3, True)
    assert (lossless.process, lossless.precision, lossless.is_dct_8_bit) == (0xC3, 12, False)
    assert (near_lossless.process, near_lossless.near) == (0xF7, 2)


def test_a_thumbnail_inside_a_segment_is_not_the_picture() -> None:
    content = grey_jpeg(film())
    thumbnail = grey_jpeg(film(16, 16))
    segment = b"\xff\xe2" + struct.pack(">H", len(thumbnail) + 2) + thumbnail

    header = read_jpeg_header(content[:2] + segment + content[2:], LIMITS)

    assert (header.width, header.height) == (120, 96)


def test_every_truncation_is_noticed() -> None:
    content = grey_jpeg(film(), progressive=True)

    for end in range(2, len(content) - 1, 7):
        with pytest.raises(UnreadableImageError):
            read_jpeg_header(content[:end], LIMITS)


def test_two_frame_headers_are_unreadable() -> None:
    content = grey_jpeg(film())
    at = content.index(b"\xff\xc0")
    frame = content[at : at + 13]

    with pytest.raises(UnreadableImageError, match="two frame"):
        read_jpeg_header(content[:at] + frame + content[at:], LIMITS)


@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_is_read_in_both_byte_orders(order: str) -> None:
    head = (b"II*\x00" if order == "<" else b"MM\x00*") + struct.pack(order + "IH", 8, 2)
    entries = struct.pack(order + "HHIHH", 0x0100, 3, 1, 99, 0) + struct.pack(order + "HHIHH", 0x0112, 3, 1, 6, 0)

    assert exif_orientation(head + entries) == 6


@pytest.mark.parametrize("tiff", [b"", b"II*\x00", b"II*\x00\xff\xff\xff\xff\x01\x00", b"XX*\x00" + bytes(40)])
def test_a_malformed_exif_block_says_nothing(tiff: bytes) -> None:
    assert exif_orientation(tiff) == 1
