"""What an ensemble's logits are made of: mean map and mean bias add up to the mean logit, whatever the grids are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.activation_map import class_activation_maps
from app.domain.calibration import Calibration
from app.domain.ensemble_map import MOST_CELLS, MemberMaps, calibrated_maps, mean_maps, regridded
from app.domain.preprocessing import Rectangle
from tests.unit.domain.strategies import GRIDS, LAW, byte_maps

EDGE = st.floats(-3000.0, 3000.0, allow_nan=False, width=32)
SIDE = st.floats(1.0, 5000.0, width=32)
EXTENTS = st.builds(lambda x, y, width, height: (x, y, x + width, y + height), EDGE, EDGE, SIDE, SIDE)
LABELS = 2
BIASES = st.lists(st.integers(-64, 64), min_size=LABELS, max_size=LABELS).map(lambda found: np.array(found) / 16.0)


@st.composite
def member_maps(draw: st.DrawFn, extents: st.SearchStrategy[Rectangle] = EXTENTS) -> MemberMaps:
    """One member: two labels, any grid, any rectangle."""
    shape = draw(GRIDS)
    values = np.stack([draw(byte_maps(shape, signed=True)) for _ in range(LABELS)])
    return MemberMaps(values, draw(BIASES), draw(extents))


MEMBERS = st.lists(member_maps(), min_size=1, max_size=4)


@LAW
@given(members=MEMBERS)
def test_mean_map_and_mean_bias_add_up_to_the_mean_logit(members: list[MemberMaps]) -> None:
    found = mean_maps(members)

    logits = np.mean([member.values.mean(axis=(1, 2)) + member.biases for member in members], axis=0)
    np.testing.assert_allclose(found.values.mean(axis=(1, 2)) + found.biases, logits, rtol=1e-12, atol=1e-11)


@LAW
@given(member=member_maps())
def test_one_member_is_left_as_it_is(member: MemberMaps) -> None:
    found = mean_maps([member])

    np.testing.assert_allclose(found.values, member.values, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(found.biases, member.biases)
    assert found.extent == member.extent


@LAW
@given(extent=EXTENTS, shapes=st.lists(GRIDS, min_size=1, max_size=4), value=st.integers(-64, 64))
def test_evidence_that_is_the_same_everywhere_stays_so_where_the_rectangles_agree(
    extent: Rectangle, shapes: list[tuple[int, int]], value: int
) -> None:
    members = [MemberMaps(np.full((1, *shape), value / 8.0), np.zeros(1), extent) for shape in shapes]

    found = mean_maps(members)

    np.testing.assert_allclose(found.values, value / 8.0, rtol=1e-9)


@LAW
@given(data=st.data(), factor=st.integers(-8, 8))
def test_maps_of_a_sum_of_evidence_are_the_sum_of_the_maps(data: st.DataObject, factor: int) -> None:
    members = data.draw(MEMBERS)
    others = [
        MemberMaps(
            np.stack([data.draw(byte_maps(member.values.shape[1:], signed=True)) for _ in range(LABELS)]),
            data.draw(BIASES),
            member.extent,
        )
        for member in members
    ]
    summed = [
        MemberMaps(one.values + factor * other.values, one.biases + factor * other.biases, one.extent)
        for one, other in zip(members, others, strict=True)
    ]

    found, one, other = mean_maps(summed), mean_maps(members), mean_maps(others)

    np.testing.assert_allclose(found.values, one.values + factor * other.values, rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(found.biases, one.biases + factor * other.biases)


@LAW
@given(data=st.data(), extent=EXTENTS)
def test_the_evidence_in_any_part_of_the_grid_is_that_of_the_same_part_of_the_film(
    data: st.DataObject, extent: Rectangle
) -> None:
    """Cut at a line that is an edge of both grids, either side keeps its own evidence: nothing leaks over it."""
    cells, finer = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    values = data.draw(byte_maps((2 * cells, 2), signed=True))[None]

    found = regridded(values, extent, extent, 2 * cells * finer, 3)[0]

    np.testing.assert_allclose(found[: cells * finer].mean(), values[0, :cells].mean(), rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(found[cells * finer :].mean(), values[0, cells:].mean(), rtol=1e-7, atol=1e-7)


@LAW
@given(data=st.data())
def test_a_finer_grid_of_whole_parts_repeats_the_cells(data: st.DataObject) -> None:
    values = data.draw(byte_maps(signed=True))[None]
    extent = data.draw(EXTENTS)
    down, across = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))

    found = regridded(values, extent, extent, values.shape[1] * down, values.shape[2] * across)

    np.testing.assert_allclose(found[0], np.kron(values[0], np.ones((down, across))), rtol=1e-9, atol=1e-9)


def test_a_member_that_saw_a_quarter_of_the_rectangle_has_all_its_evidence_there() -> None:
    corner = MemberMaps(np.full((1, 1, 1), 3.0), np.zeros(1), (0.0, 0.0, 50.0, 50.0))
    whole = MemberMaps(np.zeros((1, 2, 2)), np.zeros(1), (0.0, 0.0, 100.0, 100.0))

    found = mean_maps([corner, whole])

    # 3 logits on a quarter of the area: a density of 12 there, halved by the mean of two members.
    np.testing.assert_allclose(found.values[0], [[6.0, 0.0], [0.0, 0.0]])
    assert found.extent == (0.0, 0.0, 100.0, 100.0)


def test_three_cells_on_two_share_the_one_in_the_middle() -> None:
    found = regridded(np.array([[[3.0, 6.0, 0.0]]]), (0.0, 0.0, 6.0, 1.0), (0.0, 0.0, 6.0, 1.0), 1, 2)

    np.testing.assert_allclose(found, [[[4.0, 2.0]]])


def test_the_common_grid_has_cells_of_the_smallest_size_of_any_member() -> None:
    fine = MemberMaps(np.zeros((1, 7, 7)), np.zeros(1), (0.0, 0.0, 70.0, 70.0))
    coarse = MemberMaps(np.zeros((1, 5, 5)), np.zeros(1), (-35.0, 0.0, 105.0, 140.0))

    assert mean_maps([fine, coarse]).values.shape == (1, 14, 14)
    assert mean_maps([coarse]).values.shape == (1, 5, 5)


def test_a_tiny_rectangle_within_a_huge_one_does_not_make_a_huge_grid() -> None:
    tiny = MemberMaps(np.full((1, 8, 8), 2.0), np.zeros(1), (0.0, 0.0, 1.0, 8.0))
    huge = MemberMaps(np.zeros((1, 8, 8)), np.zeros(1), (0.0, 0.0, 4000.0, 8.0))

    found = mean_maps([tiny, huge])

    assert found.values.shape == (1, 8, MOST_CELLS)
    assert found.values.mean() == pytest.approx(1.0)


@LAW
@given(
    data=st.data(),
    slopes=st.lists(st.floats(0.1, 4.0), min_size=LABELS, max_size=LABELS),
    intercepts=st.lists(st.floats(-4.0, 4.0), min_size=LABELS, max_size=LABELS),
)
def test_the_maps_of_a_calibrated_member_add_up_to_its_calibrated_logits(
    data: st.DataObject, slopes: list[float], intercepts: list[float]
) -> None:
    features = data.draw(byte_maps((3, 4)))[None, None].repeat(3, axis=1) * np.arange(1, 4)[None, :, None, None]
    rows, biases = data.draw(byte_maps((LABELS, 3), signed=True)), data.draw(BIASES)
    logits = features.mean(axis=(2, 3))[0] @ rows.T + biases
    calibrations = [Calibration(slope, intercept) for slope, intercept in zip(slopes, intercepts, strict=True)]
    maps = class_activation_maps(features.astype(np.float32), rows.astype(np.float32))[0]

    found = calibrated_maps(maps, biases, (0.0, 0.0, 1.0, 1.0), calibrations)

    wanted = [each.logit(logit) for each, logit in zip(calibrations, logits, strict=True)]
    np.testing.assert_allclose(found.values.mean(axis=(1, 2)) + found.biases, wanted, rtol=1e-5, atol=1e-3)


def test_no_member_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a member"):
        mean_maps([])


def test_members_of_other_labels_are_refused() -> None:
    extent = (0.0, 0.0, 1.0, 1.0)
    members = [MemberMaps(np.zeros((labels, 1, 1)), np.zeros(labels), extent) for labels in (1, 2)]

    with pytest.raises(ValueError, match="as many labels"):
        mean_maps(members)


@pytest.mark.parametrize("shape", [(2, 2), (1, 0, 2), (0, 1, 1)])
def test_maps_that_are_none_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="maps of shape"):
        MemberMaps(np.zeros(shape), np.zeros(shape[:1]), (0.0, 0.0, 1.0, 1.0))


def test_biases_of_other_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="biases of shape"):
        MemberMaps(np.zeros((2, 1, 1)), np.zeros(3), (0.0, 0.0, 1.0, 1.0))


@pytest.mark.parametrize("extent", [(0.0, 0.0, 0.0, 1.0), (0.0, 1.0, 1.0, 0.0)])
def test_an_empty_rectangle_is_refused(extent: Rectangle) -> None:
    with pytest.raises(ValueError, match="is empty"):
        MemberMaps(np.zeros((1, 1, 1)), np.zeros(1), extent)


def test_a_rectangle_beyond_the_common_one_is_refused() -> None:
    with pytest.raises(ValueError, match="reaches beyond"):
        regridded(np.zeros((1, 1, 1)), (0.0, 0.0, 2.0, 1.0), (0.0, 0.0, 1.0, 1.0), 1, 1)
