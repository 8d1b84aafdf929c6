import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.domain.activation_map import lay_over_film
from app.domain.errors import DivergenceError
from app.domain.lungs import LungFields
from app.domain.preprocessing import Rectangle
from app.domain.temporal_divergence import ALIGNMENT_POOR, NO_EVIDENCE, DatedMap, temporal_divergence

SIDE = 400


def lungs(shift: tuple[float, float] = (0.0, 0.0), scale: float = 1.0, side: int = SIDE) -> LungFields:
    """Two ellipses on a film, shifted in film pixels and scaled about the origin."""
    cells = 64
    at = (np.arange(cells) + 0.5) * side / cells
    planes = []
    for centre in (0.3, 0.7):
        x = (at - shift[0]) / scale / SIDE
        y = (at - shift[1]) / scale / SIDE
        inside = ((x[None, :] - centre) / 0.13) ** 2 + ((y[:, None] - 0.5) / 0.3) ** 2 <= 1.0
        planes.append(inside.astype(np.float32))
    return LungFields(np.stack(planes), (0.0, 0.0, float(side), float(side)), side, side)


def spot(x: float, y: float, strength: float = 5.0, width: float = 0.06) -> NDArray[np.float64]:
    """Evidence around a point in fractions of the film, on a 32 x 32 grid; a little against the class elsewhere."""
    at = (np.arange(32) + 0.5) / 32
    distance = (at[None, :] - x) ** 2 + (at[:, None] - y) ** 2
    values: NDArray[np.float64] = strength * np.exp(-distance / (2 * width**2)) - 0.05
    return values


FILM: Rectangle = (0.0, 0.0, float(SIDE), float(SIDE))


def dated(values: NDArray[np.float64], **moved: object) -> DatedMap:
    return DatedMap(values, FILM, lungs(**moved))  # type: ignore[arg-type]  # of lungs


def test_the_same_film_twice_shows_no_change() -> None:
    film = dated(spot(0.3, 0.6))

    found = temporal_divergence(film, film)

    assert found is not None
    assert found.flags == ()
    assert found.lungs_overlap == 1.0
    np.testing.assert_array_equal(found.new.log_k, 0.0)
    np.testing.assert_array_equal(found.new.display, 0.0)


@settings(deadline=None)
@given(st.floats(-40, 40), st.floats(-40, 40), st.floats(0.8, 1.1))
def test_a_shifted_and_scaled_copy_shows_hardly_any_change(dx: float, dy: float, scale: float) -> None:
    current = dated(spot(0.3, 0.6, width=0.08))
    moved_extent = tuple(scale * edge + shift for edge, shift in zip(FILM, (dx, dy, dx, dy), strict=True))
    x0, y0, x1, y1 = moved_extent
    earlier = DatedMap(current.values, (x0, y0, x1, y1), lungs((dx, dy), scale, side=560))

    found = temporal_divergence(current, earlier, alpha=1.0)

    assert found is not None
    assert ALIGNMENT_POOR not in found.flags
    assert float(np.abs(found.new.log_k).max()) < 0.25  # against 1.0 for a spot that was not there


def test_a_new_opacity_appears_where_it_is_and_nothing_resolves() -> None:
    earlier, current = dated(spot(0.3, 0.3)), dated(np.maximum(spot(0.3, 0.3), spot(0.7, 0.7)))

    found = temporal_divergence(current, earlier)

    assert found is not None
    heat = lay_over_film(found.new.display, found.extent, SIDE, SIDE, SIDE, SIDE)
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    assert abs(int(row) - 0.7 * SIDE) < 0.06 * SIDE
    assert abs(int(column) - 0.7 * SIDE) < 0.06 * SIDE
    assert float(found.resolved.log_k.max()) < 0.01 * float(found.new.log_k.max())


def test_an_opacity_that_grows_in_place_leaves_a_trace() -> None:
    found = temporal_divergence(dated(spot(0.3, 0.5, 6.0)), dated(spot(0.3, 0.5, 3.0)))

    assert found is not None
    assert float(found.new.log_k.max()) == pytest.approx(15.0 / 2, rel=0.05)


@settings(deadline=None)
@given(st.floats(0.2, 0.8), st.floats(0.3, 0.7), st.floats(0.5, 8.0))
def test_swapping_the_dates_swaps_the_directions(x: float, y: float, strength: float) -> None:
    one, two = dated(spot(x, y, strength)), dated(spot(0.5, 0.5))

    there, back = temporal_divergence(one, two), temporal_divergence(two, one)

    assert there is not None
    assert back is not None
    np.testing.assert_allclose(there.new.log_k, back.resolved.log_k)
    np.testing.assert_allclose(there.new.log_k, -there.resolved.log_k)


def test_without_both_lungs_on_both_films_there_is_nothing_to_lay_over() -> None:
    film = dated(spot(0.3, 0.5))
    one_lung = lungs()
    one_lung.probability[1] = 0.0
    half = DatedMap(film.values, film.extent, one_lung)

    assert temporal_divergence(film, half) is None
    assert temporal_divergence(half, film) is None


def test_lungs_that_do_not_match_are_flagged() -> None:
    film = dated(spot(0.3, 0.5))
    crossed = lungs()
    crossed.probability[:, :, :] = 0.0
    crossed.probability[0, 10:14, 10:54] = 1.0
    crossed.probability[1, 50:54, 10:54] = 1.0

    found = temporal_divergence(film, DatedMap(film.values, film.extent, crossed))

    assert found is not None
    assert ALIGNMENT_POOR in found.flags


def test_two_maps_without_evidence_are_flagged() -> None:
    nothing = dated(np.full((32, 32), 1e-6))

    found = temporal_divergence(nothing, nothing)

    assert found is not None
    assert found.flags == (NO_EVIDENCE,)


def test_broken_maps_and_amplifications_are_refused() -> None:
    film = dated(spot(0.3, 0.5))
    with pytest.raises(DivergenceError):
        temporal_divergence(film, DatedMap(np.full((4, 4), np.nan), FILM, lungs()))
    with pytest.raises(DivergenceError):
        temporal_divergence(film, film, alpha=0.0)
