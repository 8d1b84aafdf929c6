"""Colour on the film, and the bar that says which end is hot."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from app.domain.overlay import (
    COLORMAPS,
    Colormap,
    blend,
    colour_table,
    grey_levels,
    heat_levels,
    legend_bar,
    overlay_size,
    palette_with_opacity,
)
from tests.phantoms import chest_film
from tests.unit.domain.strategies import LAW, byte_maps

MAPS = st.sampled_from(COLORMAPS)
OPACITIES = st.floats(0.0, 1.0)
LEGEND_GREY = 96
FILMS = byte_maps((6, 7)).map(lambda cells: (16.0 * cells).astype(np.uint8))
HEATS = byte_maps((6, 7)).map(lambda cells: (cells * (16.0 / 255.0)).astype(np.float32))
SIDES = st.integers(1, 5000)


@LAW
@given(colormap=MAPS, opacity=OPACITIES, length=st.integers(2, 300), thickness=st.integers(1, 5))
def test_the_right_end_of_the_bar_is_the_hottest_pixel_and_the_left_end_the_film(
    colormap: Colormap, opacity: float, length: int, thickness: int
) -> None:
    grey = np.full((4, 4), LEGEND_GREY, np.uint8)
    heat = np.linspace(0.0, 1.0, 16, dtype=np.float32).reshape(4, 4)

    bar = legend_bar(colormap, opacity, length, thickness)

    picture = blend(grey, heat, colormap, opacity)
    assert bar.shape == (thickness, length, 3)
    np.testing.assert_array_equal(bar[:, -1], np.broadcast_to(picture[3, 3], (thickness, 3)))
    np.testing.assert_array_equal(bar[:, 0], LEGEND_GREY)


@pytest.mark.parametrize("colormap", COLORMAPS)
def test_the_bar_grows_hotter_from_left_to_right(colormap: Colormap) -> None:
    bar = legend_bar(colormap, 1.0, 256, 1)[0].astype(int)

    to_cold, to_hot = (
        np.abs(bar - end).sum(axis=1) for end in (np.full(3, LEGEND_GREY), colour_table(colormap)[255].astype(int))
    )

    np.testing.assert_array_equal(bar[-1], colour_table(colormap)[255])
    assert to_hot[-1] == 0
    assert to_cold[0] == 0
    assert to_hot[64] > to_hot[-1]
    assert to_cold[192] > to_cold[0]


@LAW
@given(grey=FILMS, heat=HEATS, colormap=MAPS)
def test_without_opacity_the_film_is_unchanged(
    grey: NDArray[np.uint8], heat: NDArray[np.float32], colormap: Colormap
) -> None:
    picture = blend(grey, heat, colormap, 0.0)

    np.testing.assert_array_equal(picture, np.repeat(grey[..., None], 3, axis=2))


@LAW
@given(grey=FILMS, colormap=MAPS, opacity=OPACITIES)
def test_without_heat_the_film_is_unchanged(grey: NDArray[np.uint8], colormap: Colormap, opacity: float) -> None:
    picture = blend(grey, np.zeros(grey.shape, np.float32), colormap, opacity)

    np.testing.assert_array_equal(picture, np.repeat(grey[..., None], 3, axis=2))


@LAW
@given(grey=FILMS, heat=HEATS, colormap=MAPS, opacity=OPACITIES)
def test_the_blend_equals_its_formula_in_floating_point(
    grey: NDArray[np.uint8], heat: NDArray[np.float32], colormap: Colormap, opacity: float
) -> None:
    level = heat_levels(heat)
    weight = (opacity * level / 255.0)[..., None]
    expected = (1.0 - weight) * grey[..., None] + weight * colour_table(colormap)[level]

    picture = blend(grey, heat, colormap, opacity)

    assert picture.dtype == np.uint8
    np.testing.assert_allclose(picture.astype(float), expected, atol=1.0 + 1e-9)


@LAW
@given(colormap=MAPS, opacity=OPACITIES)
def test_a_palette_grows_more_opaque_with_the_heat_and_never_beyond_the_opacity(
    colormap: Colormap, opacity: float
) -> None:
    palette = palette_with_opacity(colormap, opacity)

    assert palette.shape == (256, 4)
    assert palette.dtype == np.uint8
    np.testing.assert_array_equal(palette[:, :3], colour_table(colormap))
    alpha = palette[:, 3].astype(int)
    assert (np.diff(alpha) >= 0).all()
    assert alpha[0] == 0
    assert alpha[-1] == round(255 * opacity)


@LAW
@given(grey=FILMS, heat=HEATS, colormap=MAPS, opacity=OPACITIES)
def test_a_palette_laid_over_the_film_by_a_viewer_looks_like_the_blend(
    grey: NDArray[np.uint8], heat: NDArray[np.float32], colormap: Colormap, opacity: float
) -> None:
    pixels = palette_with_opacity(colormap, opacity)[heat_levels(heat)].astype(float)
    alpha = pixels[..., 3:] / 255.0
    viewed = alpha * pixels[..., :3] + (1.0 - alpha) * grey[..., None]

    np.testing.assert_allclose(blend(grey, heat, colormap, opacity).astype(float), viewed, atol=0.5 + 1e-9)


@pytest.mark.parametrize("colormap", ["inferno", "viridis"])
def test_perceptual_tables_grow_brighter_with_the_heat(colormap: Colormap) -> None:
    linear = (colour_table(colormap) / 255.0) ** 2.2

    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])

    # Eight bits round the colours: a step may lose a fraction of a level.
    assert (np.diff(luminance) > -1e-3).all()
    assert luminance[0] == luminance.min()
    assert luminance[255] == luminance.max()
    assert (np.diff(luminance[::8]) > 0.0).all()


@pytest.mark.parametrize("colormap", COLORMAPS)
def test_no_two_far_levels_of_heat_share_a_colour_and_tables_cannot_be_written_to(colormap: Colormap) -> None:
    table = colour_table(colormap)

    assert table.shape == (256, 3)
    assert not table.flags.writeable
    assert len(np.unique(table[::16], axis=0)) == 16


@pytest.mark.parametrize(
    ("colormap", "cold", "hot"),
    [
        ("inferno", (0, 0, 4), (252, 255, 164)),  # matplotlib's own ends
        ("viridis", (68, 1, 84), (253, 231, 37)),
        ("jet", (0, 0, 128), (128, 0, 0)),
        ("red", (40, 0, 0), (255, 96, 64)),
    ],
)
def test_index_0_is_the_cold_end_of_a_table(
    colormap: Colormap, cold: tuple[int, int, int], hot: tuple[int, int, int]
) -> None:
    table = colour_table(colormap)

    assert tuple(table[0]) == cold
    assert tuple(table[255]) == hot


@LAW
@given(heat=arrays(np.float32, 20, elements=st.floats(-1.0, 2.0, width=32)))
def test_heat_levels_are_the_nearest_of_256_and_clipped(heat: NDArray[np.float32]) -> None:
    levels = heat_levels(heat[None])[0]

    np.testing.assert_allclose(levels / 255.0, np.clip(heat, 0.0, 1.0), atol=0.5 / 255.0 + 1e-6)
    assert (np.diff(levels[np.argsort(heat)].astype(int)) >= 0).all()


@LAW
@given(height=SIDES, width=SIDES, longer=st.one_of(st.none(), SIDES))
def test_an_overlay_keeps_the_films_shape_and_never_enlarges_it(height: int, width: int, longer: int | None) -> None:
    out_height, out_width = overlay_size(height, width, longer)

    assert 1 <= out_height <= height
    assert 1 <= out_width <= width
    assert max(out_height, out_width) == min(longer or max(height, width), max(height, width))
    scale = max(out_height, out_width) / max(height, width)
    assert abs(out_height - height * scale) <= 1.0
    assert abs(out_width - width * scale) <= 1.0


@pytest.mark.parametrize("bits", [8, 16])
def test_the_film_at_its_own_size_is_shown_as_it_is(bits: int) -> None:
    film = chest_film(40, 30, bits=bits)

    levels = grey_levels(film, 40, 30)

    np.testing.assert_array_equal(levels, np.floor(film * (255.0 / (2**bits - 1)) + 0.5).astype(np.uint8))


@pytest.mark.parametrize("size", [(40, 30), (17, 13), (80, 60)])
def test_a_film_of_16_bits_looks_like_its_twin_of_8(size: tuple[int, int]) -> None:
    film = chest_film(40, 30)
    twin = film.astype(np.uint16) * np.uint16(257)

    eight, sixteen = (grey_levels(one, *size).astype(int) for one in (film, twin))

    assert np.abs(eight - sixteen).max() <= 1


def test_black_and_white_stay_black_and_white_at_any_size() -> None:
    for dtype in (np.uint8, np.uint16):
        white = np.full((30, 20), np.iinfo(dtype).max, dtype)

        assert (grey_levels(white, 7, 5) == 255).all()
        assert not grey_levels(np.zeros_like(white), 7, 5).any()


def test_a_heat_map_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="under a heat map"):
        blend(np.zeros((4, 5), np.uint8), np.zeros((5, 4), np.float32))


@pytest.mark.parametrize("opacity", [-0.01, 1.01, float("nan")])
def test_an_opacity_outside_0_to_1_is_refused(opacity: float) -> None:
    with pytest.raises(ValueError, match="outside"):
        palette_with_opacity("inferno", opacity)
    with pytest.raises(ValueError, match="outside"):
        blend(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.float32), "inferno", opacity)


def test_blending_modifies_neither_film_nor_heat() -> None:
    grey, heat = np.arange(12, dtype=np.uint8).reshape(3, 4), np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    before = grey.copy(), heat.copy()
    grey.setflags(write=False)
    heat.setflags(write=False)

    blend(grey, heat)

    np.testing.assert_array_equal(grey, before[0])
    np.testing.assert_array_equal(heat, before[1])
