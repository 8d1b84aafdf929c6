"""PNG and JPEG to upright grey pixels; Pillow is the oracle."""

import io
import struct
import zlib
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from app.codecs.decoder import FilmDecoder
from app.codecs.limits import DecodeLimits
from app.domain.errors import TooLargeError, UnreadableImageError, UnsupportedFormatError
from tests.unit.codecs.samples import decode, film, grey_jpeg, grey_png, ihdr, pillow_bytes, png_of_chunks


def _luma(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(content)).convert("L"))


def _colours() -> Image.Image:
    return Image.fromarray(np.dstack([film(), film()[::-1], film()[:, ::-1]]))


def test_a_grey_png_keeps_every_value() -> None:
    read = decode(grey_png(film()))

    np.testing.assert_array_equal(read.pixels, film())
    assert read.flags == ()


def test_a_grey_png_of_16_bits_keeps_16_bits() -> None:
    read = decode(grey_png(film(bits=16)))

    assert read.pixels.dtype == np.uint16
    np.testing.assert_array_equal(read.pixels, film(bits=16))


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA"])
def test_every_colour_type_of_a_grey_picture_reads_like_pillow_and_raises_no_flag(mode: str) -> None:
    content = pillow_bytes(Image.fromarray(film()).convert(mode))

    read = decode(content)

    np.testing.assert_array_equal(read.pixels, _luma(content))
    assert read.flags == ()


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_palettes_of_few_bits_read_like_pillow(bits: int) -> None:
    content = pillow_bytes(Image.fromarray(film()).quantize(1 << bits), bits=bits)
    assert content[24] == bits

    np.testing.assert_array_equal(decode(content).pixels, _luma(content))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_of_few_bits_spans_black_to_white(bits: int) -> None:
    levels = (np.indices((64, 64)).sum(axis=0) % (1 << bits)).astype(np.uint8)
    packed = np.packbits(np.unpackbits(levels[..., None], axis=2)[..., 8 - bits :].reshape(64, -1), axis=1)
    rows = b"".join(struct.pack("B", 0) + row.tobytes() for row in packed)

    content = png_of_chunks(ihdr(64, 64, bits), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))

    np.testing.assert_array_equal(decode(content).pixels, levels * (255 // ((1 << bits) - 1)))


@pytest.mark.parametrize("pixels", [film(), film(bits=16), np.dstack([film(), film()[::-1], film()])])
def test_interlaced_is_read_like_straight(pixels: NDArray[Any]) -> None:
    content = imagecodecs.png_encode(pixels)
    interlaced = _interlace(pixels)

    np.testing.assert_array_equal(decode(interlaced).pixels, decode(content).pixels)
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(interlaced))), np.asarray(Image.open(io.BytesIO(content)))
    )


def _interlace(pixels: NDArray[Any]) -> bytes:
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    big_endian = pixels.astype(pixels.dtype.newbyteorder(">"))
    rows = [
        b"\x00" + row.tobytes() for left, top, across, down in passes for row in big_endian[top::down, left::across]
    ]
    header = ihdr(pixels.shape[1], pixels.shape[0], 8 * pixels.dtype.itemsize, 0 if pixels.ndim == 2 else 2, 1)
    return png_of_chunks(header, (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b""))


def test_a_coloured_picture_is_reduced_to_its_luma_and_says_so() -> None:
    for kind, tolerance in (("PNG", 0), ("JPEG", 2)):
        content = pillow_bytes(_colours(), kind)

        read = decode(content)

        np.testing.assert_allclose(
            read.pixels, np.asarray(Image.open(io.BytesIO(content)).convert("L")), atol=tolerance
        )
        assert read.flags == ("converted_from_colour",)


def test_a_grey_picture_stored_as_colour_is_no_colour() -> None:
    grey = Image.fromarray(film())

    for kind in ("PNG", "JPEG"):
        assert decode(pillow_bytes(grey.convert("RGB"), kind)).flags == ()
    np.testing.assert_array_equal(decode(pillow_bytes(grey.convert("RGB"))).pixels, film())


def test_transparency_is_composited_over_black() -> None:
    alpha = np.full_like(film(), 255)
    alpha[:40] = 0
    alpha[40:60] = 128
    picture = Image.merge("LA", (Image.fromarray(film()), Image.fromarray(alpha)))

    read = decode(pillow_bytes(picture))

    over_black = np.rint(film() * (alpha / 255.0)).astype(np.uint8)
    np.testing.assert_array_equal(read.pixels, over_black)
    assert read.flags == ("alpha_composited",)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_grey_jpeg_reads_like_pillow(progressive: bool) -> None:
    content = grey_jpeg(film(), progressive=progressive)

    np.testing.assert_allclose(decode(content).pixels, _luma(content), atol=1)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_a_jpeg_of_a_grey_picture_in_colour_gives_the_picture(subsampling: int) -> None:
    content = pillow_bytes(Image.fromarray(film()).convert("RGB"), "JPEG", quality=98, subsampling=subsampling)

    read = decode(content)

    np.testing.assert_allclose(read.pixels, film(), atol=4)
    assert read.flags == ()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_every_exif_orientation_ends_upright(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = pillow_bytes(Image.fromarray(film()), kind, exif=exif)

    read = decode(content)

    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    np.testing.assert_allclose(read.pixels, np.asarray(upright), atol=1)
    assert ("orientation_applied" in read.flags) is (orientation != 1)


def test_cmyk_as_adobe_writes_it_has_the_polarity_pillow_sees() -> None:
    content = pillow_bytes(Image.fromarray(film()).convert("CMYK"), "JPEG", quality=98)

    read = decode(content)

    np.testing.assert_allclose(
        read.pixels, np.asarray(Image.open(io.BytesIO(content)).convert("RGB").convert("L")), atol=2
    )
    np.testing.assert_allclose(read.pixels, film(), atol=5)


def test_cmyk_without_the_adobe_segment_is_not_guessed() -> None:
    content = pillow_bytes(Image.fromarray(film()).convert("CMYK"), "JPEG")
    at = content.index(b"\xff\xeeXAdobe".replace(b"X", b"\x00\x0e"))
    unmarked = content[:at] + content[at + 16 :]

    with pytest.raises(UnsupportedFormatError, match="inverted"):
        decode(unmarked)


@pytest.mark.parametrize("options", [{"bitspersample": 12}, {"lossless": True, "bitspersample": 16}])
def test_grey_jpegs_of_more_than_8_bits_fill_16(options: dict[str, Any]) -> None:
    bits = options["bitspersample"]
    content = imagecodecs.jpeg8_encode(film(bits=bits), level=100, **options)

    read = decode(content)

    assert read.pixels.dtype == np.uint16
    np.testing.assert_allclose(read.pixels, film(bits=16), atol=0 if "lossless" in options else 300)


def test_an_arithmetic_or_jpeg_ls_frame_is_unsupported() -> None:
    content = bytearray(grey_jpeg(film()))
    content[content.index(b"\xff\xc0") + 1] = 0xC9

    with pytest.raises(UnsupportedFormatError, match="0xC9"):
        decode(bytes(content))
    with pytest.raises(UnsupportedFormatError, match="0xF7"):
        decode(imagecodecs.jpegls_encode(film()))


def test_bytes_after_the_end_do_not_matter() -> None:
    for content in (grey_png(film()), grey_jpeg(film())):
        np.testing.assert_array_equal(decode(content + b"trailing").pixels, decode(content).pixels)


def test_padding_between_the_scans_of_a_jpeg_is_read_with_a_remark() -> None:
    content = grey_jpeg(film(), progressive=True)
    second_table = content.index(b"\xff\xc4", content.index(b"\xff\xda"))

    read = decode(content[:second_table] + b"\x01\x02\x03" + content[second_table:])

    np.testing.assert_array_equal(read.pixels, decode(content).pixels)
    assert read.flags == ("jpeg_irregular",)


def test_an_animated_png_shows_its_default_image() -> None:
    frames = [Image.fromarray(film()), Image.fromarray(film()[::-1])]
    content = pillow_bytes(frames[0], save_all=True, append_images=frames[1:])

    np.testing.assert_array_equal(decode(content).pixels, film())


def test_a_flipped_bit_in_the_pixels_of_a_png_is_noticed() -> None:
    content = bytearray(grey_png(film()))
    content[len(content) // 2] ^= 1

    with pytest.raises(UnreadableImageError, match="CRC"):
        decode(bytes(content))


def test_a_jpeg_of_too_many_scans_is_refused() -> None:
    content = grey_jpeg(film(), progressive=True)

    with pytest.raises(TooLargeError, match="scans"):
        FilmDecoder(DecodeLimits(max_scans=2)).decode(content)
    with pytest.raises(TooLargeError, match="scans"):
        FilmDecoder(DecodeLimits(max_scanned_pixels=2 * 96 * 120)).decode(content)
    at = content.rindex(b"\xff\xda")
    with pytest.raises(TooLargeError, match="scans"):
        decode(content[:-2] + content[at:-2] * 100 + content[-2:])
