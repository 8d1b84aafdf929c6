"""Stored values to display values, in whole files; pydicom is the oracle."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from app.domain.errors import UnreadableImageError, UnsupportedFormatError
from tests.unit.codecs.samples import SECONDARY_CAPTURE, chest, decode, file_bytes, film


def _read(pixels: NDArray[Any], bits: int | None = None, **elements: Any) -> NDArray[Any]:
    return decode(file_bytes(chest(pixels, bits, **elements))).pixels


def _spread(values: NDArray[Any], lowest: float, highest: float) -> NDArray[Any]:
    return np.rint(np.clip((values.astype(float) - lowest) / (highest - lowest), 0, 1) * 65535)


@pytest.mark.parametrize("bits", [8, 10, 12, 15, 16])
def test_monochrome_1_and_2_twins_give_identical_pixels(bits: int) -> None:
    pixels = film(bits=bits)
    complement = ((1 << bits) - 1 - pixels).astype(pixels.dtype)

    straight = _read(pixels, bits)

    np.testing.assert_array_equal(_read(complement, bits, PhotometricInterpretation="MONOCHROME1"), straight)
    np.testing.assert_array_equal(_read(complement, bits, PresentationLUTShape="INVERSE"), straight)


def test_monochrome_1_with_an_inverse_shape_is_still_one_inversion() -> None:
    pixels = film(bits=12)
    once = _read(pixels, 12, PhotometricInterpretation="MONOCHROME1")

    twice = _read(pixels, 12, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE")

    np.testing.assert_array_equal(twice, once)


def test_monochrome_1_and_2_twins_agree_through_a_window() -> None:
    pixels = film(bits=12)

    straight = _read(pixels, 12, WindowCenter=1500.5, WindowWidth=2000, VOILUTFunction="LINEAR_EXACT")
    inverted = _read(
        (4095 - pixels).astype(np.uint16),
        12,
        PhotometricInterpretation="MONOCHROME1",
        WindowCenter=4095 - 1500.5,
        WindowWidth=2000,
        VOILUTFunction="LINEAR_EXACT",
    )

    np.testing.assert_allclose(inverted.astype(int), straight.astype(int), atol=1)


def test_8_bits_without_a_window_are_display_values_already() -> None:
    pixels = (film() // 2 + 20).astype(np.uint8)
    read = decode(file_bytes(chest(pixels)))

    assert read.flags == ()
    np.testing.assert_array_equal(read.pixels, pixels)


def test_more_bits_without_a_window_use_the_range_of_the_film() -> None:
    pixels = (film(bits=11) + 300).astype(np.uint16)

    read = decode(file_bytes(chest(pixels, 12)))

    assert read.flags == ("voi_window_missing",)
    np.testing.assert_allclose(read.pixels, _spread(pixels, pixels.min(), pixels.max()), atol=1)


def test_garbage_above_the_stored_bits_is_masked() -> None:
    pixels = film(bits=12)
    garbage = (np.arange(pixels.size).reshape(pixels.shape) % 16).astype(np.uint16) << 12

    np.testing.assert_array_equal(_read(pixels | garbage, 12), _read(pixels, 12))


def test_left_justified_bits_are_shifted_down() -> None:
    pixels = film(bits=12)

    np.testing.assert_array_equal(_read(pixels << 4, 12, HighBit=15), _read(pixels, 12))


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_signed_values_keep_their_order(bits: int, syntax: str) -> None:
    pixels = film(bits=bits)
    signed = (pixels.astype(np.int32) - (1 << (bits - 1))).astype(np.int16)

    read = decode(file_bytes(chest(signed, bits), syntax))

    np.testing.assert_array_equal(read.pixels, _read(pixels, bits))


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("slope", "intercept"), [(None, None), ("2.5", "-1024"), ("-1", "4095")])
def test_rescale_and_window_are_those_of_pydicom(
    function: str | None, signed: bool, slope: str | None, intercept: str | None
) -> None:
    pixels = film(bits=12)
    stored = (pixels.astype(np.int32) - 2048).astype(np.int16) if signed else pixels
    elements = {"RescaleSlope": slope, "RescaleIntercept": intercept, "WindowCenter": "900", "WindowWidth": "1800"}
    dataset = chest(stored, 12, VOILUTFunction=function, **elements)

    read = decode(file_bytes(dataset))

    values = apply_modality_lut(stored, dataset)
    oracle = apply_voi_lut(values, dataset).astype(float)
    # pydicom puts windows out in the range of the stored values, rescaled; black is where the smallest one goes
    black, white = np.array([-2048, 2047] if signed else [0, 4095]) * float(slope or 1) + float(intercept or 0)
    np.testing.assert_allclose(read.pixels, (oracle - black) / (white - black) * 65535, atol=1)


def test_of_several_windows_the_first_is_used_and_a_remark_made() -> None:
    pixels = film(bits=12)

    read = decode(file_bytes(chest(pixels, 12, WindowCenter=[2000, 100], WindowWidth=[1000, 50])))

    assert read.flags == ("several_voi_alternatives",)
    np.testing.assert_array_equal(read.pixels, _read(pixels, 12, WindowCenter=2000, WindowWidth=1000))


@pytest.mark.parametrize("window", [{"WindowWidth": "0"}, {"WindowWidth": "300", "VOILUTFunction": "CUBIC"}])
def test_an_invalid_window_is_ignored_with_a_remark(window: dict[str, str]) -> None:
    pixels = film(bits=12)

    read = decode(file_bytes(chest(pixels, 12, WindowCenter="100", **window)))

    assert read.flags == ("voi_window_invalid", "voi_window_missing")
    np.testing.assert_array_equal(read.pixels, _read(pixels, 12))


def _lut(first: int, bits: int, entries: NDArray[np.uint16]) -> list[Dataset]:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries) % 65536, first, bits])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    item.ModalityLUTType = "US"
    return [item]


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_modality_and_voi_tables_are_those_of_pydicom(syntax: str) -> None:
    pixels = film(bits=10)
    modality = _lut(5, 16, (np.arange(1000) ** 2 / 20).astype(np.uint16))
    voi = _lut(100, 12, (4095 * np.sqrt(np.arange(40000) / 39999)).astype(np.uint16))
    dataset = chest(pixels, 10, ModalityLUTSequence=modality, VOILUTSequence=voi, WindowCenter=1, WindowWidth=2)

    read = decode(file_bytes(dataset, syntax))

    oracle = apply_voi_lut(apply_modality_lut(pixels, dataset), dataset, prefer_lut=True)
    np.testing.assert_array_equal(read.pixels, np.rint(oracle / 4095.0 * 65535))


def test_a_voi_table_may_begin_below_zero() -> None:
    pixels = (film(bits=12).astype(np.int32) - 2048).astype(np.int16)
    voi = _lut(-2048, 12, np.arange(4096, dtype=np.uint16))

    read = decode(file_bytes(chest(pixels, 12, VOILUTSequence=voi)))

    np.testing.assert_array_equal(read.pixels, _spread(film(bits=12), 0, 4095))


def test_an_8_bit_table_packed_in_words_is_read() -> None:
    pixels = film()
    item = _lut(0, 8, np.zeros(1, np.uint16))
    item[0].LUTDescriptor = [256, 0, 8]
    item[0].LUTData = bytes(255 - value for value in range(256))

    np.testing.assert_array_equal(_read(pixels, VOILUTSequence=item), 255 - pixels)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("limit", [None, 5])
def test_padding_is_black_and_does_not_count_for_the_range(photometric: str, limit: int | None) -> None:
    pixels = (film(bits=11) + 1000).astype(np.uint16)
    framed = pixels.copy()
    framed[:10] = 3

    padded = _read(framed, 12, PhotometricInterpretation=photometric, PixelPaddingValue=3, PixelPaddingRangeLimit=limit)

    np.testing.assert_array_equal(padded[:10], 0)
    lowest, highest = pixels[10:].min(), pixels[10:].max()
    shown = _spread(pixels[10:], lowest, highest)
    np.testing.assert_allclose(padded[10:], 65535 - shown if photometric == "MONOCHROME1" else shown, atol=1)


def _secondary(pixels: NDArray[Any], **elements: Any) -> bytes:
    return file_bytes(chest(pixels, SOPClassUID=SECONDARY_CAPTURE, Modality="OT", **elements))


@pytest.mark.parametrize("planar", [0, 1])
def test_rgb_captures_are_reduced_to_luma(planar: int) -> None:
    colours = np.dstack([film(), film()[::-1], film()[:, ::-1]])
    stored = np.ascontiguousarray(np.moveaxis(colours, 2, 0)) if planar else colours
    dataset = chest(colours, SOPClassUID=SECONDARY_CAPTURE, Modality="OT", PlanarConfiguration=planar)
    dataset.PixelData = stored.tobytes()

    read = decode(file_bytes(dataset))

    np.testing.assert_allclose(read.pixels, colours @ np.array([0.299, 0.587, 0.114]), atol=0.51)
    assert read.flags == ("converted_from_colour",)


def test_a_grey_film_captured_as_rgb_is_the_film() -> None:
    read = decode(_secondary(np.dstack([film()] * 3)))

    np.testing.assert_array_equal(read.pixels, film())
    assert read.flags == ()


@pytest.mark.parametrize("photometric", ["YBR_FULL", "YBR_FULL_422"])
@pytest.mark.parametrize("chroma", [128, 90])
def test_of_ybr_captures_the_luma_is_taken(photometric: str, chroma: int) -> None:
    luma = film()
    neutral = np.full_like(luma, chroma)
    dataset = chest(np.dstack([luma, neutral, neutral]), PhotometricInterpretation=photometric)
    if photometric == "YBR_FULL_422":
        pairs = luma.reshape(len(luma), -1, 2)
        dataset.PixelData = np.concatenate([pairs, np.full_like(pairs, chroma)], axis=2).tobytes()

    read = decode(file_bytes(dataset))

    np.testing.assert_array_equal(read.pixels, luma)
    assert read.flags == (() if chroma == 128 else ("converted_from_colour",))


@pytest.mark.parametrize("bits", [8, 16])
def test_palettes_are_looked_up(bits: int) -> None:
    entries = (np.arange(256)[::-1] * (257 if bits == 16 else 1)).astype("<u2")
    channels = {
        f"{colour}PaletteColorLookupTable{part}": value
        for colour in ("Red", "Green", "Blue")
        for part, value in (("Descriptor", [256, 0, bits]), ("Data", entries.tobytes()))
    }

    read = decode(_secondary(film(), PhotometricInterpretation="PALETTE COLOR", **channels))

    np.testing.assert_array_equal(read.pixels, entries[film()])
    assert read.flags == ()


def test_a_palette_image_without_palette_is_unsupported() -> None:
    with pytest.raises(UnsupportedFormatError, match="palette"):
        decode(_secondary(film(), PhotometricInterpretation="PALETTE COLOR"))


@pytest.mark.parametrize(
    ("elements", "error"),
    [
        ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, UnsupportedFormatError),
        ({"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}, UnsupportedFormatError),
        ({"BitsStored": 9}, UnreadableImageError),
        ({"HighBit": 3}, UnreadableImageError),
        ({"Rows": None}, UnreadableImageError),
        ({"Rows": 0}, UnreadableImageError),
        ({"Rows": 97}, UnreadableImageError),
        ({"PhotometricInterpretation": None}, UnreadableImageError),
        ({"PhotometricInterpretation": "HSV"}, UnsupportedFormatError),
        ({"PhotometricInterpretation": "RGB"}, UnsupportedFormatError),
    ],
)
def test_contradictory_image_modules_are_refused(elements: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        decode(file_bytes(chest(film(), **elements)))


def test_a_constant_film_is_black_rather_than_an_error() -> None:
    read = decode(file_bytes(chest(np.full((80, 80), 700, np.uint16), 12)))

    assert not read.pixels.any()


def test_a_rescale_slope_of_zero_is_ignored_with_a_remark() -> None:
    read = decode(file_bytes(chest(film(bits=12), 12, RescaleSlope="0", RescaleIntercept="5")))

    assert "rescale_invalid" in read.flags
    np.testing.assert_array_equal(read.pixels, _read(film(bits=12), 12))
