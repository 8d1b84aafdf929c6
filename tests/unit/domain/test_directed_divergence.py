"""The amplified directed divergence: its laws, its edges, and an oracle of sixty digits."""

import math
import warnings
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from app.domain.directed_divergence import (
    LOG_MAX_FLOAT16,
    LOG_MAX_FLOAT32,
    LOG_MAX_FLOAT64,
    MAX_ALPHA,
    DirectedDivergence,
    _kernel,
    _pair,
    checked_alpha,
    checked_map,
    directed_divergence,
    directed_divergences,
    normalised_by_maximum,
)
from app.domain.errors import DivergenceError, DivergenceReason
from tests.unit.domain.golden import as_map, case
from tests.unit.domain.strategies import ALPHAS, EXTREME, GRIDS, LAW, Map, Pair, pairs


def kernel(x: Map, x_prime: Map, alpha: float) -> DirectedDivergence:
    """The kernel without the public limit on alpha."""
    return _kernel(*_pair(x, x_prime, clamp_negative=False), alpha)


@LAW
@given(pair=pairs(), alpha=ALPHAS)
def test_a_map_against_itself_is_one_everywhere(pair: Pair, alpha: float) -> None:
    found = directed_divergence(pair[0], pair[0], alpha)

    assert not found.log_k.any()
    assert not found.display.any()
    assert "flat_heat_map" in found.flags


@LAW
@given(pair=pairs(), alpha=ALPHAS)
def test_swapping_the_maps_gives_the_reciprocal(pair: Pair, alpha: float) -> None:
    there, back = directed_divergence(*pair, alpha), directed_divergence(pair[1], pair[0], alpha)

    np.testing.assert_array_equal(there.log_k + back.log_k, 0.0)


@LAW
@given(pair=pairs(), first=st.floats(0.01, 350.0), second=st.floats(0.01, 350.0))
def test_amplifications_add_up_to_a_product_of_kernels(pair: Pair, first: float, second: float) -> None:
    product = directed_divergence(*pair, first).log_k + directed_divergence(*pair, second).log_k

    total = directed_divergence(*pair, first + second).log_k

    np.testing.assert_allclose(total, product, rtol=1e-12, atol=1e-12)


@LAW
@given(pair=pairs(), alpha=ALPHAS, first=st.floats(1e-6, 1e6), second=st.floats(1e-6, 1e6))
def test_scaling_either_map_by_a_positive_number_changes_nothing(
    pair: Pair, alpha: float, first: float, second: float
) -> None:
    plain = directed_divergence(*pair, alpha)

    scaled = directed_divergence(pair[0] * first, pair[1] * second, alpha)

    np.testing.assert_allclose(scaled.log_k, plain.log_k, rtol=1e-10, atol=1e-9)


def test_adding_a_constant_to_a_map_changes_the_kernel() -> None:
    example = case("eq3_alpha15")
    x, x_prime = as_map(example["x"]), as_map(example["x_prime"])

    moved = directed_divergence(x + 2.0, x_prime, 15.0)

    assert np.abs(moved.log_k - directed_divergence(x, x_prime, 15.0).log_k).max() > 1.0


@LAW
@given(pair=pairs(signed=False, evidence=True), alpha=ALPHAS)
def test_maps_without_negative_cells_keep_the_kernel_within_e_to_plus_minus_alpha(pair: Pair, alpha: float) -> None:
    found = directed_divergence(*pair, alpha)

    assert np.abs(found.log_k).max() <= alpha


@LAW
@given(pair=pairs(), alpha=ALPHAS)
def test_the_display_map_runs_from_zero_to_one_or_is_flat(pair: Pair, alpha: float) -> None:
    found = directed_divergence(*pair, alpha)

    assert found.display.min() == 0.0
    assert found.display.max() == (0.0 if "flat_heat_map" in found.flags else 1.0)


@LAW
@given(pair=pairs(), alpha=ALPHAS)
def test_the_display_map_keeps_the_order_of_the_kernel(pair: Pair, alpha: float) -> None:
    found = directed_divergence(*pair, alpha)

    order = np.argsort(found.log_k, axis=None)

    assert (np.diff(found.display.ravel()[order]) >= 0.0).all()


@LAW
@given(pair=pairs(), alpha=ALPHAS)
def test_entropy_lies_between_one_cell_and_all_cells(pair: Pair, alpha: float) -> None:
    found = directed_divergence(*pair, alpha)

    assert 0.0 <= found.entropy_nats <= math.log(pair[0].size) + 1e-12
    assert 1.0 / pair[0].size - 1e-12 <= found.top_cell_share <= 1.0


@LAW
@given(pair=pairs(), alpha=st.floats(0.1, 350.0))
def test_more_amplification_concentrates_the_map(pair: Pair, alpha: float) -> None:
    mild, strong = directed_divergences(*pair, (alpha, 2.0 * alpha))

    assert strong.entropy_nats <= mild.entropy_nats + 1e-9
    assert strong.top_cell_share >= mild.top_cell_share - 1e-12


@LAW
@given(pair=pairs(), seed=st.integers(0, 2**16))
def test_no_cell_knows_its_neighbours(pair: Pair, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(pair[0].size)
    x, x_prime = (one.ravel()[order].reshape(one.shape) for one in pair)

    found = directed_divergence(x, x_prime)

    np.testing.assert_array_equal(found.log_k.ravel(), directed_divergence(*pair).log_k.ravel()[order])


@LAW
@given(data=st.data(), alpha=ALPHAS, clamp_negative=st.booleans())
def test_any_finite_maps_give_finite_numbers_or_a_typed_refusal(
    data: st.DataObject, alpha: float, clamp_negative: bool
) -> None:
    shape = data.draw(GRIDS)
    x, x_prime = (data.draw(arrays(np.float64, shape, elements=EXTREME)) for _ in range(2))

    found: DirectedDivergence | None = None
    reason: DivergenceReason | None = None

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found = directed_divergence(x, x_prime, alpha, clamp_negative=clamp_negative)
        except DivergenceError as error:
            reason = error.reason

    if found is None:
        assert reason is DivergenceReason.NON_FINITE_MAP
        return
    assert np.isfinite(found.log_k).all()
    assert np.isfinite(found.display).all()
    assert math.isfinite(found.entropy_nats)
    assert 0.0 < found.top_cell_share <= 1.0


@LAW
@given(pair=pairs(), clamp_negative=st.booleans())
def test_the_inputs_are_never_modified(pair: Pair, clamp_negative: bool) -> None:
    before = [one.copy() for one in pair]
    for one in pair:
        one.setflags(write=False)

    directed_divergence(*pair, clamp_negative=clamp_negative)

    np.testing.assert_array_equal(pair, before)


@LAW
@given(pair=pairs(), alphas=st.lists(ALPHAS, max_size=4).map(tuple), clamp_negative=st.booleans())
def test_several_amplifications_at_once_equal_one_at_a_time(
    pair: Pair, alphas: tuple[float, ...], clamp_negative: bool
) -> None:
    together = directed_divergences(*pair, alphas, clamp_negative=clamp_negative)

    assert [found.alpha for found in together] == list(alphas)
    for found, alpha in zip(together, alphas, strict=True):
        alone = directed_divergence(*pair, alpha, clamp_negative=clamp_negative)
        np.testing.assert_array_equal(found.log_k, alone.log_k)
        np.testing.assert_array_equal(found.display, alone.display)
        assert (found.entropy_nats, found.top_cell_share, found.flags) == (
            alone.entropy_nats,
            alone.top_cell_share,
            alone.flags,
        )


@LAW
@given(pair=pairs(), alpha=ALPHAS)
def test_clamping_equals_clamping_the_maps_beforehand(pair: Pair, alpha: float) -> None:
    clamped = directed_divergence(*pair, alpha, clamp_negative=True)

    beforehand = directed_divergence(np.maximum(pair[0], 0.0), np.maximum(pair[1], 0.0), alpha)

    np.testing.assert_array_equal(clamped.log_k, beforehand.log_k)
    assert clamped.flags == beforehand.flags


@LAW
@given(pair=pairs())
def test_a_map_without_positive_evidence_is_flagged_and_counts_as_zero(pair: Pair) -> None:
    silent = -np.abs(pair[0])

    found = directed_divergence(silent, pair[1])

    assert found.flags[0] == "x:no_positive_evidence"
    np.testing.assert_array_equal(found.log_k, directed_divergence(np.zeros_like(silent), pair[1]).log_k)


@LAW
@given(pair=pairs(evidence=True))
def test_normalising_keeps_the_signs_and_puts_the_maximum_at_one(pair: Pair) -> None:
    found, evidence = normalised_by_maximum(pair[0])

    assert evidence
    assert found.max() == 1.0
    np.testing.assert_array_equal(np.sign(found), np.sign(pair[0]))


def test_a_range_of_both_extremes_of_double_precision_raises_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = directed_divergence(np.array([[1.0, -1e307, 0.0]]), np.array([[1.0, 0.0, -1e307]]), 15.0)

    np.testing.assert_array_equal(found.display, [[0.0, 0.0, 1.0]])


def test_a_negative_cell_too_large_for_its_maximum_is_refused() -> None:
    with pytest.raises(DivergenceError, match="divided") as refusal:
        directed_divergence(np.array([[1e-300, -1e300]]), np.ones((1, 2)))

    assert refusal.value.reason is DivergenceReason.NON_FINITE_MAP


def test_an_amplification_beyond_double_precision_is_refused() -> None:
    with pytest.raises(DivergenceError, match="not finite") as refusal:
        directed_divergence(np.array([[1.0, -1e308]]), np.ones((1, 2)), 700.0)

    assert refusal.value.reason is DivergenceReason.NON_FINITE_MAP


def test_a_faint_difference_is_flagged_as_low_contrast() -> None:
    x, nearly = np.array([[1.0, 0.5]]), np.array([[1.0, 0.5 - 0.0066]])

    assert directed_divergence(x, nearly, 15.0).flags == ("low_contrast_map",)
    assert directed_divergence(x, nearly, 15.2).flags == ()


def test_a_difference_lost_in_rounding_is_flat() -> None:
    found = directed_divergence(np.array([[1.0, 0.5]]), np.array([[1.0, np.nextafter(0.5, 0)]]), 0.01)

    assert found.flags == ("flat_heat_map", "low_contrast_map")
    assert not found.display.any()


@pytest.mark.parametrize(
    ("limit", "flag"),
    [
        (LOG_MAX_FLOAT16, "would_overflow_float16"),
        (LOG_MAX_FLOAT32, "would_overflow_float32"),
        (LOG_MAX_FLOAT64, "overflow_float64"),
    ],
)
def test_overflow_is_flagged_just_above_the_largest_number_of_a_precision(limit: float, flag: str) -> None:
    x, x_prime = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])

    assert flag not in kernel(x, x_prime, limit).flags
    assert flag in kernel(x, x_prime, math.nextafter(limit, math.inf)).flags


def test_k_is_given_up_to_the_largest_double_and_not_beyond() -> None:
    x, x_prime = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])

    largest = kernel(x, x_prime, LOG_MAX_FLOAT64).k

    assert largest is not None
    assert np.isfinite(largest).all()
    assert kernel(x, x_prime, 710.0).k is None


def test_k_stays_finite_for_every_map_without_negative_cells_up_to_the_largest_alpha() -> None:
    assert directed_divergence(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), MAX_ALPHA).k is not None


@pytest.mark.parametrize("alpha", [0.0, -0.0, -1.0, math.nan, math.inf, -math.inf, math.nextafter(700.0, 701.0)])
def test_alpha_outside_its_range_is_refused(alpha: float) -> None:
    with pytest.raises(DivergenceError, match="alpha") as refusal:
        checked_alpha(alpha)

    assert refusal.value.reason is DivergenceReason.INVALID_ALPHA


@pytest.mark.parametrize("alpha", [math.ulp(0.0), 1.0, 700.0])
def test_alpha_within_its_range_is_accepted(alpha: float) -> None:
    assert checked_alpha(alpha) == alpha


def test_one_bad_alpha_among_several_is_refused() -> None:
    with pytest.raises(DivergenceError) as refusal:
        directed_divergences(np.ones((2, 2)), np.ones((2, 2)), (15.0, 0.0))

    assert refusal.value.reason is DivergenceReason.INVALID_ALPHA


def test_a_stack_of_maps_is_refused() -> None:
    with pytest.raises(DivergenceError, match="x has shape") as refusal:
        checked_map(np.ones((1, 7, 7)), "x")

    assert refusal.value.reason is DivergenceReason.SHAPE_MISMATCH


@pytest.mark.parametrize("cell", [math.nan, math.inf, -math.inf])
def test_the_refusal_of_a_map_that_is_not_finite_names_the_map(cell: float) -> None:
    with pytest.raises(DivergenceError, match=r"^x' ") as refusal:
        directed_divergence(np.ones((1, 2)), np.array([[1.0, cell]]))

    assert refusal.value.reason is DivergenceReason.NON_FINITE_MAP


@LAW
@given(pair=pairs(evidence=True), alpha=st.integers(1, 700))
def test_the_kernel_equals_equation_2_in_sixty_digit_decimals(pair: Pair, alpha: int) -> None:
    found = directed_divergence(*pair, float(alpha))

    with localcontext() as context:
        context.prec = 60
        peaks = [Decimal(float(one.max())) for one in pair]
        for cell in np.ndindex(pair[0].shape):
            own, other = (Decimal(float(one[cell])) / peak for one, peak in zip(pair, peaks, strict=True))
            exact = Decimal(alpha) * (own - other)
            scale = Decimal(alpha) * (abs(own) + abs(other))
            assert abs(Decimal(float(found.log_k[cell])) - exact) <= Decimal("4e-16") * scale
