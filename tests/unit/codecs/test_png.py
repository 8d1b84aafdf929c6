"""Overlays survive their PNG bit for bit; Pillow is the oracle."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from PIL import Image

from app.codecs.png import encode_palette_png, encode_png
from tests.unit.codecs.samples import film


@st.composite
def _images(draw: st.DrawFn) -> NDArray[np.uint8]:
    height, width = draw(array_shapes(min_dims=2, max_dims=2, max_side=12))
    channels = draw(st.sampled_from([(), (3,), (4,)]))
    return draw(arrays(np.uint8, (height, width, *channels)))


@given(image=_images())
def test_pillow_reads_back_what_was_encoded(image: NDArray[np.uint8]) -> None:
    decoded = np.asarray(Image.open(io.BytesIO(encode_png(image))))

    np.testing.assert_array_equal(decoded, image)


def test_a_large_picture_is_lossless_and_compressed() -> None:
    image = np.dstack([film(700, 900)] * 3)

    content = encode_png(image)

    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), image)
    assert len(content) < image.nbytes / 4


@given(data=st.data(), colours=st.integers(1, 256))
def test_pillow_reads_back_the_palette_with_its_transparency(data: st.DataObject, colours: int) -> None:
    palette = data.draw(arrays(np.uint8, (colours, 4)))
    indices = data.draw(arrays(np.uint8, (5, 7), elements=st.integers(0, colours - 1)))

    decoded = Image.open(io.BytesIO(encode_palette_png(indices, palette)))

    assert decoded.mode == "P"
    np.testing.assert_array_equal(np.asarray(decoded.convert("RGBA")), palette[indices])


def test_strided_views_are_encoded_as_they_look() -> None:
    image = film(64, 80)[::2, ::-1]

    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(encode_png(image)))), image)


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.float32), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8)],
)
def test_anything_else_is_a_broken_promise(image: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        encode_png(image)


def test_an_index_outside_the_palette_is_a_broken_promise() -> None:
    with pytest.raises(ValueError, match="largest index"):
        encode_palette_png(np.full((2, 2), 3, np.uint8), np.zeros((3, 4), np.uint8))
