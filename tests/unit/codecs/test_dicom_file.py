"""DICOM files in every transfer syntax and state of completeness; pydicom is the oracle."""

import io
import warnings
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.pixels import pixel_array
from pydicom.pixels.encoders import RLELosslessEncoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from app.codecs.dicom_file import read_header
from app.codecs.dicom_header import Tag
from app.codecs.limits import DecodeLimits
from app.domain.errors import ImageRefusedError, ScreeningError, UnreadableImageError
from tests.unit.codecs.samples import chest, dataset_bytes, decode, encapsulated, file_bytes, film


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_native_syntaxes_give_the_same_film(syntax: str, bits: int) -> None:
    pixels = film(bits=bits)
    dataset = chest(pixels, bits)
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = pixels.byteswap().tobytes()

    read = decode(file_bytes(dataset, syntax))

    np.testing.assert_array_equal(read.pixels, decode(file_bytes(chest(pixels, bits))).pixels)


@pytest.mark.parametrize(
    ("syntax", "bits"),
    [
        (syntax, bits)
        for syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless)
        for bits in (8, 12, 16)
    ]
    + [(JPEGLosslessSV1, 8), (JPEGLosslessSV1, 12), (JPEGLosslessSV1, 16)],
)
def test_lossless_syntaxes_give_the_same_film(syntax: str, bits: int) -> None:
    pixels = film(bits=bits)
    dataset = chest(pixels, bits)
    codestreams: dict[str, Any] = {
        RLELossless: lambda: RLELosslessEncoder.encode(
            pixels, rows=96, columns=120, samples_per_pixel=1, bits_allocated=8 * pixels.dtype.itemsize,
            bits_stored=bits, pixel_representation=0, photometric_interpretation="MONOCHROME2", number_of_frames=1,
        ),
        JPEGLSLossless: lambda: imagecodecs.jpegls_encode(pixels),
        JPEG2000Lossless: lambda: imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="J2K", bitspersample=bits),
        HTJ2KLossless: lambda: imagecodecs.htj2k_encode(pixels),
        JPEGLosslessSV1: lambda: imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=1, bitspersample=bits),
    }  # fmt: skip

    read = decode(encapsulated(dataset, codestreams[syntax](), syntax))

    np.testing.assert_array_equal(read.pixels, decode(file_bytes(chest(pixels, bits))).pixels)


@pytest.mark.parametrize(
    ("syntax", "bits"),
    [(JPEGBaseline8Bit, 8), (JPEGExtended12Bit, 12), (JPEGLSNearLossless, 12), (JPEG2000, 12), (HTJ2K, 12)],
)
def test_lossy_syntaxes_give_nearly_the_same_film(syntax: str, bits: int) -> None:
    pixels = film(bits=bits)
    codestreams: dict[str, Any] = {
        JPEGBaseline8Bit: lambda: imagecodecs.jpeg8_encode(pixels, level=95),
        JPEGExtended12Bit: lambda: imagecodecs.jpeg8_encode(pixels, level=95, bitspersample=12),
        JPEGLSNearLossless: lambda: imagecodecs.jpegls_encode(pixels, level=3),
        JPEG2000: lambda: imagecodecs.jpeg2k_encode(pixels, level=50, codecformat="J2K", bitspersample=bits),
        HTJ2K: lambda: imagecodecs.htj2k_encode(pixels, level=0.001),
    }
    window = {"WindowCenter": 2048, "WindowWidth": 4096} if bits == 12 else {}

    read = decode(encapsulated(chest(pixels, bits, **window), codestreams[syntax](), syntax))

    straight = decode(file_bytes(chest(pixels, bits, **window))).pixels
    largest = np.iinfo(straight.dtype).max
    np.testing.assert_allclose(read.pixels / largest, straight / largest, atol=0.02)


def test_the_codestream_says_what_it_is_where_the_transfer_syntax_is_wrong() -> None:
    pixels = film(bits=12)

    read = decode(encapsulated(chest(pixels, 12), imagecodecs.jpegls_encode(pixels), JPEG2000Lossless))

    np.testing.assert_array_equal(read.pixels, decode(file_bytes(chest(pixels, 12))).pixels)


def test_a_codestream_of_another_size_than_the_header_is_unreadable() -> None:
    for codestream in (
        imagecodecs.jpeg2k_encode(film(200, 120), level=0, codecformat="J2K"),
        imagecodecs.jpegls_encode(film(96, 200)),
        imagecodecs.jpeg8_encode(film(80, 120)),
    ):
        with pytest.raises(UnreadableImageError, match="codestream is"):
            decode(encapsulated(chest(film()), codestream, JPEG2000))


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_preamble_and_file_meta_may_be_missing(syntax: str, bits: int) -> None:
    pixels = film(bits=bits)
    dataset = chest(pixels, bits)
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = pixels.byteswap().tobytes()
    content = file_bytes(dataset, syntax)
    whole = decode(content)

    for partial in (content[128:], content[132:], dataset_bytes(content)):
        np.testing.assert_array_equal(decode(partial).pixels, whole.pixels)
    assert decode(dataset_bytes(content)).flags[:1] == ("file_meta_missing",)


@pytest.mark.parametrize(
    ("announced", "real"),
    [("1.2.840.10008.1.2", ExplicitVRLittleEndian), ("1.2.840.10008.1.2.1", ImplicitVRLittleEndian)],
)
def test_a_transfer_syntax_that_lies_about_vrs_is_seen_through(announced: str, real: str) -> None:
    dataset = chest(film(bits=12), 12)
    honest, liar = file_bytes(dataset, real), file_bytes(dataset, announced)
    head = liar[: len(liar) - len(dataset_bytes(liar))]

    np.testing.assert_array_equal(decode(head + dataset_bytes(honest)).pixels, decode(honest).pixels)


def test_provenance_says_what_the_file_says() -> None:
    content = file_bytes(chest(film(), PhotometricInterpretation="MONOCHROME1", PixelSpacing=["0.2", "0.3"]))

    provenance = decode(content).provenance

    assert provenance.format == "dicom"
    assert len(provenance.sha256) == 64
    assert provenance.view_position == "PA"
    assert provenance.photometric_interpretation == "MONOCHROME1"
    assert provenance.pixel_spacing_mm == (0.2, 0.3)
    assert provenance.sop_instance_uid == "2.25.1234567890"
    assert "Nobody" not in repr(provenance)


@pytest.mark.parametrize(
    ("elements", "spacing"),
    [
        ({}, None),
        ({"PixelSpacing": ["0", "0"]}, None),
        ({"PixelSpacing": ["0", "0"], "ImagerPixelSpacing": ["0.14", "0.14"]}, (0.14, 0.14)),
        ({"ImagerPixelSpacing": ["0.14", "-1"]}, None),
    ],
)
def test_spacing_that_is_absent_or_zero_is_unknown(elements: dict[str, Any], spacing: Any) -> None:
    assert decode(file_bytes(chest(film(), **elements))).provenance.pixel_spacing_mm == spacing


def test_a_uid_that_is_a_path_is_not_passed_on() -> None:
    content = file_bytes(chest(film())).replace(b"2.25.1234567890\x00", b"../../../evil/x\x00")

    assert decode(content).provenance.sop_instance_uid is None


def test_burned_in_annotation_is_remarked() -> None:
    assert decode(file_bytes(chest(film(), BurnedInAnnotation="YES"))).flags == ("burned_in_annotation",)


def test_private_and_nested_elements_and_what_follows_the_pixels_are_stepped_over() -> None:
    inner = Dataset()
    inner.PatientID = "nobody"
    inner.is_undefined_length_sequence_item = True
    dataset = chest(film(), ReferencedStudySequence=[inner, Dataset()], RequestAttributesSequence=[inner])
    dataset["ReferencedStudySequence"].is_undefined_length = True
    dataset.add_new(0x00091001, "UN", b"\xfe\xff\x00\xe0" + b"\xff" * 40)
    dataset.add_new(0x00091002, "UT", "text" * 999)

    for syntax in (ImplicitVRLittleEndian, ExplicitVRLittleEndian):
        content = file_bytes(dataset, syntax)
        np.testing.assert_array_equal(decode(content + b"\x00" * 77 + b"\xff" * 99).pixels, film())


TEST_FILES = sorted(path for path in Path(str(get_testdata_file("CT_small.dcm", download=False))).parent.glob("*.dcm"))
_COMPARED = (
    "SOPClassUID", "SOPInstanceUID", "Modality", "ViewPosition", "Rows", "Columns", "BitsStored",
    "PhotometricInterpretation", "WindowCenter", "RescaleSlope", "PixelSpacing", "PixelData",
)  # fmt: skip


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.stem)
def test_headers_are_those_pydicom_reads(path: Path) -> None:
    content = path.read_bytes()
    try:
        header, _ = read_header(content, DecodeLimits(max_elements=10**6))
    except UnreadableImageError:
        header = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            oracle = dcmread(io.BytesIO(content), force=True)
            expected = {keyword: oracle.get(keyword) for keyword in _COMPARED}
        except Exception:
            expected = {}
    if header is None:
        assert not expected.get("PixelData") or "truncated" in path.stem or "dirty" in path.stem
        return

    for keyword, value in expected.items():
        tag = getattr(Tag, "".join(f"_{c}" if c.isupper() else c.upper() for c in keyword).strip("_"), None)
        tag = {"SOPClassUID": Tag.SOP_CLASS_UID, "SOPInstanceUID": Tag.SOP_INSTANCE_UID}.get(keyword, tag)
        assert tag is not None
        if keyword == "PixelData":
            assert (value is None) == (tag not in header.elements)
        elif keyword in ("Rows", "Columns", "BitsStored"):
            assert header.words(tag)[:1] == (() if value is None else (value,))
        elif value is None or value == "":
            assert header.strings(tag) in ((), ("",))
        else:
            several = value if hasattr(value, "append") else [value]
            texts = header.strings(tag)
            assert len(texts) == len(several)
            for text, one in zip(texts, several, strict=True):
                assert text == str(one) or float(text) == float(one)


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.stem)
def test_every_test_file_of_pydicom_is_answered_or_refused_with_a_reason(path: Path) -> None:
    try:
        answer = decode(path.read_bytes()).pixels.size
    except ScreeningError as refusal:
        answer = len(refusal.detail)

    assert answer


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_rgb_dcmtk_+eb+cr.dcm",
        "SC_rgb_dcmtk_+eb+cy+s4.dcm",
        "SC_rgb_rle.dcm",
        "SC_rgb_jls_lossy_line.dcm",
        "SC_rgb_gdcm_KY.dcm",
        "SC_jpeg_no_color_transform.dcm",
        "SC_jpeg_no_color_transform_2.dcm",
        "SC_rgb_jpeg_app14_dcmd.dcm",
    ],
)
def test_colour_captures_of_pydicom_have_the_luma_pydicom_gives(name: str) -> None:
    path = get_testdata_file(name, download=False)
    if not path:
        pytest.skip("not part of this pydicom")
    content = Path(str(path)).read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = pixel_array(io.BytesIO(content)) @ np.array([0.299, 0.587, 0.114])
    try:
        read = decode(content)
    except ImageRefusedError:
        pytest.skip("refused by its header")

    np.testing.assert_allclose(read.pixels, oracle, atol=3)
