import struct
from collections.abc import Callable

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.domain.errors import ScreeningError, UnreadableImageError, UnsupportedFormatError
from app.pacs.codestream import wiped
from tests.phantoms import chest_film

CANARY = b"CANARY^DOE"
FILM = chest_film(48, 40, bits=8)
DEEP = chest_film(48, 40, bits=12)
Codec = tuple[Callable[[], bytes], Callable[[bytes], NDArray[np.integer]]]
JPEG: dict[str, Codec] = {
    "baseline": (lambda: bytes(imagecodecs.jpeg8_encode(FILM, level=90)), imagecodecs.jpeg8_decode),
    "extended": (lambda: bytes(imagecodecs.jpeg8_encode(DEEP, level=90, bitspersample=12)), imagecodecs.jpeg8_decode),
    "lossless": (
        lambda: bytes(imagecodecs.jpeg8_encode(DEEP, lossless=True, predictor=1, bitspersample=12)),
        imagecodecs.jpeg8_decode,
    ),
    "colour": (
        lambda: bytes(imagecodecs.jpeg8_encode(np.dstack([FILM, FILM, FILM[::-1]]), level=90)),
        imagecodecs.jpeg8_decode,
    ),
    "jpeg-ls": (lambda: bytes(imagecodecs.jpegls_encode(DEEP)), imagecodecs.jpegls_decode),
}
JPEG_2000: dict[str, Codec] = {
    "jpeg 2000": (
        lambda: bytes(imagecodecs.jpeg2k_encode(DEEP, level=0, codecformat="J2K", bitspersample=12)),
        imagecodecs.jpeg2k_decode,
    ),
    "high throughput": (lambda: bytes(imagecodecs.htj2k_encode(DEEP)), imagecodecs.htj2k_decode),
}


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">HH", marker, 2 + len(payload)) + payload


@pytest.mark.parametrize(("encode", "decode"), JPEG.values(), ids=JPEG.keys())
def test_text_beside_a_jpeg_goes_and_every_pixel_stays(
    encode: Callable[[], bytes], decode: Callable[[bytes], NDArray[np.integer]]
) -> None:
    clean = encode()
    told = b"".join(
        [clean[:2], segment(0xFFFE, CANARY), segment(0xFFE1, b"Exif\0\0" + CANARY), segment(0xFFED, CANARY),
         segment(0xFFE0, b"JFXX\0" + CANARY), clean[2:], CANARY]
    )  # fmt: skip

    found = wiped(told)

    assert CANARY not in found
    assert len(found) == len(told)
    np.testing.assert_array_equal(decode(found), decode(clean))


@pytest.mark.parametrize(("encode", "decode"), JPEG_2000.values(), ids=JPEG_2000.keys())
def test_text_in_a_jpeg_2000_goes_from_the_main_header_and_from_tile_parts(
    encode: Callable[[], bytes], decode: Callable[[bytes], NDArray[np.integer]]
) -> None:
    clean = encode()
    comment = segment(0xFF64, b"\0\1" + CANARY)
    tile = clean.index(b"\xff\x90")
    data = clean.index(b"\xff\x93", tile)
    (length,) = struct.unpack_from(">I", clean, tile + 6)
    longer = struct.pack(">I", length + len(comment) if length else 0)
    told = b"".join(
        [clean[:tile], comment, clean[tile : tile + 6], longer, clean[tile + 10 : data], comment, clean[data:], CANARY]
    )

    found = wiped(told)

    assert CANARY not in found
    assert len(found) == len(told)
    np.testing.assert_array_equal(decode(found.rstrip(b"\0")), decode(clean))


@pytest.mark.parametrize("name", [*JPEG, *JPEG_2000])
def test_what_is_clean_stays_as_it_is_but_for_words(name: str) -> None:
    encode, decode = (JPEG | JPEG_2000)[name]
    once = wiped(encode())

    assert wiped(once) == once
    np.testing.assert_array_equal(decode(once), decode(encode()))


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (b"", UnsupportedFormatError),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), UnsupportedFormatError),
        (b"\xff\xd8\xff", UnreadableImageError),
        (b"\xff\xd8\xff\xe0\xff\xff", UnreadableImageError),
        (b"\xff\xd8\xff\xe0\0\0", UnreadableImageError),
        (b"\xff\x4f\xff\x51\xff\xff", UnreadableImageError),
    ],
)
def test_what_is_no_codestream_is_refused(frame: bytes, error: type[ScreeningError]) -> None:
    with pytest.raises(error):
        wiped(frame)


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from([*JPEG, *JPEG_2000]), data=st.data())
def test_a_damaged_frame_is_refused_or_no_longer_than_before(name: str, data: st.DataObject) -> None:
    content = bytearray((JPEG | JPEG_2000)[name][0]())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    frame = bytes(content[: data.draw(st.integers(0, len(content)))])

    try:
        found = wiped(frame)
    except ScreeningError:
        return
    assert len(found) == len(frame)
