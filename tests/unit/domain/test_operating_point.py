"""Thresholds, decisions, and what a decision does to a pre-test probability."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.operating_point import Decision, MeasuredOn, NoPostTest, OperatingPoint, Rates, post_test
from tests.unit.domain.strategies import LAW

PRETESTS = st.floats(1e-6, 1.0 - 1e-6)
RATES = st.floats(0.01, 0.99)
DECISIONS: st.SearchStrategy[Decision] = st.sampled_from(("positive", "negative"))
ORDER: dict[Decision, int] = {"negative": 0, "indeterminate": 1, "positive": 2}


def known(point: OperatingPoint, pretest: float, decision: Decision) -> float:
    """The post-test probability where it is defined."""
    found = post_test(pretest, point, decision).probability
    assert found is not None
    return found


def points(draw: st.DrawFn) -> OperatingPoint:
    """A threshold, with a band around it more often than not."""
    low, threshold, high = sorted(draw(st.floats(0.0, 1.0)) for _ in range(3))
    return OperatingPoint(threshold, indeterminate=draw(st.sampled_from(((low, high), (threshold, high), None))))


@LAW
@given(point=st.composite(points)(), first=st.floats(0.0, 1.0), second=st.floats(0.0, 1.0))
def test_a_higher_probability_is_never_less_positive(point: OperatingPoint, first: float, second: float) -> None:
    low, high = (ORDER[point.decide(probability)] for probability in sorted((first, second)))

    assert low <= high


@LAW
@given(threshold=st.floats(0.0, 1.0), probability=st.floats(0.0, 1.0))
def test_an_empty_band_decides_as_if_there_were_none(threshold: float, probability: float) -> None:
    empty = OperatingPoint(threshold, indeterminate=(threshold, threshold))

    assert empty.decide(probability) == OperatingPoint(threshold).decide(probability) != "indeterminate"


@LAW
@given(point=st.composite(points)(), probability=st.floats(0.0, 1.0))
def test_a_band_takes_decisions_away_and_never_turns_one_around(point: OperatingPoint, probability: float) -> None:
    decided = point.decide(probability)

    assert decided in ("indeterminate", OperatingPoint(point.threshold).decide(probability))


def test_a_band_begins_at_its_start_and_ends_before_its_end() -> None:
    point = OperatingPoint(0.5, indeterminate=(0.4, 0.6))

    decided = {p: point.decide(p) for p in (math.nextafter(0.4, 0.0), 0.4, 0.5, math.nextafter(0.6, 0.0), 0.6)}

    assert list(decided.values()) == ["negative", "indeterminate", "indeterminate", "indeterminate", "positive"]


@pytest.mark.parametrize("band", [(0.6, 0.7), (0.3, 0.4), (0.6, 0.4), (-0.1, 0.6), (0.4, 1.1), (0.4, math.nan)])
def test_a_band_that_does_not_lie_around_the_threshold_cannot_be_built(band: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="around the threshold"):
        OperatingPoint(0.5, indeterminate=band)


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


@pytest.mark.parametrize(
    ("sensitivity", "specificity", "decision", "reason"),
    [
        (0.9, 1.0, "positive", NoPostTest.RATIO_UNBOUNDED),
        (0.0, 1.0, "positive", NoPostTest.RATIO_UNBOUNDED),
        (0.0, 0.8, "positive", NoPostTest.RATIO_ZERO),
        (1.0, 0.8, "negative", NoPostTest.RATIO_ZERO),
        (0.9, 0.0, "negative", NoPostTest.RATIO_UNBOUNDED),
        (1.0, 0.0, "negative", NoPostTest.RATIO_UNBOUNDED),
        (None, 0.8, "positive", NoPostTest.NOT_MEASURED),
        (0.9, None, "negative", NoPostTest.NOT_MEASURED),
        (0.9, 0.8, "indeterminate", NoPostTest.INDETERMINATE),
        (None, None, "indeterminate", NoPostTest.INDETERMINATE),
    ],
)
def test_where_there_is_no_finite_ratio_above_zero_nothing_is_said_but_why(
    sensitivity: float | None, specificity: float | None, decision: Decision, reason: NoPostTest
) -> None:
    found = post_test(0.3, OperatingPoint(0.5, sensitivity, specificity), decision)

    assert (found.pretest, found.probability, found.likelihood_ratio, found.reason) == (0.3, None, None, reason)


@LAW
@given(pretest=PRETESTS, sensitivity=st.floats(0, 1), specificity=st.floats(0, 1), decision=DECISIONS)
def test_an_answer_is_finite_or_has_a_reason(
    pretest: float, sensitivity: float, specificity: float, decision: Decision
) -> None:
    found = post_test(pretest, OperatingPoint(0.5, sensitivity, specificity), decision)

    assert (found.reason is None) == (found.probability is not None) == (found.likelihood_ratio is not None)
    if found.probability is not None and found.likelihood_ratio is not None:
        assert 0.0 <= found.probability <= 1.0
        assert 0.0 < found.likelihood_ratio < math.inf


@pytest.mark.parametrize("pretest", [0.0, 1.0, -0.1, 1.1, math.nan])
def test_a_pre_test_probability_that_is_certain_or_none_is_refused(pretest: float) -> None:
    with pytest.raises(ValueError, match="pre-test probability"):
        post_test(pretest, OperatingPoint(0.5, 0.9, 0.8), "positive")


@pytest.mark.parametrize("numbers", [(-0.1, None, None), (1.1, None, None), (0.5, 1.2, 0.5), (0.5, 0.5, -0.1)])
def test_an_operating_point_outside_0_to_1_cannot_be_built(
    numbers: tuple[float, float | None, float | None],
) -> None:
    with pytest.raises(ValueError, match="outside"):
        OperatingPoint(*numbers)


def test_an_operating_point_that_is_not_a_number_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="outside"):
        OperatingPoint(math.nan)


@pytest.mark.parametrize("rates", [(-0.1, 0.5), (0.5, 1.1), (math.nan, None)])
def test_rates_outside_0_to_1_cannot_be_built(rates: tuple[float, float | None]) -> None:
    with pytest.raises(ValueError, match="outside"):
        Rates(*rates)


@pytest.mark.parametrize(
    ("paediatric", "measured_on", "ratio"), [(None, "all", 4.5), (False, "adults", 9.0), (True, "children", 2.25)]
)
def test_the_ratio_is_the_one_measured_on_patients_of_that_age(
    paediatric: bool | None, measured_on: MeasuredOn, ratio: float
) -> None:
    point = OperatingPoint(0.5, 0.9, 0.8, adults=Rates(0.9, 0.9), children=Rates(0.9, 0.6))

    found = post_test(0.3, point, "positive", paediatric)

    assert found.measured_on == measured_on
    assert found.likelihood_ratio == pytest.approx(ratio)


@pytest.mark.parametrize("paediatric", [True, False])
@pytest.mark.parametrize("rates", [None, Rates(0.9, None), Rates(None, 0.9)])
def test_an_age_group_without_both_rates_gets_those_of_all(paediatric: bool, rates: Rates | None) -> None:
    point = OperatingPoint(0.5, 0.9, 0.8, adults=rates, children=rates)

    found = post_test(0.3, point, "positive", paediatric)

    assert found.measured_on == "all"
    assert found.likelihood_ratio == pytest.approx(4.5)
