"""Laws of pointing: where a map's top is, how much of it lies inside, and what flat maps are worth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from training.audit.pointing import Pointing, mean_pointing, otsu_mask, point, top_points

Heat = NDArray[np.float32]
_heats = arrays(np.float32, (12, 10), elements=st.floats(0, 1, width=32))
_masks = arrays(np.bool_, (12, 10))


@settings(deadline=None)
@given(heat=_heats, mask=_masks, scale=st.sampled_from([0.25, 2.0, 1024.0]))
def test_scaling_a_map_changes_nothing(heat: Heat, mask: NDArray[np.bool_], scale: float) -> None:
    one, other = point(heat, mask), point((heat * np.float32(scale)).astype(np.float32), mask)

    assert (one.hit, one.flat) == (other.hit, other.flat)
    assert one.energy == pytest.approx(other.energy, abs=1e-6)
    assert one.iou == pytest.approx(other.iou, abs=1e-6)


@settings(deadline=None)
@given(heat=_heats, mask=_masks)
def test_energy_inside_and_outside_sum_to_one(heat: Heat, mask: NDArray[np.bool_]) -> None:
    inside, outside = point(heat, mask), point(heat, ~mask)

    assert inside.energy + outside.energy == pytest.approx(0.0 if inside.flat else 1.0, abs=1e-6)
    assert inside.hit + outside.hit == pytest.approx(0.0 if inside.flat else 1.0)


@settings(deadline=None)
@given(mask=_masks.filter(lambda mask: mask.any() and not mask.all()))
def test_the_mask_itself_as_a_map_is_perfect(mask: NDArray[np.bool_]) -> None:
    found = point(mask.astype(np.float32), mask)

    assert (found.hit, found.energy, found.iou, found.flat) == (1.0, 1.0, 1.0, False)


@pytest.mark.parametrize("level", [0.0, 0.7])
def test_a_flat_map_misses(level: float) -> None:
    assert point(np.full((6, 6), level, np.float32), np.ones((6, 6), bool)) == Pointing(0.0, 0.0, 0.0, flat=True)


def test_negative_heat_counts_as_none() -> None:
    heat = np.array([[1.0, -5.0], [0.0, 1.0]], np.float32)

    found = point(heat, np.array([[True, True], [False, False]]))

    assert found.energy == pytest.approx(0.5)


def test_a_plateau_is_pointed_at_in_its_middle() -> None:
    heat = np.zeros((21, 31), np.float32)
    heat[3:12, 5:24] = 1.0

    assert top_points(heat) == [(7, 14)]


def test_a_plateau_at_the_border_is_deepest_inside_the_film() -> None:
    heat = np.zeros((20, 20), np.float32)
    heat[:9, :9] = 1.0

    assert top_points(heat) == [(4, 4)]


def test_two_equal_tops_count_half_each() -> None:
    heat = np.zeros((9, 20), np.float32)
    heat[2:7, 2:7] = heat[2:7, 12:17] = 0.5
    left = np.zeros(heat.shape, bool)
    left[:, :10] = True

    assert len(top_points(heat)) == 2
    assert point(heat, left).hit == 0.5


def otsu_by_definition(levels: NDArray[np.uint8]) -> int:
    """The level that maximises the variance between both classes, written down from Otsu 1979."""
    best, at = -1.0, 0
    for cut in range(255):
        low, high = levels[levels <= cut], levels[levels > cut]
        if low.size and high.size:
            between = low.size * high.size * (low.mean() - high.mean()) ** 2
            if between > best * (1 + 1e-12):
                best, at = between, cut
    return at


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_is_otsus(seed: int) -> None:
    random = np.random.default_rng(seed)
    heat = np.concatenate([random.normal(0.3, 0.05, 400), random.normal(0.7, 0.08, 100)]).clip(0, 1)
    heat = heat.reshape(20, 25).astype(np.float32)
    levels = np.rint(heat / heat.max() * 255).astype(np.uint8)

    np.testing.assert_array_equal(otsu_mask(heat), levels > otsu_by_definition(levels))


def test_several_maps_of_a_method_are_averaged() -> None:
    one, other = Pointing(1.0, 0.5, 0.25, flat=False), Pointing(0.0, 0.0, 0.0, flat=True)

    assert mean_pointing([one, other]) == Pointing(0.5, 0.25, 0.125, flat=False)


def test_a_mask_of_another_size_is_an_error() -> None:
    with pytest.raises(ValueError, match="against a mask"):
        point(np.ones((3, 3), np.float32), np.ones((4, 3), bool))
