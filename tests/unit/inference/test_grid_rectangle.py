"""Where on a film the maps of a network lie whose grid does not reach the edges of its input."""

import pytest
from pydantic import ValidationError

from app.domain.preprocessing import place
from tests.fakes import manifest


def test_a_grid_lies_over_the_whole_input_unless_the_manifest_says_otherwise() -> None:
    placement = place(100, 200, 32)

    assert manifest("member").extent_of(placement) == placement.extent
    whole = manifest("member", grid_px=(0.0, 0.0, 32.0, 32.0)).extent_of(placement)
    assert whole == pytest.approx(placement.extent)


def test_a_grid_within_the_input_lies_where_its_rectangle_comes_to_lie_on_the_film() -> None:
    placement = place(64, 64, 32)

    extent = manifest("member", grid_px=(4.0, 8.0, 20.0, 28.0)).extent_of(placement)

    assert extent == pytest.approx((8.0, 16.0, 40.0, 56.0))


@pytest.mark.parametrize(
    "grid_px", [(-1.0, 0.0, 32.0, 32.0), (0.0, 0.0, 33.0, 32.0), (5.0, 0.0, 5.0, 32.0), (0.0, 9.0, 32.0, 8.0)]
)
def test_a_grid_that_is_no_rectangle_of_the_input_is_refused(grid_px: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError, match="no rectangle of an input of 32 px"):
        manifest("member", grid_px=grid_px)
