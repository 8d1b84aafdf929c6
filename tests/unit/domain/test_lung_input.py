"""A network that is fed with the lungs sees the lungs, and where they came from on the film is known."""

import numpy as np
import pytest

from app.domain.lung_input import to_lung_input, visible_lungs
from app.domain.lungs import LungFields, lung_window
from app.domain.preprocessing import Crop, InputSpecification, to_network_input
from app.domain.radiograph import Provenance, Radiograph


def _film(height: int = 120, width: int = 100) -> Radiograph:
    rows, columns = np.mgrid[:height, :width]
    pixels = (40 + rows + columns).astype(np.uint8)
    return Radiograph(pixels, Provenance("png", ""))


def _lungs(film: Radiograph) -> LungFields:
    """Two upright rectangles on a grid of 30 x 25 cells, 4 px each."""
    probability = np.zeros((2, 30, 25), np.float32)
    probability[0, 8:20, 5:10] = 1.0
    probability[1, 8:20, 15:20] = 1.0
    return LungFields(probability, (0.0, 0.0, 100.0, 120.0), film.height, film.width)


def _specification(crop: Crop, margin: float = 0.1) -> InputSpecification:
    return InputSpecification(64, 1, mean=(0.5,), std=(0.25,), crop=crop, crop_margin=margin)


def test_a_network_of_whole_films_does_not_mind_the_lungs() -> None:
    film = _film()

    films, placement = to_lung_input(film, _specification("film"), _lungs(film))

    plain, _ = to_network_input(film, _specification("film"))
    np.testing.assert_array_equal(films, plain)
    assert placement.window is None


@pytest.mark.parametrize("crop", ["lungs", "lungs-only"])
def test_without_lungs_the_whole_film_is_fed(crop: Crop) -> None:
    film = _film()
    nowhere = LungFields(np.zeros((2, 8, 8), np.float32), (0.0, 0.0, 100.0, 120.0), film.height, film.width)

    fed = [to_lung_input(film, _specification(crop), lungs) for lungs in (None, nowhere)]

    plain, _ = to_network_input(film, _specification(crop))
    for films, placement in fed:
        np.testing.assert_array_equal(films, plain)
        assert placement.window is None


def test_the_window_is_the_one_around_the_lungs() -> None:
    film = _film()

    films, placement = to_lung_input(film, _specification("lungs"), _lungs(film))

    assert placement.window == lung_window(_lungs(film), 0.1)
    assert films.shape == (1, 1, 64, 64)


def test_everything_far_from_the_lungs_is_black_and_the_lungs_are_as_they_were() -> None:
    film = _film()
    lungs = _lungs(film)

    hidden, placement = to_lung_input(film, _specification("lungs-only"), lungs)
    shown, same = to_lung_input(film, _specification("lungs"), lungs)

    assert placement == same
    inside = lungs.over(placement.extent, 64, 64) >= 0.5
    far = lungs.over(placement.extent, 64, 64) == 0.0
    far &= visible_lungs(lungs, placement.extent, 64, 64) == 0.0
    np.testing.assert_allclose(hidden[0, 0][inside], shown[0, 0][inside], atol=1e-6)
    np.testing.assert_allclose(hidden[0, 0][far], -2.0, atol=1e-6)
    assert far.any()
    assert hidden.dtype == np.float32


def test_what_is_visible_covers_the_lungs_and_falls_off_around_them() -> None:
    film = _film()
    lungs = _lungs(film)

    visible = visible_lungs(lungs, (0.0, 0.0, 100.0, 120.0), 120, 100)

    assert float(visible[lungs.over((0.0, 0.0, 100.0, 120.0), 120, 100) >= 0.5].min()) == 1.0
    assert visible.min() == 0.0
    assert visible.max() == 1.0
    assert 0.2 < float(visible.mean()) < 0.45
