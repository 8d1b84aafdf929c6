"""Logits to probabilities."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.calibration import Calibration, sigmoid
from tests.unit.domain.strategies import LAW

LOGITS = st.floats(-1e4, 1e4)
CALIBRATIONS = st.builds(Calibration, st.floats(0.01, 100.0), st.floats(-20.0, 20.0))


@LAW
@given(first=LOGITS, second=LOGITS)
def test_the_sigmoid_never_turns_the_order_around(first: float, second: float) -> None:
    low, high = sigmoid(np.array(sorted((first, second))))

    assert 0.0 <= low <= high <= 1.0


@LAW
@given(logit=LOGITS)
def test_the_sigmoid_of_the_negative_is_the_complement(logit: float) -> None:
    there, back = sigmoid(np.array([logit, -logit]))

    assert there + back == pytest.approx(1.0, abs=1e-15)


@LAW
@given(logit=st.integers(-600, 600))
def test_the_sigmoid_equals_its_definition_in_fifty_digits(logit: int) -> None:
    with localcontext() as context:
        context.prec = 50
        exact = float(1 / (1 + (-Decimal(logit)).exp()))

    assert float(sigmoid(np.float64(logit))) == pytest.approx(exact, rel=4e-16 * 4)


def test_the_sigmoid_is_stable_at_any_logit() -> None:
    logits = np.array([-np.inf, -1e308, -1e4, 0.0, 1e4, 1e308, np.inf])

    np.testing.assert_array_equal(sigmoid(logits), [0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 1.0])


def test_small_probabilities_are_not_rounded_away() -> None:
    assert float(sigmoid(np.float64(-700.0))) == pytest.approx(math.exp(-700.0), rel=1e-12)


@LAW
@given(calibration=CALIBRATIONS, first=LOGITS, second=LOGITS)
def test_a_calibration_never_turns_the_order_around(calibration: Calibration, first: float, second: float) -> None:
    low, high = sorted((first, second))

    assert calibration.logit(low) <= calibration.logit(high)
    assert 0.0 <= calibration.probability(low) <= calibration.probability(high) <= 1.0


@LAW
@given(logit=LOGITS)
def test_the_identity_changes_nothing(logit: float) -> None:
    assert Calibration().logit(logit) == logit
    assert Calibration().probability(logit) == float(sigmoid(np.float64(logit)))


@LAW
@given(logit=st.integers(-2000, 2000).map(lambda n: n / 100), temperature=st.floats(0.1, 10.0))
def test_temperature_keeps_the_decision_at_one_half(logit: float, temperature: float) -> None:
    scaled = Calibration(slope=1.0 / temperature)

    assert (scaled.probability(logit) >= 0.5) == (logit >= 0.0)


@LAW
@given(calibration=CALIBRATIONS, logit=st.floats(-20.0, 20.0))
def test_the_probability_is_the_sigmoid_of_the_calibrated_logit(calibration: Calibration, logit: float) -> None:
    expected = float(sigmoid(np.float64(calibration.slope * logit + calibration.intercept)))

    assert calibration.probability(logit) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("slope", "intercept"),
    [(0.0, 0.0), (-1.0, 0.0), (math.nan, 0.0), (math.inf, 0.0), (1.0, math.nan), (1.0, -math.inf)],
)
def test_a_calibration_that_would_turn_or_lose_the_order_cannot_be_built(slope: float, intercept: float) -> None:
    with pytest.raises(ValueError, match="calibration slope"):
        Calibration(slope, intercept)
