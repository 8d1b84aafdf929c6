"""What an upload is, by its content."""

import numpy as np
import pytest
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from app.codecs.sniffing import ImageFormat, media_type_agrees, sniff
from app.domain.errors import UnreadableImageError, UnsupportedFormatError
from tests.unit.codecs.samples import chest, dataset_bytes, file_bytes, film, grey_jpeg, grey_png


def test_each_format_is_known_by_its_first_bytes() -> None:
    assert sniff(grey_png(film())) is ImageFormat.PNG
    assert sniff(grey_jpeg(film())) is ImageFormat.JPEG
    assert sniff(file_bytes(chest(film()))) is ImageFormat.DICOM


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_dicom_without_preamble_is_still_dicom(syntax: str | None) -> None:
    pixels = film(bits=16)
    content = file_bytes(chest(pixels), *([syntax] if syntax else []))

    assert sniff(content[128:]) is ImageFormat.DICOM
    assert sniff(content[132:]) is ImageFormat.DICOM
    assert sniff(dataset_bytes(content)) is ImageFormat.DICOM


def test_a_tiff_header_in_the_preamble_is_allowed() -> None:
    content = file_bytes(chest(film()))

    assert sniff(b"II*\x00" + content[4:]) is ImageFormat.DICOM


@pytest.mark.parametrize("start", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"MZ", b"%PDF", b"PK\x03\x04", b"<html>"])
def test_a_file_of_two_types_is_refused(start: bytes) -> None:
    content = file_bytes(chest(film()))

    with pytest.raises(UnsupportedFormatError, match="preamble"):
        sniff(start + content[len(start) :])


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"GIF89a" + bytes(20), "GIF"),
        (b"II*\x00" + bytes(20), "TIFF"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "WebP"),
        (b"BM" + bytes(20), "BMP"),
        (b"%PDF-1.7\n", "PDF"),
        (b"PK\x03\x04" + bytes(20), "ZIP"),
        (b"\n<!DOCTYPE html><html></html>", "HTML"),
        (b"<?xml version='1.0'?><svg xmlns='x'/>", "SVG"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(9), "JPEG 2000"),
        (b"\x00\x00\x00\x20ftypheic" + bytes(9), "heic"),
        (b"hello, world, this is no film", "unknown"),
        (np.random.default_rng(0).bytes(500), "unknown"),
    ],
)
def test_other_types_are_named_in_the_refusal(content: bytes, name: str) -> None:
    with pytest.raises(UnsupportedFormatError, match=name):
        sniff(content)


def test_nothing_is_unreadable() -> None:
    with pytest.raises(UnreadableImageError, match="empty"):
        sniff(b"")


@pytest.mark.parametrize(
    ("declared", "agrees"),
    [
        (None, True),
        ("application/octet-stream", True),
        ("image/JPEG; q=1", True),
        ("image/jpg", True),
        ("image/png", False),
        ("text/html", False),
    ],
)
def test_a_declared_type_agrees_or_says_nothing_or_loses(declared: str | None, agrees: bool) -> None:
    assert media_type_agrees(declared, ImageFormat.JPEG) is agrees
