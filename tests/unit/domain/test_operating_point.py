"""Thresholds, decisions, and what a decision does to a pre-test probability."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.operating_point import Decision, OperatingPoint, post_test_probability
from tests.unit.domain.strategies import LAW

PRETESTS = st.floats(1e-6, 1.0 - 1e-6)
RATES = st.floats(0.01, 0.99)
DECISIONS: st.SearchStrategy[Decision] = st.sampled_from(("positive", "negative"))


def known(point: OperatingPoint, pretest: float, decision: Decision) -> float:
    """The post-test probability where it is defined."""
    found = post_test_probability(pretest, point, decision)
    assert found is not None
    return found


@LAW
@given(threshold=st.floats(0.0, 1.0), first=st.floats(0.0, 1.0), second=st.floats(0.0, 1.0))
def test_a_higher_probability_is_never_less_positive(threshold: float, first: float, second: float) -> None:
    point = OperatingPoint(threshold)

    decisions = [point.decide(probability) for probability in sorted((first, second))]

    assert decisions != ["positive", "negative"]


@pytest.mark.parametrize("threshold", [0.0, 0.37, 1.0])
def test_the_threshold_itself_is_positive(threshold: float) -> None:
    assert OperatingPoint(threshold).decide(threshold) == "positive"
    assert OperatingPoint(threshold).decide(math.nextafter(threshold, -1.0)) == "negative"


@LAW
@given(pretest=PRETESTS, sensitivity=RATES, specificity=RATES)
def test_post_test_odds_are_pre_test_odds_times_the_likelihood_ratio(
    pretest: float, sensitivity: float, specificity: float
) -> None:
    point = OperatingPoint(0.5, sensitivity, specificity)

    ratios: dict[Decision, float] = {
        "positive": sensitivity / (1.0 - specificity),
        "negative": (1.0 - sensitivity) / specificity,
    }
    for decision, ratio in ratios.items():
        odds = pretest / (1.0 - pretest) * ratio
        assert known(point, pretest, decision) == pytest.approx(odds / (1.0 + odds), rel=1e-9)


@LAW
@given(pretest=PRETESTS, sensitivity=RATES, specificity=RATES)
def test_the_two_outcomes_average_back_to_the_pre_test_probability(
    pretest: float, sensitivity: float, specificity: float
) -> None:
    point = OperatingPoint(0.5, sensitivity, specificity)
    positive = pretest * sensitivity + (1.0 - pretest) * (1.0 - specificity)

    mean = positive * known(point, pretest, "positive") + (1.0 - positive) * known(point, pretest, "negative")

    assert mean == pytest.approx(pretest, rel=1e-9)


@LAW
@given(first=PRETESTS, second=PRETESTS, sensitivity=RATES, specificity=RATES, decision=DECISIONS)
def test_a_likelier_disease_stays_likelier(
    first: float, second: float, sensitivity: float, specificity: float, decision: Decision
) -> None:
    point = OperatingPoint(0.5, sensitivity, specificity)

    low, high = (known(point, pretest, decision) for pretest in sorted((first, second)))

    assert 0.0 < low <= high * (1 + 1e-12) < 1.0 + 1e-9


@LAW
@given(pretest=PRETESTS, sensitivity=st.floats(0.51, 0.99), specificity=st.floats(0.51, 0.99))
def test_a_useful_test_raises_the_probability_when_positive_and_lowers_it_when_negative(
    pretest: float, sensitivity: float, specificity: float
) -> None:
    point = OperatingPoint(0.5, sensitivity, specificity)

    assert known(point, pretest, "negative") < pretest < known(point, pretest, "positive")


@LAW
@given(pretest=PRETESTS, sensitivity=RATES, decision=DECISIONS)
def test_a_test_that_knows_nothing_changes_nothing(pretest: float, sensitivity: float, decision: Decision) -> None:
    point = OperatingPoint(0.5, sensitivity, 1.0 - sensitivity)

    assert known(point, pretest, decision) == pytest.approx(pretest, rel=1e-9)


def test_a_textbook_example_by_hand() -> None:
    # Sensitivity 0.90, specificity 0.80, prevalence 0.10: of 1000, 90 of 270 positives and 10 of 730 negatives are ill.
    point = OperatingPoint(0.5, 0.90, 0.80)

    assert known(point, 0.10, "positive") == pytest.approx(90 / 270)
    assert known(point, 0.10, "negative") == pytest.approx(10 / 730)


@pytest.mark.parametrize(("sensitivity", "specificity", "decision"), [(0.0, 1.0, "positive"), (1.0, 0.0, "negative")])
def test_a_decision_that_never_happens_has_no_likelihood_ratio(
    sensitivity: float, specificity: float, decision: Decision
) -> None:
    assert post_test_probability(0.3, OperatingPoint(0.5, sensitivity, specificity), decision) is None


@pytest.mark.parametrize("decision", ["positive", "negative", "indeterminate"])
def test_without_both_measurements_nothing_is_said(decision: Decision) -> None:
    for point in (OperatingPoint(0.5), OperatingPoint(0.5, sensitivity=0.9), OperatingPoint(0.5, specificity=0.9)):
        assert post_test_probability(0.3, point, decision) is None


def test_an_indeterminate_decision_says_nothing() -> None:
    assert post_test_probability(0.3, OperatingPoint(0.5, 0.9, 0.8), "indeterminate") is None


@pytest.mark.parametrize("pretest", [0.0, 1.0, -0.1, 1.1, math.nan])
def test_a_pre_test_probability_that_is_certain_or_none_is_refused(pretest: float) -> None:
    with pytest.raises(ValueError, match="pre-test probability"):
        post_test_probability(pretest, OperatingPoint(0.5, 0.9, 0.8), "positive")


@pytest.mark.parametrize("numbers", [(-0.1, None, None), (1.1, None, None), (0.5, 1.2, 0.5), (0.5, 0.5, -0.1)])
def test_an_operating_point_outside_0_to_1_cannot_be_built(
    numbers: tuple[float, float | None, float | None],
) -> None:
    with pytest.raises(ValueError, match="outside"):
        OperatingPoint(*numbers)


def test_an_operating_point_that_is_not_a_number_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="outside"):
        OperatingPoint(math.nan)


@pytest.mark.parametrize(
    ("sensitivity", "specificity", "decision"), [(1.0, 0.8, "negative"), (0.9, 1.0, "positive"), (0.0, 0.8, "positive")]
)
def test_a_likelihood_ratio_of_zero_or_infinity_gives_no_certainty(
    sensitivity: float, specificity: float, decision: Decision
) -> None:
    assert post_test_probability(0.3, OperatingPoint(0.5, sensitivity, specificity), decision) is None
