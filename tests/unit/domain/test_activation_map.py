"""Class activation maps, and where they come to lie on the film."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.domain.activation_map import (
    NEGLIGIBLE_LOGITS,
    class_activation_maps,
    evidence_contrast,
    interpolate,
    is_negligible,
    lay_over_film,
    peak_is_on_film,
    positive_share,
)
from app.domain.directed_divergence import directed_divergence
from app.domain.preprocessing import InputSpecification, Rectangle, to_network_input
from tests.phantoms import radiograph, square_film
from tests.unit.domain.golden import as_map, case, golden
from tests.unit.domain.strategies import GRIDS, HEAVY_LAW, LAW, Map, byte_maps

PLAIN = InputSpecification(112, channels=1, kernel="bilinear", intensity="full-range", mean=(0.0,), std=(1.0,))


def over_square(cells: Map, side_px: int) -> NDArray[np.float32]:
    """A grid laid over the whole of a square film."""
    whole: Rectangle = (0.0, 0.0, float(side_px), float(side_px))
    return lay_over_film(cells, whole, side_px, side_px, side_px, side_px)


def unit_maps() -> st.SearchStrategy[Map]:
    """Maps in 0..1 on any grid."""
    return byte_maps().map(lambda cells: cells * (16.0 / 255.0))


@LAW
@given(seed=st.integers(0, 2**16), channels=st.integers(1, 16), height=st.integers(1, 6), width=st.integers(1, 6))
def test_spatial_mean_plus_bias_is_the_logit(seed: int, channels: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    features = 8.0 * rng.random((2, channels, height, width), np.float32)
    weights, bias = rng.uniform(-2, 2, (3, channels)).astype(np.float32), rng.uniform(-2, 2, 3).astype(np.float32)
    logits = features.mean(axis=(2, 3)) @ weights.T + bias

    maps = class_activation_maps(features, weights)

    np.testing.assert_allclose(maps.mean(axis=(2, 3)) + bias, logits, atol=1e-4)


@LAW
@given(seed=st.integers(0, 2**16), channels=st.integers(1, 16))
def test_the_contrast_is_the_map_of_the_difference_of_the_rows(seed: int, channels: int) -> None:
    rng = np.random.default_rng(seed)
    features = rng.random((2, channels, 4, 5), np.float32)
    weights = rng.standard_normal((2, channels)).astype(np.float32)

    contrast = evidence_contrast(class_activation_maps(features, weights))

    np.testing.assert_allclose(
        contrast, class_activation_maps(features, weights[1:] - weights[:1])[:, 0], atol=1e-5 * channels
    )


@LAW
@given(seed=st.integers(0, 2**16))
def test_a_vector_common_to_both_rows_changes_the_maps_but_not_their_contrast(seed: int) -> None:
    rng = np.random.default_rng(seed)
    features = 1.0 + rng.random((1, 8, 3, 3), np.float32)
    weights = rng.standard_normal((2, 8)).astype(np.float32)
    common = 1.0 + rng.random(8, np.float32)

    plain, moved = class_activation_maps(features, weights), class_activation_maps(features, weights + common)

    assert np.abs(moved - plain).min() > 1.0
    np.testing.assert_allclose(evidence_contrast(moved), evidence_contrast(plain), atol=1e-4)


def test_the_contrast_takes_the_classes_it_is_given() -> None:
    maps = np.arange(24.0).reshape(2, 3, 2, 2)

    np.testing.assert_array_equal(evidence_contrast(maps, positive=0, negative=2), maps[:, 0] - maps[:, 2])


@LAW
@given(seed=st.integers(0, 2**16))
def test_the_contraction_equals_the_sum_of_equation_1(seed: int) -> None:
    rng = np.random.default_rng(seed)
    features, weights = rng.random((2, 5, 3, 4)), rng.standard_normal((3, 5))

    maps = class_activation_maps(features.astype(np.float32), weights.astype(np.float32))

    np.testing.assert_allclose(maps, np.einsum("nchw,kc->nkhw", features, weights), atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 4), (5,), (2, 5, 1)])
def test_weights_for_other_features_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="5 channels"):
        class_activation_maps(np.ones((1, 5, 2, 2), np.float32), np.ones(shape, np.float32))


def test_the_golden_map_of_equation_1_has_no_bias_and_meets_its_logits() -> None:
    example = golden()["cam"]
    features = np.array(
        [[[((31 * k + 7 * i + 3 * j) % 11) / 10 for j in range(3)] for i in range(3)] for k in range(5)]
    )
    weights = np.array([[((17 * k + 5 * c) % 13 - 6) / 100 for k in range(5)] for c in range(2)])
    np.testing.assert_array_equal(features, example["f"])
    np.testing.assert_array_equal(weights, example["w"])

    maps = class_activation_maps(features[None], weights)[0]

    np.testing.assert_allclose(maps, example["cam_no_bias"], rtol=0.0, atol=1e-15)
    np.testing.assert_allclose(maps.mean(axis=(1, 2)) + example["bias"], example["logits"], rtol=1e-14)


@LAW
@given(cells=byte_maps(signed=True))
def test_the_positive_share_is_zero_where_nothing_argues_and_one_at_the_maximum(cells: Map) -> None:
    before = cells.copy()

    share = positive_share(cells)

    assert share.max() == (1.0 if cells.max() > 0.0 else 0.0)
    assert share.min() >= 0.0
    assert not share[cells <= 0.0].any()
    np.testing.assert_array_equal(positive_share(share), share)
    np.testing.assert_array_equal(cells, before)


@LAW
@given(cells=unit_maps(), height=st.integers(1, 60), width=st.integers(1, 60), data=st.data())
def test_every_pixel_is_a_convex_combination_of_cells(cells: Map, height: int, width: int, data: st.DataObject) -> None:
    x0, y0 = (data.draw(st.floats(-50.0, 0.0)) for _ in range(2))
    x1, y1 = (data.draw(st.floats(60.0, 120.0)) for _ in range(2))

    heat = lay_over_film(cells, (x0, y0, x1, y1), 60, 60, height, width)

    assert heat.shape == (height, width)
    assert heat.dtype == np.float32
    assert cells.min() - 1e-6 <= heat.min()
    assert heat.max() <= cells.max() + 1e-6


@LAW
@given(
    shape=GRIDS, height=st.integers(1, 60), width=st.integers(1, 60), value=st.integers(0, 1000).map(lambda n: n / 1000)
)
def test_the_cells_weights_sum_to_one_at_every_pixel(
    shape: tuple[int, ...], height: int, width: int, value: float
) -> None:
    heat = lay_over_film(np.full(shape, value), (-7.5, 0.0, 60.0, 40.0), 40, 50, height, width)

    np.testing.assert_allclose(heat, value, rtol=3e-7)


def test_where_the_film_reaches_beyond_the_grid_there_is_no_heat() -> None:
    heat = lay_over_film(np.ones((3, 3)), (10.0, 20.0, 40.0, 50.0), 60, 80, 60, 80)

    assert heat[20:50, 10:40].min() == 1.0
    assert heat.sum() == 30 * 30


@LAW
@given(cells=unit_maps(), other=st.integers(0, 2**16), height=st.integers(1, 40), width=st.integers(1, 40))
def test_laying_over_is_linear(cells: Map, other: int, height: int, width: int) -> None:
    second = np.random.default_rng(other).random(cells.shape)
    extent = (-3.0, -8.0, 44.0, 60.0)

    together = lay_over_film(cells + 2.0 * second, extent, 40, 40, height, width)

    apart = lay_over_film(cells, extent, 40, 40, height, width) + 2.0 * lay_over_film(
        second, extent, 40, 40, height, width
    )
    np.testing.assert_allclose(together, apart, atol=2e-6)


@LAW
@given(cells=unit_maps(), height=st.integers(1, 50), width=st.integers(1, 50))
def test_flipping_the_map_flips_the_picture(cells: Map, height: int, width: int) -> None:
    extent = (-5.0, -2.0, 55.0, 42.0)

    flipped = lay_over_film(cells[::-1, ::-1], extent, 40, 50, height, width)

    np.testing.assert_allclose(flipped[::-1, ::-1], lay_over_film(cells, extent, 40, 50, height, width), atol=2e-6)


@LAW
@given(cells=unit_maps())
def test_a_film_of_the_grids_own_size_shows_the_cells_themselves(cells: Map) -> None:
    height, width = cells.shape

    heat = lay_over_film(cells, (0.0, 0.0, float(width), float(height)), height, width, height, width)

    np.testing.assert_allclose(heat, cells, atol=1e-6)


def test_golden_samples_of_half_pixel_upsampling() -> None:
    expected = golden()["upsampling"]["modes"]["half_pixel"]

    heat = over_square(as_map(case("grid7x7_alpha15")["x"]), 224)

    for sample in expected["samples"]:
        assert heat[sample["row"], sample["col"]] == pytest.approx(sample["value"], abs=1e-6), sample
    assert heat.mean(dtype=np.float64) == pytest.approx(expected["mean"], abs=1e-6)
    assert heat.max() == pytest.approx(expected["max"], abs=1e-6)
    assert heat[tuple(expected["argmax"])] == heat.max()


def test_the_other_convention_of_upsampling_is_not_ours() -> None:
    other = golden()["upsampling"]["modes"]["align_corners"]

    heat = over_square(as_map(case("grid7x7_alpha15")["x"]), 224)

    assert any(abs(heat[sample["row"], sample["col"]] - sample["value"]) > 0.5 for sample in other["samples"])


def test_the_kernel_before_upsampling_marks_the_golden_area_and_after_it_another() -> None:
    expected, maps = golden()["order"], case("grid7x7_alpha15")
    x, x_prime = as_map(maps["x"]), as_map(maps["x_prime"])
    k = directed_divergence(x, x_prime, expected["alpha"]).k
    late = directed_divergence(over_square(x, 224), over_square(x_prime, 224), expected["alpha"]).k
    assert k is not None
    assert late is not None

    early = over_square(k, 224)

    areas = {name: float((heat >= heat.max() / 2).mean()) for name, heat in (("early", early), ("late", late))}
    # Single precision of the heat map, times alpha for the exponential of the late one.
    assert float(early.max()) == pytest.approx(expected["max_kernel_then_up"], rel=1e-6)
    assert float(late.max()) == pytest.approx(expected["max_up_then_kernel"], rel=1e-6)
    assert areas["early"] == expected["area_ge_half"]["kernel_then_up"]
    assert areas["late"] == expected["area_ge_half"]["up_then_kernel"]


@pytest.mark.parametrize(("cells", "side"), [(7, 224), (10, 320), (7, 500), (16, 16), (1, 9), (12, 5)])
def test_torch_gives_the_same_picture(cells: int, side: int) -> None:
    torch: Any = pytest.importorskip("torch")  # Any: torch is not a dependency of the tests
    grid = np.random.default_rng(cells).random((cells, cells))
    whole = torch.from_numpy(grid)[None, None]

    heat = over_square(grid, side)

    theirs = torch.nn.functional.interpolate(whole, size=(side, side), mode="bilinear", align_corners=False)[0, 0]
    np.testing.assert_allclose(heat, theirs.numpy(), atol=2e-6)


def test_a_smaller_picture_of_a_film_samples_the_same_places() -> None:
    cells = np.random.default_rng(0).random((7, 7))
    extent = (-12.0, 0.0, 84.0, 96.0)

    small, large = (lay_over_film(cells, extent, 96, 72, 96 // n, 72 // n) for n in (3, 1))

    np.testing.assert_allclose(small, large[1::3, 1::3], atol=1e-6)


@HEAVY_LAW
@given(
    height=st.integers(24, 300),
    width=st.integers(24, 300),
    grid=st.sampled_from((7, 14)),
    data=st.data(),
)
def test_a_hot_cell_lands_on_the_pixels_it_came_from(height: int, width: int, grid: int, data: st.DataObject) -> None:
    side = max(4, min(height, width) // 4)
    x0, y0 = data.draw(st.integers(0, width - side)), data.draw(st.integers(0, height - side))
    film = radiograph(square_film(height, width, (x0, y0, x0 + side, y0 + side)))
    network_input, placement = to_network_input(film, PLAIN)
    cell = PLAIN.size_px // grid
    cells = network_input[0, 0].reshape(grid, cell, grid, cell).mean(axis=(1, 3))
    assume(cells.max() > 0.0)

    heat = lay_over_film(cells.astype(np.float64), placement.extent, height, width, height, width)

    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    left, top, right, bottom = placement.extent
    assert x0 - (right - left) / grid <= column + 0.5 <= x0 + side + (right - left) / grid
    assert y0 - (bottom - top) / grid <= row + 0.5 <= y0 + side + (bottom - top) / grid


@HEAVY_LAW
@given(height=st.integers(40, 200), width=st.integers(40, 200))
def test_the_heats_centroid_is_the_squares_centroid_on_a_film_of_any_shape(height: int, width: int) -> None:
    side = min(height, width) // 5
    x0, y0 = width // 2 - side, height // 2
    film = radiograph(square_film(height, width, (x0, y0, x0 + side, y0 + side)))
    network_input, placement = to_network_input(film, PLAIN)
    cells = network_input[0, 0].reshape(28, 4, 28, 4).mean(axis=(1, 3))

    heat = lay_over_film(cells.astype(np.float64), placement.extent, height, width, height, width)

    weight = heat / heat.sum()
    x = float((weight.sum(axis=0) * (np.arange(width) + 0.5)).sum())
    y = float((weight.sum(axis=1) * (np.arange(height) + 0.5)).sum())
    cell_px = max(height, width) / 28
    assert abs(x - (x0 + side / 2)) < 0.15 * cell_px + 0.5
    assert abs(y - (y0 + side / 2)) < 0.15 * cell_px + 0.5


@pytest.mark.parametrize(("column", "on_film"), [(0, False), (1, True), (2, True), (3, False)])
def test_a_peak_in_the_padding_beside_a_film_is_not_on_it(column: int, on_film: bool) -> None:
    values = np.zeros((4, 4))
    values[1, column] = 1.0

    assert peak_is_on_film(values, (-100.0, 0.0, 300.0, 400.0), film_height=400, film_width=200) is on_film


@HEAVY_LAW
@given(cells=unit_maps(), left=st.integers(0, 30), top=st.integers(0, 30))
def test_interpolating_over_a_part_of_the_film_gives_that_part_of_the_picture(cells: Map, left: int, top: int) -> None:
    extent: Rectangle = (-10.0, 0.0, 90.0, 100.0)

    whole = lay_over_film(cells, extent, 100, 80, 100, 80)
    part = interpolate(cells, extent, (float(left), float(top), left + 50.0, top + 60.0), 60, 50)

    np.testing.assert_allclose(part, whole[top : top + 60, left : left + 50], atol=2e-6)


@LAW
@given(cells=unit_maps())
def test_interpolating_a_grid_over_its_own_extent_at_its_own_size_gives_the_cells(cells: Map) -> None:
    extent: Rectangle = (-40.0, 7.0, 260.0, 307.0)

    np.testing.assert_allclose(interpolate(cells, extent, extent, *cells.shape), cells, atol=1e-5)


@LAW
@given(cells=unit_maps(), scale=st.floats(1e-6, 10.0))
def test_evidence_is_negligible_as_long_as_it_moves_the_logit_by_less_than_the_limit(cells: Map, scale: float) -> None:
    signed = scale * (cells - 0.5)

    assert is_negligible(signed) is bool(np.maximum(signed, 0.0).mean() < NEGLIGIBLE_LOGITS)
    assert is_negligible(-np.abs(signed))
    assert not is_negligible(np.abs(signed) + NEGLIGIBLE_LOGITS * 1.01)
