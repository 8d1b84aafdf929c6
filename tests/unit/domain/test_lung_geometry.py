"""Measures of two lungs, on boxes whose numbers a ruler gives."""

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.lung_geometry import LungGeometry, lung_geometry
from app.domain.lungs import LungFields
from tests.unit.domain.lung_fields import LEFT_BOX, RIGHT_BOX, Box, boxed_lungs, padded_lungs
from tests.unit.domain.strategies import HEAVY_LAW


def measured(lungs: LungFields) -> LungGeometry:
    found = lung_geometry(lungs)
    assert found is not None
    return found


def test_two_equal_boxes_measure_what_a_ruler_gives() -> None:
    found = measured(boxed_lungs())

    assert found.share == pytest.approx(0.25, abs=1e-3)
    assert found.balance == pytest.approx(1.0)
    assert found.overlap == 0.0
    assert found.aspect == pytest.approx(1.5)
    assert found.offset == pytest.approx(0.0)
    assert found.certainty == pytest.approx(1.0)
    assert found.edge_contact == 0.0


def test_no_lungs_have_no_geometry() -> None:
    assert lung_geometry(boxed_lungs(None, None)) is None


@pytest.mark.parametrize(("right", "left"), [(RIGHT_BOX, None), (None, LEFT_BOX)])
def test_a_single_lung_is_out_of_balance_and_overlaps_nothing(right: Box | None, left: Box | None) -> None:
    found = measured(boxed_lungs(right, left))

    assert (found.balance, found.overlap) == (0.0, 0.0)
    assert found.share == pytest.approx(0.125, abs=1e-3)


@pytest.mark.parametrize("swapped", [False, True])
def test_the_balance_is_the_smaller_lung_over_the_larger_whichever_it_is(swapped: bool) -> None:
    half: Box = (0.625, 0.5, 0.875, 0.75)
    right, left = ((0.125, 0.5, 0.375, 0.75), LEFT_BOX) if swapped else (RIGHT_BOX, half)

    assert measured(boxed_lungs(right, left)).balance == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(("shift", "overlap"), [(0.0, 1.0), (0.125, 0.5), (0.25, 0.0), (0.375, 0.0)])
def test_the_overlap_is_the_part_of_the_columns_that_both_share(shift: float, overlap: float) -> None:
    upper: Box = (0.25, 0.125, 0.5, 0.375)
    lower: Box = (0.25 + shift, 0.625, 0.5 + shift, 0.875)

    assert measured(boxed_lungs(upper, lower)).overlap == pytest.approx(overlap)


@pytest.mark.parametrize(("height", "width", "aspect"), [(256, 256, 1.5), (256, 128, 0.75), (100, 200, 3.0)])
def test_the_aspect_is_measured_in_the_films_own_pixels(height: int, width: int, aspect: float) -> None:
    assert measured(boxed_lungs(height=height, width=width)).aspect == pytest.approx(aspect)


@pytest.mark.parametrize(("dx", "dy", "offset"), [(0.125, 0.0, 0.25), (0.0, -0.25, 0.5), (-0.125, 0.125, 0.25)])
def test_the_offset_is_that_of_the_worse_axis_over_half_a_side(dx: float, dy: float, offset: float) -> None:
    right, left = ((x0 + dx, y0 + dy, x1 + dx, y1 + dy) for x0, y0, x1, y1 in (RIGHT_BOX, LEFT_BOX))

    assert measured(boxed_lungs(right, left)).offset == pytest.approx(offset)


def test_the_certainty_is_the_mean_probability_of_the_cells_that_are_lung() -> None:
    lungs = boxed_lungs()
    lungs.probability[0] *= np.float32(0.6)
    lungs.probability[0, 0, 0] = 0.4

    assert measured(lungs).certainty == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("right", "contact"),
    [
        ((0.0, 0.25, 0.25, 0.75), 0.5),
        ((0.125, 0.0, 0.375, 0.75), 0.25),
        ((0.125, 0.25, 0.375, 1.0), 0.25),
        ((0.0, 0.0, 0.375, 0.75), 0.75),
        ((0.03125, 0.25, 0.375, 0.75), 0.0),
    ],
)
def test_edge_contact_is_the_largest_part_of_a_side_that_lung_touches(right: Box, contact: float) -> None:
    assert measured(boxed_lungs(right)).edge_contact == pytest.approx(contact, abs=0.01)


def test_a_left_lung_touches_the_right_side_of_the_film() -> None:
    assert measured(boxed_lungs(left=(0.625, 0.25, 1.0, 0.75))).edge_contact == pytest.approx(0.5, abs=0.01)


@HEAVY_LAW
@given(height=st.integers(200, 3000), width=st.integers(200, 3000), factor=st.integers(2, 5))
def test_a_larger_copy_of_a_film_measures_the_same(height: int, width: int, factor: int) -> None:
    small, large = padded_lungs(height, width), padded_lungs(factor * height, factor * width)

    # Truncating the shorter side to whole pixels of the input moves the grid by less than a cell.
    np.testing.assert_allclose(astuple(measured(large)), astuple(measured(small)), atol=0.06)
