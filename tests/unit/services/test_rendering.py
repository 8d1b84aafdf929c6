"""Pictures: their size, what they leave alone, and what they colour."""

import numpy as np
import pytest

from app.domain.activation_map import positive_share
from app.domain.directed_divergence import directed_divergence
from app.domain.overlay import colour_table, grey_levels
from app.domain.screening import DivergenceFinding
from app.services.options import ScreeningOptions, Style
from app.services.rendering import Pictures, render
from app.services.stopwatch import Stopwatch
from tests.fakes import FakeEncoder
from tests.phantoms import Film, chest_film, radiograph

X = np.array([[9.0, 0.0], [0.0, 0.0]])
X_PRIME = np.array([[0.0, 0.0], [0.0, 9.0]])


def drawn(film: Film, options: ScreeningOptions) -> tuple[Pictures, FakeEncoder]:
    height, width = film.shape
    encoder = FakeEncoder()
    extent = (0.0, 0.0, float(width), float(height))
    maps = (directed_divergence(X, X_PRIME, 50.0),)
    divergence = DivergenceFinding("covid19", "pneumonia", True, None, maps, extent, (None,))
    return render(radiograph(film), {}, divergence, options, encoder, Stopwatch()), encoder


@pytest.mark.parametrize("asked", [16, 100, None, 4096])
def test_pictures_have_the_asked_size_and_never_more_than_the_film_s(asked: int | None) -> None:
    pictures, encoder = drawn(
        chest_film(300, 150), ScreeningOptions(overlay_px=asked, include=frozenset({"overlays", "film"}))
    )

    expected = {16: (8, 16), 100: (50, 100)}.get(asked or 0, (150, 300))
    assert [(p.width, p.height) for p in (pictures.film, *pictures.divergence) if p] == [expected, expected]
    assert [image.shape[:2] for image in (*encoder.greys, *encoder.colours)] == [expected[::-1]] * 2


def test_the_film_under_no_heat_is_left_as_it_is() -> None:
    film = chest_film(200, 200)

    _, encoder = drawn(film, ScreeningOptions(overlay_px=None, opacity=1.0))

    blended = encoder.colours[0]
    np.testing.assert_array_equal(blended[150:, 150:], np.stack([film[150:, 150:]] * 3, axis=-1))
    np.testing.assert_array_equal(blended[:40, :40], np.broadcast_to(colour_table("inferno")[255], (40, 40, 3)))


def test_a_heat_map_is_transparent_where_it_is_cold_and_has_no_film_in_it() -> None:
    options = ScreeningOptions(overlay_px=None, style="heatmap", opacity=0.8, include=frozenset({"overlays"}))

    pictures, encoder = drawn(chest_film(200, 200), options)

    indices, colours = encoder.palettes[0]
    assert colours[indices[:40, :40], 3].min() == round(0.8 * 255)
    assert colours[indices[150:, 150:], 3].max() == 0
    assert (encoder.colours, encoder.greys, pictures.film) == ([], [], None)


@pytest.mark.parametrize("style", ["blend", "heatmap"])
def test_a_16_bit_film_is_drawn_in_8_bits(style: Style) -> None:
    film = chest_film(100, 100, bits=16)

    _, encoder = drawn(film, ScreeningOptions(style=style, include=frozenset({"overlays", "film"})))

    np.testing.assert_array_equal(encoder.greys[0], grey_levels(film, 100, 100))
    assert np.abs(encoder.greys[0].astype(int) - film / 257.0).max() <= 1


def test_no_overlays_are_drawn_where_none_are_asked_for() -> None:
    pictures, encoder = drawn(chest_film(100, 100), ScreeningOptions(include=frozenset({"film"})))

    assert pictures.film is not None
    assert (dict(pictures.experts), pictures.divergence, encoder.colours) == ({}, (), [])
    assert positive_share(X).max() == 1.0
