"""Laws of a predicted region: its area, its flags, and its agreement with a map."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from app.domain.predicted_region import (
    PredictedRegion,
    agreement,
    area_share,
    hottest_area,
    intersection_over_union,
    reduced,
    region_flags,
    region_mask,
)

probabilities = arrays(np.float32, (6, 7), elements=st.floats(0, 1, width=32))
warm = st.just(0.0) | st.floats(2**-10, 100, width=32)  # far from underflow: scaling by a power of two is exact
heats = arrays(np.float32, (6, 7), elements=warm)
masks = arrays(np.bool_, (6, 7))


@given(region=probabilities)
def test_the_area_of_a_region_and_of_its_opposite_fill_the_film(region: NDArray[np.float32]) -> None:
    opposite = np.where(region_mask(region), 0.0, 1.0).astype(np.float32)

    assert area_share(region) + area_share(opposite) == pytest.approx(1.0)


@given(region=probabilities, more=probabilities)
def test_a_region_that_is_likelier_everywhere_is_never_smaller(
    region: NDArray[np.float32], more: NDArray[np.float32]
) -> None:
    assert area_share(np.maximum(region, more)) >= area_share(region)


@pytest.mark.parametrize(
    ("share", "flags"),
    [
        (0.0, ("empty_region",)),
        (0.000999, ("empty_region",)),
        (0.001, ()),
        (0.8, ()),
        (0.800001, ("saturated_region",)),
        (1.0, ("saturated_region",)),
    ],
)
def test_below_a_thousandth_a_region_is_empty_and_above_four_fifths_saturated(
    share: float, flags: tuple[str, ...]
) -> None:
    assert region_flags(share) == flags


@given(one=masks, other=masks)
def test_overlap_is_symmetric_and_whole_with_itself(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> None:
    assert intersection_over_union(one, other) == intersection_over_union(other, one)
    assert intersection_over_union(one, one) == 1.0


def test_overlap_of_two_of_three_pixels_each_is_a_third() -> None:
    one, other = np.array([[True, True, False]]), np.array([[False, True, True]])

    assert intersection_over_union(one, other) == pytest.approx(1 / 3)


@given(heat=heats, pixels=st.integers(0, 42))
def test_the_hottest_area_holds_at_least_as_many_pixels_and_nothing_outside_is_hotter(
    heat: NDArray[np.float32], pixels: int
) -> None:
    area = hottest_area(heat, pixels)

    assert area.sum() >= pixels
    if area.any() and not area.all():
        assert heat[area].min() > heat[~area].max()


@given(region=probabilities, heat=heats)
def test_energy_inside_a_region_and_outside_it_is_all_there_is(
    region: NDArray[np.float32], heat: NDArray[np.float32]
) -> None:
    opposite = np.where(region_mask(region), 0.0, 1.0).astype(np.float32)

    inside, outside = agreement(region, heat).energy_inside, agreement(opposite, heat).energy_inside

    if heat.any():
        assert inside is not None
        assert outside is not None
        assert inside + outside == pytest.approx(1.0)
    else:
        assert inside is None
        assert outside is None


@given(region=probabilities, heat=heats, power=st.integers(-6, 6))
def test_the_scale_of_the_map_changes_nothing(
    region: NDArray[np.float32], heat: NDArray[np.float32], power: int
) -> None:
    one, other = agreement(region, heat), agreement(region, heat * np.float32(2.0**power))

    assert one.iou == other.iou
    assert one.energy_inside == pytest.approx(other.energy_inside)
    assert one.correlation == pytest.approx(other.correlation, abs=1e-6)


@given(region=probabilities, heat=heats)
def test_turning_region_and_map_together_changes_nothing(
    region: NDArray[np.float32], heat: NDArray[np.float32]
) -> None:
    one, other = agreement(region, heat), agreement(region[::-1, ::-1], heat[::-1, ::-1])

    assert one.iou == other.iou
    assert one.energy_inside == pytest.approx(other.energy_inside)
    assert one.correlation == pytest.approx(other.correlation, abs=1e-6)


@given(mask=masks)
def test_a_map_that_is_the_region_agrees_wholly(mask: NDArray[np.bool_]) -> None:
    region = mask.astype(np.float32)

    found = agreement(region, region)

    if mask.any() and not mask.all():
        assert found.iou == 1.0
        assert found.energy_inside == 1.0
        assert found.correlation == pytest.approx(1.0)


def test_correlation_is_numpys() -> None:
    random = np.random.default_rng(0)
    region, heat = random.random((2, 9, 5)).astype(np.float32)

    expected = np.corrcoef(region.ravel(), heat.ravel())[0, 1]

    assert agreement(region, heat).correlation == pytest.approx(expected, abs=1e-6)


def test_a_map_that_is_hottest_elsewhere_disagrees() -> None:
    region, heat = np.zeros((2, 4, 4), np.float32)
    region[:2], heat[2:] = 1.0, 1.0

    found = agreement(region, heat)

    assert (found.iou, found.energy_inside) == (0.0, 0.0)
    assert found.correlation == pytest.approx(-1.0)


def test_where_the_map_is_flat_or_the_region_empty_nothing_is_made_up() -> None:
    some = np.eye(3, dtype=np.float32)

    flat, empty, nothing = (
        agreement(some, np.full((3, 3), 2.0, np.float32)),
        agreement(np.zeros((3, 3), np.float32), some),
        agreement(some, np.zeros((3, 3), np.float32)),
    )

    assert (flat.iou, flat.correlation) == (None, None)
    assert flat.energy_inside == pytest.approx(1 / 3)
    assert (empty.iou, empty.energy_inside, empty.correlation) == (None, 0.0, None)
    assert (nothing.iou, nothing.energy_inside, nothing.correlation) == (None, None, None)


@pytest.mark.parametrize("value", [0.1, 0.3, 0.7])
def test_a_region_that_is_the_same_everywhere_correlates_with_nothing(value: float) -> None:
    heat = np.random.default_rng(0).random((6, 7)).astype(np.float32)

    assert agreement(np.full((6, 7), value, np.float32), heat).correlation is None


def test_a_map_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="against a map"):
        agreement(np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float32))


@given(side=st.sampled_from([32, 57, 64, 113, 160, 224]), seed=st.integers(0, 99))
def test_the_reduced_grid_keeps_the_mean_and_never_exceeds_its_cells(side: int, seed: int) -> None:
    values = np.random.default_rng(seed).random((side, side)).astype(np.float32)

    found = reduced(values)

    assert found.shape[0] == found.shape[1] <= 56
    assert side % found.shape[0] == 0
    assert float(found.mean()) == pytest.approx(float(values.mean()), abs=1e-5)
    assert values.min() <= found.min() <= found.max() <= values.max()


def test_the_reduced_grid_is_the_mean_of_blocks() -> None:
    values = np.zeros((112, 112), np.float32)
    values[:2, 2:4] = [[1.0, 0.0], [1.0, 1.0]]

    found = reduced(values)

    assert found.shape == (56, 56)
    assert found[0, 1] == 0.75
    assert found.sum() == 0.75


def test_pictures_show_nothing_of_what_is_likelier_not() -> None:
    values = np.array([[0.1, 0.49], [0.5, 0.9]], np.float32)
    region = PredictedRegion(
        "n", "t", "opacities", "pneumonia", 0.5, "negative", (), values, (0.0, 0.0, 2.0, 2.0), 0.5, (), ()
    )

    np.testing.assert_allclose(region.shown, [[0.0, 0.0], [0.5, 0.9]])
