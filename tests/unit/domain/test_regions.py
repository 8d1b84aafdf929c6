"""Where a heat map is hot: connected areas against a flood fill, boxes on the film."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.domain.regions import HALF_MAXIMUM, connected_areas, hot_areas, hot_regions, over_film
from tests.phantoms import RIGHT_LOWER, opacity_mask
from tests.unit.domain.strategies import LAW, byte_maps

HEATS = byte_maps().map(lambda cells: (cells * (16.0 / 255.0)).astype(np.float32))
SIDES = st.integers(1, 3000)


def flood_fill(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Number the 4-connected areas one pixel at a time, in reading order."""
    labels = np.zeros(mask.shape, np.int32)
    number = 0
    for start in zip(*np.nonzero(mask), strict=True):
        if labels[start]:
            continue
        number += 1
        waiting = [start]
        while waiting:
            row, column = waiting.pop()
            if not (0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]):
                continue
            if mask[row, column] and not labels[row, column]:
                labels[row, column] = number
                waiting += [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
    return labels


@LAW
@given(mask=st.tuples(st.integers(1, 14), st.integers(1, 14)).flatmap(byte_maps).map(lambda cells: cells % 0.125 > 0.0))
def test_areas_equal_a_flood_fill_in_reading_order(mask: NDArray[np.bool_]) -> None:
    before = mask.copy()

    labels = connected_areas(mask)

    np.testing.assert_array_equal(labels, flood_fill(mask))
    np.testing.assert_array_equal(mask, before)


@pytest.mark.parametrize("density", [0.4, 0.6, 0.75])
def test_areas_equal_a_flood_fill_on_large_noise(density: float) -> None:
    mask = np.random.default_rng(int(100 * density)).random((90, 110)) < density

    np.testing.assert_array_equal(connected_areas(mask), flood_fill(mask))


def test_a_spiral_is_one_area_and_a_chessboard_is_all_areas() -> None:
    spiral = np.array([[1, 1, 1, 1, 1], [0, 0, 0, 0, 1], [1, 1, 1, 0, 1], [1, 0, 0, 0, 1], [1, 1, 1, 1, 1]], np.bool_)
    chessboard = np.indices((6, 6)).sum(axis=0) % 2 == 0

    assert connected_areas(spiral).max() == 1
    assert connected_areas(chessboard).max() == 18


@LAW
@given(heat=HEATS, height=SIDES, width=SIDES, most=st.integers(1, 12))
def test_boxes_lie_on_the_film_with_shares_in_order(
    heat: NDArray[np.float32], height: int, width: int, most: int
) -> None:
    regions = hot_regions(heat, height, width, most=most)

    assert len(regions) <= most
    for region in regions:
        x0, y0, x1, y1 = region.box
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        assert 0.0 < region.share <= 1.0
        assert region.zone is None
    assert all(first.share >= second.share for first, second in pairwise(regions))
    assert sum(region.share for region in regions) <= 1.0 + 1e-12


@LAW
@given(heat=HEATS)
def test_some_box_contains_the_hottest_pixel_and_all_of_them_every_hot_one(heat: NDArray[np.float32]) -> None:
    height, width = heat.shape

    regions = hot_regions(heat, height, width, most=heat.size)

    covered = np.zeros(heat.shape, np.bool_)
    for region in regions:
        x0, y0, x1, y1 = region.box
        covered[y0:y1, x0:x1] = True
    assert covered[heat >= HALF_MAXIMUM * heat.max()].all() or heat.max() == 0.0


@LAW
@given(heat=HEATS, power=st.integers(-20, 20))
def test_scaling_the_heat_changes_no_region(heat: NDArray[np.float32], power: int) -> None:
    plain, scaled = (hot_regions(one, 100, 80) for one in (heat, heat * np.float32(2.0**power)))

    assert [region.box for region in scaled] == [region.box for region in plain]
    assert [region.share for region in scaled] == pytest.approx([region.share for region in plain])


@LAW
@given(heat=HEATS, factor=st.integers(1, 5))
def test_a_larger_picture_of_the_same_heat_has_the_same_boxes(heat: NDArray[np.float32], factor: int) -> None:
    height, width = 60 * heat.shape[0], 60 * heat.shape[1]
    larger = np.repeat(np.repeat(heat, factor, axis=0), factor, axis=1)

    plain, fine = hot_regions(heat, height, width, most=100), hot_regions(larger, height, width, most=100)

    assert {region.box for region in fine} == {region.box for region in plain}


def test_exactly_half_of_the_maximum_is_hot_and_anything_less_is_not() -> None:
    heat = np.array([[0.8, 0.4, 0.0, 0.4, 0.399]], np.float32)

    assert [region.box for region in hot_regions(heat, 1, 5)] == [(0, 0, 2, 1), (3, 0, 4, 1)]


def test_a_heat_map_of_zeros_has_no_region() -> None:
    assert hot_regions(np.zeros((7, 7), np.float32), 100, 100) == ()


def test_the_whole_film_is_one_region_of_share_one() -> None:
    # Single precision would sum these to less than their own parts.
    (region,) = hot_regions(np.full((333, 777), 0.1, np.float32), 2048, 2500)

    assert region.box == (0, 0, 2500, 2048)
    assert region.share == 1.0


def test_the_box_of_an_opacity_is_where_the_opacity_is() -> None:
    mask = opacity_mask(200, 160, RIGHT_LOWER)
    rows, columns = np.nonzero(mask)

    (region,) = hot_regions(mask.astype(np.float32), 2000, 1600)

    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert region.box == tuple(10 * int(side) for side in box)


def test_the_area_with_most_heat_comes_first_and_below_half_of_the_maximum_is_none() -> None:
    heat = np.zeros((20, 20), np.float32)
    heat[2, 2] = 1.0
    heat[10:13, 10:13] = 0.6
    heat[18, 18] = 0.4

    regions = hot_regions(heat, 20, 20)

    assert [region.box for region in regions] == [(10, 10, 13, 13), (2, 2, 3, 3)]
    assert regions[0].share == pytest.approx(5.4 / 6.8)


def test_the_area_of_the_maximum_is_kept_even_if_many_areas_hold_more_heat() -> None:
    heat = np.zeros((8, 64), np.float32)
    for start in range(0, 48, 4):
        heat[0:8, start : start + 3] = 0.6
    heat[4, 60] = 1.0

    regions = hot_regions(heat, 8, 64, most=3)

    assert len(regions) == 3
    assert any(region.box == (60, 4, 61, 5) for region in regions)


def test_a_regions_zone_is_named_by_its_own_heat_alone() -> None:
    heat = np.zeros((20, 20), np.float32)
    heat[2:5, 2:5] = 1.0
    heat[10:16, 10:13] = 0.6
    heat[19, 19] = 0.4
    asked: list[NDArray[np.float32]] = []

    def name(part: NDArray[np.float32]) -> str:
        asked.append(part)
        return f"zone {len(asked)}"

    regions = hot_regions(heat, 20, 20, zone_of=name)

    assert [region.zone for region in regions] == ["zone 1", "zone 2"]
    for region, part in zip(regions, asked, strict=True):
        x0, y0, x1, y1 = region.box
        np.testing.assert_array_equal(part[y0:y1, x0:x1], heat[y0:y1, x0:x1])
        assert np.count_nonzero(part) == (y1 - y0) * (x1 - x0)


@LAW
@given(heat=HEATS, height=SIDES, width=SIDES, most=st.integers(1, 12))
def test_areas_are_the_regions_with_their_cells(heat: NDArray[np.float32], height: int, width: int, most: int) -> None:
    areas = hot_areas(heat, height, width, most=most)

    assert tuple(area.region for area in areas) == hot_regions(heat, height, width, most=most)
    hot = heat >= HALF_MAXIMUM * heat.max()
    for area in areas:
        assert hot[area.cells].all()
        assert float(heat[area.cells].sum(dtype=np.float64)) == pytest.approx(
            area.region.share * float(heat[hot | (heat > 0)].sum(dtype=np.float64)), rel=1e-6
        )
        assert connected_areas(area.cells).max() == 1
    if areas:
        assert np.sum([area.cells for area in areas], axis=0).max() == 1
        assert any(area.cells.ravel()[int(heat.argmax())] for area in areas)


@LAW
@given(cells=st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(byte_maps), height=SIDES, width=st.integers(1, 40))
def test_a_pixel_belongs_to_the_cell_its_centre_lies_in(cells: NDArray[np.float64], height: int, width: int) -> None:
    mask = cells % 0.125 > 0.0

    laid = over_film(mask, height, width)

    assert laid.shape == (height, width)
    for row in {0, height // 3, height - 1}:
        for column in range(width):
            cell = (
                int((row + 0.5) / height * mask.shape[0] + 1e-9),
                int((column + 0.5) / width * mask.shape[1] + 1e-9),
            )
            assert laid[row, column] == mask[cell]
    np.testing.assert_array_equal(over_film(mask, *mask.shape), mask)
