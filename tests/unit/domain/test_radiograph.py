"""One film as the domain sees it."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from numpy.typing import NDArray

from app.domain.radiograph import Provenance, Radiograph
from tests.phantoms import chest_film, radiograph


@pytest.mark.parametrize("bits", [8, 16])
def test_rows_are_its_height_and_columns_its_width(bits: int) -> None:
    film = radiograph(chest_film(30, 20, bits=bits))

    assert (film.height, film.width) == (30, 20)
    assert film.flags == ()


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint32", "uint64", "float32", "float64", "bool"])
def test_anything_but_8_or_16_unsigned_bits_is_refused(dtype: str) -> None:
    pixels: NDArray[np.uint8] = np.zeros((4, 4), dtype)

    with pytest.raises(ValueError, match=dtype):
        Radiograph(pixels, Provenance("png", "0" * 64))


@pytest.mark.parametrize("shape", [(4,), (4, 4, 3), (1, 4, 4), ()])
def test_anything_but_rows_and_columns_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        Radiograph(np.zeros(shape, np.uint8), Provenance("png", "0" * 64))


def test_a_film_cannot_be_exchanged_for_another() -> None:
    film = radiograph(chest_film(8, 8))

    with pytest.raises(FrozenInstanceError):
        film.pixels = chest_film(8, 8)  # type: ignore[misc] # that is what the test is about
