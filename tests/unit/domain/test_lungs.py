"""Where the lungs lie: masks, the window that is fed, zones, and the part of a map outside them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.lungs import (
    SIDES,
    THIRDS,
    LungFields,
    box_of,
    hottest_zone,
    lung_masks,
    lung_window,
    outside_lungs,
    zone_of,
    zones,
)
from app.domain.preprocessing import Rectangle
from tests.unit.domain.lung_fields import CELLS, LEFT_BOX, RIGHT_BOX, boxed_lungs, padded_lungs, plane
from tests.unit.domain.strategies import GRIDS, HEAVY_LAW, LAW

SIDES_PX = st.integers(600, 3000)  # a side five times the other: narrower, lungs are thinner than the grid's cells
ZONES = tuple(f"{side} {third}" for side in SIDES for third in THIRDS)


def test_lungs_are_two_planes() -> None:
    with pytest.raises(ValueError, match=r"\(2, h, w\) expected"):
        LungFields(np.zeros((3, 4, 4), np.float32), (0.0, 0.0, 1.0, 1.0), 1, 1)


def test_the_patients_right_lung_comes_first_and_lies_on_the_left_of_the_film() -> None:
    right, left = boxed_lungs().masks(64, 64)

    assert box_of(right) == (8, 16, 24, 48)
    assert box_of(left) == (40, 16, 56, 48)


def test_only_the_largest_area_of_a_lung_is_kept() -> None:
    lungs = boxed_lungs()
    lungs.probability[0, 60:63, 60:63] = 1.0

    assert box_of(lungs.masks(64, 64)[0]) == (8, 16, 24, 48)


@pytest.mark.parametrize(("cells", "found"), [(4, False), (5, True)])
def test_an_area_below_half_a_percent_of_the_film_is_no_lung(cells: int, found: bool) -> None:
    lungs = boxed_lungs(right=None)
    lungs.probability[0, 10 : 10 + cells, 10 : 10 + cells] = 1.0  # 16 or 25 of 4096 cells: 0.39 or 0.61 %

    assert bool(lungs.masks(64, 64)[0].any()) is found


def test_cells_less_likely_than_not_are_no_lung() -> None:
    lungs = boxed_lungs()
    lungs.probability[0] *= np.float32(0.49)

    assert not lungs.masks(64, 64)[0].any()
    assert lungs.masks(64, 64)[1].any()


def test_the_box_of_nothing_is_none() -> None:
    assert box_of(np.zeros((5, 5), np.bool_)) is None


@HEAVY_LAW
@given(height=SIDES_PX, width=SIDES_PX)
def test_masks_are_measured_at_256_px_of_the_longer_side_in_the_films_shape(height: int, width: int) -> None:
    masks = lung_masks(boxed_lungs(height=height, width=width))

    assert max(masks.shape[1:]) == 256
    assert masks.shape[1] / masks.shape[2] == pytest.approx(height / width, rel=0.05, abs=1 / 40)


# --- the window -------------------------------------------------------------------------------------------------------


@HEAVY_LAW
@given(height=SIDES_PX, width=SIDES_PX, margin=st.floats(0.0, 0.5))
def test_the_window_lies_on_the_film_and_holds_both_lungs(height: int, width: int, margin: float) -> None:
    lungs = padded_lungs(height, width)

    window = lung_window(lungs, margin)

    assert window is not None
    x0, y0, x1, y1 = window
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height
    masks = lung_masks(lungs)
    box = box_of(masks[0] | masks[1])
    assert box is not None
    assert x0 <= box[0] * width / masks.shape[2]
    assert y0 <= box[1] * height / masks.shape[1]
    assert x1 >= box[2] * width / masks.shape[2] - 1e-9
    assert y1 >= box[3] * height / masks.shape[1] - 1e-9


@HEAVY_LAW
@given(height=SIDES_PX, width=SIDES_PX, margin=st.floats(0.0, 0.4), more=st.floats(0.0, 0.4))
def test_a_larger_margin_gives_no_smaller_window(height: int, width: int, margin: float, more: float) -> None:
    lungs = padded_lungs(height, width)

    inner, outer = lung_window(lungs, margin), lung_window(lungs, margin + more)

    assert inner is not None
    assert outer is not None
    assert outer[0] <= inner[0]
    assert outer[1] <= inner[1]
    assert outer[2] >= inner[2]
    assert outer[3] >= inner[3]


def test_the_margin_is_a_share_of_the_boxs_width_and_height_and_ends_at_the_film() -> None:
    lungs = boxed_lungs(height=256, width=256)  # the box round both is 32..224 wide and 64..192 high

    assert lung_window(lungs, 0.0) == (32, 64, 224, 192)
    assert lung_window(lungs, 0.125) == (8, 48, 248, 208)
    assert lung_window(lungs, 0.5) == (0, 0, 256, 256)


@pytest.mark.parametrize(("right", "left"), [(None, None), (RIGHT_BOX, None), (None, LEFT_BOX)])
def test_without_both_lungs_there_is_no_window(
    right: tuple[float, float, float, float] | None, left: tuple[float, float, float, float] | None
) -> None:
    assert lung_window(boxed_lungs(right, left), 0.1) is None


# --- outside the lungs ------------------------------------------------------------------------------------------------


@HEAVY_LAW
@given(shape=GRIDS, value=st.floats(0.01, 9.0))
def test_a_flat_maps_outside_share_is_the_share_of_its_extent_that_is_not_lung(
    shape: tuple[int, int], value: float
) -> None:
    lungs = boxed_lungs()
    extent: Rectangle = (0.0, 0.0, 256.0, 256.0)
    samples = (8 * shape[0], 8 * shape[1])

    share = outside_lungs(np.full(shape, value), extent, lungs)

    assert share == pytest.approx(float((lungs.over(extent, *samples) < 0.5).mean()))


def test_a_flat_map_over_two_lungs_that_fill_a_quarter_is_three_quarters_outside() -> None:
    assert outside_lungs(np.ones((8, 8)), (0.0, 0.0, 256.0, 256.0), boxed_lungs()) == pytest.approx(0.75)


@LAW
@given(cell=st.tuples(st.integers(0, 7), st.integers(0, 7)), negative=st.floats(-9.0, 0.0))
def test_negative_evidence_is_none_at_all(cell: tuple[int, int], negative: float) -> None:
    evidence = np.zeros((8, 8))
    evidence[cell] = 2.0
    against = np.where(evidence > 0.0, evidence, negative)
    extent: Rectangle = (0.0, 0.0, 256.0, 256.0)

    assert outside_lungs(against, extent, boxed_lungs()) == outside_lungs(evidence, extent, boxed_lungs())


@LAW
@given(factor=st.integers(-20, 20))
def test_scaling_the_evidence_changes_no_share(factor: int) -> None:
    evidence = np.arange(-20.0, 29.0).reshape(7, 7)
    extent: Rectangle = (0.0, 0.0, 256.0, 256.0)

    plain = outside_lungs(evidence, extent, boxed_lungs())

    assert outside_lungs(evidence * 2.0**factor, extent, boxed_lungs()) == pytest.approx(plain)


def test_a_peak_in_a_lung_is_inside_and_one_between_the_lungs_or_in_the_padding_is_outside() -> None:
    lungs, extent = boxed_lungs(height=256, width=256), (-128.0, 0.0, 384.0, 256.0)
    inside, between, padding = (np.zeros((16, 32)) for _ in range(3))
    inside[8, 12] = between[8, 16] = padding[8, 2] = 1.0

    assert outside_lungs(inside, extent, lungs) == pytest.approx(0.0)
    assert outside_lungs(between, extent, lungs) == pytest.approx(1.0)
    assert outside_lungs(padding, extent, lungs) == pytest.approx(1.0)


def test_padding_beside_a_lung_that_touches_the_films_edge_is_outside() -> None:
    touching = boxed_lungs(right=(0.0, 0.0, 0.5, 1.0), left=(0.5, 0.0, 1.0, 1.0))

    assert outside_lungs(np.ones((8, 16)), (-128.0, 0.0, 384.0, 256.0), touching) == pytest.approx(0.5)


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_map_without_positive_evidence_has_no_share(value: float) -> None:
    assert outside_lungs(np.full((4, 4), value), (0.0, 0.0, 256.0, 256.0), boxed_lungs()) is None


# --- zones ------------------------------------------------------------------------------------------------------------


@HEAVY_LAW
@given(height=SIDES_PX, width=SIDES_PX, side=st.integers(40, 200))
def test_zones_partition_each_lung(height: int, width: int, side: int) -> None:
    lungs = padded_lungs(height, width)

    cut = zones(lungs, side, side)

    assert tuple(cut) == ZONES
    for mask, name in zip(lungs.masks(side, side), SIDES, strict=True):
        thirds = np.stack([cut[f"{name} {third}"] for third in THIRDS])
        np.testing.assert_array_equal(thirds.sum(axis=0), mask)
        rows = [np.nonzero(third.any(axis=1))[0] for third in thirds]
        assert rows[0].max() < rows[1].min()
        assert rows[1].max() < rows[2].min()


def test_a_lung_that_was_not_found_has_empty_zones() -> None:
    cut = zones(boxed_lungs(left=None), 64, 64)

    assert {name for name, mask in cut.items() if mask.any()} == set(ZONES[:3])


@pytest.mark.parametrize("name", ZONES)
def test_heat_in_a_zone_bears_its_name(name: str) -> None:
    lungs = boxed_lungs()
    heat = zones(lungs, 96, 96)[name].astype(np.float32)

    assert zone_of(heat, lungs) == name
    assert hottest_zone(3 * heat, zones(lungs, 96, 96)) == name


def test_the_zone_with_most_heat_names_what_lies_in_two() -> None:
    lungs = boxed_lungs()
    cut = zones(lungs, 96, 96)
    heat = cut["right lower"] + np.float32(0.4) * cut["right middle"]

    assert zone_of(heat, lungs) == "right lower"


def test_heat_that_lies_mostly_outside_the_lungs_has_no_zone() -> None:
    lungs = boxed_lungs()
    lower = zones(lungs, 96, 96)["left lower"]

    for outside, expected in ((0.9, "left lower"), (1.1, None)):
        heat = lower.astype(np.float32)
        heat[:4, :] = outside * float(lower.sum()) / (4 * 96)
        assert zone_of(heat, lungs) == expected


@pytest.mark.parametrize("lungs", [boxed_lungs(), boxed_lungs(None, None)])
def test_no_heat_has_no_zone(lungs: LungFields) -> None:
    assert zone_of(np.zeros((32, 32), np.float32), lungs) is None


def test_over_is_the_likelier_lung_at_every_place() -> None:
    lungs = boxed_lungs()
    lungs.probability[0] *= np.float32(0.75)

    found = lungs.over((0.0, 0.0, 256.0, 256.0), CELLS, CELLS)

    np.testing.assert_allclose(found, np.maximum(0.75 * plane(RIGHT_BOX), plane(LEFT_BOX)), atol=1e-6)
