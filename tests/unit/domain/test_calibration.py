"""Logits to probabilities."""

import math
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.calibration import Calibration, brier_score, calibration_error, logit_of, reliability, sigmoid
from tests.unit.domain.strategies import LAW

LOGITS = st.floats(-1e4, 1e4)
CALIBRATIONS = st.builds(Calibration, st.floats(0.01, 100.0), st.floats(-20.0, 20.0))


@LAW
@given(first=LOGITS, second=LOGITS)
def test_the_sigmoid_never_turns_the_order_around(first: float, second: float) -> None:
    low, high = sigmoid(np.array(sorted((first, second))))

    assert 0.0 <= low <= high <= 1.0


@LAW
@given(logit=st.floats(-27.0, 27.0))
def test_the_logit_of_a_probability_is_what_the_sigmoid_came_from(logit: float) -> None:
    assert logit_of(float(sigmoid(np.float64(logit)))) == pytest.approx(logit, abs=1e-3)


def test_certainty_has_a_finite_logit() -> None:
    assert logit_of(1.0) == pytest.approx(-logit_of(0.0), rel=1e-4)
    assert 27.0 < logit_of(1.0) < 28.0


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


def forecasts(films: int, exponent: float = 1.0) -> tuple[Any, Any]:  # Any: arrays of truth and of probabilities
    """Films that are positive as often as ``probability ** (1 / exponent)`` says."""
    random = np.random.default_rng(0)
    probabilities = random.random(films)
    return random.random(films) < probabilities, probabilities**exponent


def test_calibrated_probabilities_have_a_small_calibration_error() -> None:
    good, bad = calibration_error(*forecasts(30_000)), calibration_error(*forecasts(30_000, 4.0))

    assert good is not None
    assert bad is not None
    assert good < 0.02 < bad


def test_the_calibration_error_is_the_mean_gap_of_the_bins_weighted_by_films() -> None:
    truth, probabilities = forecasts(1003, 2.0)

    bins = reliability(truth, probabilities)

    expected = sum(each.films * abs(each.probability - each.frequency) for each in bins) / 1003
    assert calibration_error(truth, probabilities) == pytest.approx(expected, rel=1e-12)
    assert {each.films for each in bins} == {66, 67}
    assert sum(each.films for each in bins) == 1003
    assert [each.probability for each in bins] == sorted(each.probability for each in bins)


def test_scikit_learn_draws_the_same_reliability_curve() -> None:
    sklearn: Any = pytest.importorskip("sklearn.calibration")  # Any: published without types
    truth, probabilities = forecasts(1500)

    bins = reliability(truth, probabilities, 10)

    frequencies, means = sklearn.calibration_curve(truth, probabilities, n_bins=10, strategy="quantile")
    assert [each.frequency for each in bins] == pytest.approx(list(frequencies))
    assert [each.probability for each in bins] == pytest.approx(list(means))


def test_too_few_films_have_no_calibration_error() -> None:
    assert calibration_error(np.ones(3, bool), np.ones(3)) is None
    assert reliability(np.ones(14, bool), np.ones(14)) == ()
    assert len(reliability(np.ones(15, bool), np.ones(15))) == 15


def test_the_brier_score_is_that_of_scikit_learn_and_none_without_films() -> None:
    metrics: Any = pytest.importorskip("sklearn.metrics")  # Any: published without types
    truth, probabilities = forecasts(500, 3.0)

    assert brier_score(truth, probabilities) == pytest.approx(metrics.brier_score_loss(truth, probabilities))
    assert brier_score(np.ones(0, bool), np.ones(0)) is None
