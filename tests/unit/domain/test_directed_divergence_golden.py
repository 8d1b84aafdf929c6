"""The amplified directed divergence against the paper's printed example and the stored cases."""

from typing import Any

import numpy as np
import pytest

from app.domain.directed_divergence import DirectedDivergence, _kernel, _pair, directed_divergence
from app.domain.errors import DivergenceError, DivergenceReason
from tests.unit.domain.golden import as_map, case, golden
from tests.unit.domain.strategies import Map

CASES: list[dict[str, Any]] = golden()["cases"]  # Any: JSON
VALUES = [pytest.param(c, id=c["id"]) for c in CASES if "error" not in c["expected"]]
REFUSALS = [pytest.param(c, id=c["id"]) for c in CASES if "error" in c["expected"]]
KERNEL_ONLY = ("eq3_alpha0", "large_alpha_709.78", "large_alpha_1e+06")
"""Legal in the kernel's arithmetic; the public function accepts 0 < alpha <= 700 (SPEC 1.7)."""


def kernel(x: Map, x_prime: Map, alpha: float, clamp_negative: bool) -> DirectedDivergence:
    """The kernel without the public limit on alpha."""
    return _kernel(*_pair(x, x_prime, clamp_negative), alpha)


def test_equation_3_of_the_paper_is_reproduced_where_it_is_right() -> None:
    example = case("eq3_alpha15")

    k = directed_divergence(as_map(example["x"]), as_map(example["x_prime"]), 15.0).k

    assert k is not None
    decimals = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]])
    printed = np.array(example["printed_in_paper"])
    rounded = np.vectorize(round)(k, decimals)
    np.testing.assert_array_equal(rounded == printed, example["matches_printed"])


def test_cell_2_3_of_equation_3_is_79_44_and_not_the_printed_79_8() -> None:
    # The paper rounded the normalised maps to three decimals first; that reproduces all nine printed cells (SPEC 1.10).
    example = case("eq3_alpha15")
    x, x_prime = as_map(example["x"]), as_map(example["x_prime"])

    k = directed_divergence(x, x_prime, 15.0).k

    assert k is not None
    assert k[1, 2] == pytest.approx(79.439840, abs=5e-7)
    hasty = np.exp(15.0 * (np.round(x / x.max(), 3) - np.round(x_prime / x_prime.max(), 3)))
    assert hasty[1, 2] == pytest.approx(79.8, abs=0.05)


@pytest.mark.parametrize("row", golden()["concentration_fig6"], ids=lambda row: f"alpha{row['alpha']}")
def test_concentration_follows_figure_6(row: dict[str, Any]) -> None:  # Any: JSON
    maps = case("grid7x7_alpha15")

    found = directed_divergence(as_map(maps["x"]), as_map(maps["x_prime"]), row["alpha"])

    assert int((found.display >= 0.5).sum()) == row["cells_display_ge_0_5"]
    assert found.top_cell_share == pytest.approx(row["top1_mass"], rel=1e-12)
    assert found.entropy_nats == pytest.approx(row["entropy_nats"], rel=1e-12)


@pytest.mark.parametrize("example", VALUES)
def test_the_kernel_reproduces_every_golden_case(example: dict[str, Any]) -> None:  # Any: JSON
    x, x_prime = as_map(example["x"]), as_map(example["x_prime"])

    found = kernel(x, x_prime, float(example["alpha"]), example["clamp_negative"])

    expected, rtol = example["expected"], example["rtol"]
    np.testing.assert_allclose(found.log_k, expected["log_K"], rtol=rtol, atol=0.0)
    np.testing.assert_allclose(found.display, expected["display_0_1"], rtol=1e-11, atol=1e-15)
    assert float(found.log_k.max()) == pytest.approx(expected["log_K_max"], rel=rtol)
    assert float(found.log_k.min()) == pytest.approx(expected["log_K_min"], rel=rtol)
    assert list(found.flags) == expected["flags"]
    if expected["K"] is None:
        assert found.k is None
    else:
        assert found.k is not None
        np.testing.assert_allclose(found.k, expected["K"], rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("example", VALUES)
def test_the_public_function_equals_the_kernel_within_its_range_of_alpha(example: dict[str, Any]) -> None:
    x, x_prime, alpha = as_map(example["x"]), as_map(example["x_prime"]), float(example["alpha"])
    clamp_negative = example["clamp_negative"]
    expected = kernel(x, x_prime, alpha, clamp_negative)

    if example["id"] in KERNEL_ONLY:
        with pytest.raises(DivergenceError) as refusal:
            directed_divergence(x, x_prime, alpha, clamp_negative=clamp_negative)
        assert refusal.value.reason is DivergenceReason.INVALID_ALPHA
    else:
        found = directed_divergence(x, x_prime, alpha, clamp_negative=clamp_negative)
        np.testing.assert_array_equal(found.log_k, expected.log_k)
        assert found.flags == expected.flags


@pytest.mark.parametrize("example", REFUSALS)
def test_every_golden_refusal_has_its_code(example: dict[str, Any]) -> None:  # Any: JSON
    x, x_prime = as_map(example["x"]), as_map(example["x_prime"])

    with pytest.raises(DivergenceError) as refusal:
        directed_divergence(x, x_prime, float(example["alpha"]), clamp_negative=example["clamp_negative"])

    assert refusal.value.reason.value == example["expected"]["error"]


def test_every_reason_of_a_refusal_is_among_the_golden_codes() -> None:
    assert {reason.value for reason in DivergenceReason} <= set(golden()["error_codes"])
