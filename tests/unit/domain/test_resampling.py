"""Resampling: laws, and Pillow as an oracle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from app.domain.arrays import StoredPixels
from app.domain.resampling import Kernel, resize
from tests.phantoms import chest_film
from tests.unit.domain.strategies import HEAVY_LAW, LAW

KERNELS = st.sampled_from(("bicubic", "bilinear"))
SIDES = st.integers(1, 60)
FILTERS: dict[Kernel, Image.Resampling] = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
}


def noise(height: int, width: int, seed: int, dtype: type[np.uint8 | np.uint16] = np.uint8) -> StoredPixels:
    """Every grey value equally often: the hardest film to resample."""
    found: StoredPixels = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, (height, width), dtype)
    return found


def by_pillow(pixels: StoredPixels, height: int, width: int, kernel: Kernel) -> NDArray[np.float32]:
    """Pillow's resize in floating point."""
    image = Image.fromarray(pixels.astype(np.float32), "F")
    return np.asarray(image.resize((width, height), FILTERS[kernel]))


@HEAVY_LAW
@given(height=st.integers(1, 150), width=st.integers(1, 150), out=st.tuples(SIDES, SIDES), kernel=KERNELS)
def test_pillow_gives_the_same_picture(height: int, width: int, out: tuple[int, int], kernel: Kernel) -> None:
    film = noise(height, width, seed=height * 151 + width)

    found = resize(film, *out, kernel)

    np.testing.assert_allclose(found, by_pillow(film, *out, kernel), atol=1e-3, rtol=0.0)


@pytest.mark.parametrize("kernel", ["bicubic", "bilinear"])
@pytest.mark.parametrize(("height", "width", "side"), [(1024, 837, 224), (701, 960, 512), (90, 120, 320)])
def test_pillow_gives_the_same_picture_of_a_whole_film(height: int, width: int, side: int, kernel: Kernel) -> None:
    film = chest_film(height, width)

    found = resize(film, side, side, kernel)

    np.testing.assert_allclose(found, by_pillow(film, side, side, kernel), atol=1e-3, rtol=0.0)


@pytest.mark.parametrize("kernel", ["bicubic", "bilinear"])
def test_pillow_gives_the_same_picture_of_16_bits(kernel: Kernel) -> None:
    film = noise(333, 401, 5, np.uint16)

    found = resize(film, 100, 120, kernel)

    np.testing.assert_allclose(found, by_pillow(film, 100, 120, kernel), atol=1e-3 * 257, rtol=0.0)


@LAW
@given(height=SIDES, width=SIDES, out=st.tuples(SIDES, SIDES), value=st.integers(0, 255), kernel=KERNELS)
def test_a_constant_film_stays_constant(
    height: int, width: int, out: tuple[int, int], value: int, kernel: Kernel
) -> None:
    found = resize(np.full((height, width), value, np.uint8), *out, kernel)

    assert found.shape == out
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, value, rtol=2e-6)


@LAW
@given(height=SIDES, width=SIDES, seed=st.integers(0, 99), kernel=KERNELS)
def test_a_film_at_its_own_size_is_unchanged(height: int, width: int, seed: int, kernel: Kernel) -> None:
    film = noise(height, width, seed)

    np.testing.assert_array_equal(resize(film, height, width, kernel), film)


@LAW
@given(height=SIDES, width=SIDES, out=st.tuples(SIDES, SIDES), seed=st.integers(0, 99), kernel=KERNELS)
def test_flipping_and_turning_commute_with_resizing(
    height: int, width: int, out: tuple[int, int], seed: int, kernel: Kernel
) -> None:
    film = noise(height, width, seed)
    found = resize(film, *out, kernel)

    np.testing.assert_allclose(resize(film[:, ::-1], *out, kernel), found[:, ::-1], atol=1e-3)
    np.testing.assert_allclose(resize(film[::-1], *out, kernel), found[::-1], atol=1e-3)
    np.testing.assert_allclose(resize(film.T, out[1], out[0], kernel), found.T, atol=1e-3)


@LAW
@given(height=SIDES, width=SIDES, out=st.tuples(SIDES, SIDES), seed=st.integers(0, 99))
def test_bilinear_never_leaves_the_range_of_the_film(height: int, width: int, out: tuple[int, int], seed: int) -> None:
    film = noise(height, width, seed)

    found = resize(film, *out, "bilinear")

    assert film.min() - 1e-3 <= found.min()
    assert found.max() <= film.max() + 1e-3


@LAW
@given(out=st.tuples(SIDES, SIDES), seed=st.integers(0, 99), kernel=KERNELS)
def test_resizing_is_linear(out: tuple[int, int], seed: int, kernel: Kernel) -> None:
    first, second = (np.random.default_rng((seed, n)).random((33, 47), np.float32) for n in range(2))

    together = resize(first + 2 * second, *out, kernel)

    np.testing.assert_allclose(together, resize(first, *out, kernel) + 2 * resize(second, *out, kernel), atol=1e-5)


@LAW
@given(factor=st.integers(1, 7), rows=st.integers(1, 9), columns=st.integers(1, 9), kernel=KERNELS)
def test_a_ramp_shrinks_to_a_ramp(factor: int, rows: int, columns: int, kernel: Kernel) -> None:
    width = factor * columns
    ramp = np.broadcast_to(np.arange(width, dtype=np.float32), (factor * rows, width))

    found = resize(ramp, rows, columns, kernel)

    centres = (np.arange(columns) + 0.5) * factor - 0.5
    inner = slice(2, columns - 2)  # the kernel's reach of two output pixels is cut off at the edges
    np.testing.assert_allclose(found[:, inner], np.broadcast_to(centres, found.shape)[:, inner], atol=1e-3)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_every_accepted_type_gives_single_precision_and_keeps_its_units(
    dtype: str,
) -> None:
    film = noise(30, 40, 7)
    stored: StoredPixels = film.astype(dtype)
    stored.setflags(write=False)

    found = resize(stored, 13, 17)

    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, resize(film, 13, 17))


def test_a_film_stored_backwards_or_in_the_other_byte_order_reads_the_same() -> None:
    film = noise(20, 30, 8, np.uint16)
    odd: NDArray[np.uint16] = np.asfortranarray(film).astype(">u2")

    np.testing.assert_array_equal(resize(odd, 9, 11), resize(film, 9, 11))


@pytest.mark.parametrize(("shape", "out"), [((4, 4), (0, 3)), ((4, 4), (3, -1)), ((0, 4), (3, 3)), ((4, 0), (3, 3))])
def test_nothing_cannot_be_resized_and_nothing_can_be_resized_to_nothing(
    shape: tuple[int, int], out: tuple[int, int]
) -> None:
    with pytest.raises(ValueError, match="cannot resize"):
        resize(np.zeros(shape, np.uint8), *out)
