"""Bounds are checked from headers, before anything is decoded."""

import pytest

from app.codecs.decoder import FilmDecoder
from app.codecs.limits import DecodeLimits
from app.domain.errors import ImageRefusedError, RefusalReason, TooLargeError
from tests.unit.codecs.samples import chest, decode, file_bytes, film, grey_jpeg, grey_png


def test_more_bytes_than_allowed_are_refused_whatever_they_are() -> None:
    content = grey_png(film())

    with pytest.raises(TooLargeError, match="bytes"):
        FilmDecoder(DecodeLimits(max_bytes=len(content) - 1)).decode(content)

    assert FilmDecoder(DecodeLimits(max_bytes=len(content))).decode(content).height == 96


@pytest.mark.parametrize(
    ("width", "height"), [(20_000, 20_000), (20_001, 100), (10_001, 10_000), (2**31 - 1, 2**31 - 1)]
)
def test_too_many_pixels_are_refused(width: int, height: int) -> None:
    with pytest.raises(TooLargeError):
        DecodeLimits().check_raster(width, height, 1, 2**40)


def test_a_large_film_that_its_bytes_can_carry_is_within_the_limits() -> None:
    DecodeLimits().check_raster(10_000, 10_000, 2, 10_000_000)


def test_few_bytes_cannot_announce_many_pixels() -> None:
    with pytest.raises(TooLargeError, match="announce"):
        DecodeLimits().check_raster(9_000, 9_000, 1, 1_000)


@pytest.mark.parametrize(("height", "width"), [(63, 200), (200, 63), (1, 1)])
def test_a_side_below_64_pixels_is_too_small_in_every_format(height: int, width: int) -> None:
    pixels = film(height, width)

    for content in (grey_png(pixels), grey_jpeg(pixels), file_bytes(chest(pixels))):
        with pytest.raises(ImageRefusedError) as refusal:
            decode(content)
        assert refusal.value.reason is RefusalReason.TOO_SMALL


def test_64_pixels_are_enough() -> None:
    pixels = film(64, 64)

    for content in (grey_png(pixels), grey_jpeg(pixels), file_bytes(chest(pixels))):
        assert decode(content).pixels.shape == (64, 64)
