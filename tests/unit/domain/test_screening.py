"""Whether the contrast of two experts is used as intended."""

from dataclasses import replace

import pytest

from app.domain.operating_point import Decision, OperatingPoint
from app.domain.screening import NOTICE, ExpertFinding, intended_use


def finding(
    name: str, decision: Decision, probability: float = 0.25, band: tuple[float, float] | None = None
) -> ExpertFinding:
    """An expert's answer at a threshold of one half, without a map."""
    return ExpertFinding(
        name=name,
        title=name.title(),
        logit=0.0,
        probability=probability,
        decision=decision,
        operating_point=OperatingPoint(0.5, indeterminate=band),
        activation_map=None,
        extent=(0.0, 0.0, 1.0, 1.0),
    )


def test_two_positive_experts_are_the_intended_use() -> None:
    assert intended_use(finding("covid19", "positive"), finding("pneumonia", "positive")) == (True, None)


@pytest.mark.parametrize("decision", ["negative", "indeterminate"])
def test_the_reason_names_the_expert_that_is_not_positive_and_its_numbers(decision: Decision) -> None:
    intended, reason = intended_use(finding("covid19", decision), finding("pneumonia", "positive", 0.9))

    assert not intended
    assert reason is not None
    assert f"covid19 is {decision} (0.25 below 0.50)" in reason
    assert "pneumonia" not in reason


@pytest.mark.parametrize(("probability", "words"), [(0.45, "0.45 between 0.40 and 0.60"), (0.7, "(0.70)")])
def test_the_reason_of_an_indeterminate_expert_does_not_say_below(probability: float, words: str) -> None:
    doubtful = finding("covid19", "indeterminate", probability, (0.4, 0.6))

    intended, reason = intended_use(doubtful, finding("pneumonia", "positive", 0.9))

    assert not intended
    assert reason is not None
    assert words in reason
    assert "below" not in reason


def test_the_reason_of_an_expert_that_was_not_measured_on_such_films_is_what_they_are() -> None:
    doubted = replace(finding("covid19", "indeterminate", 0.9), doubts=("inverted", "gate_lateral_view"))

    _, reason = intended_use(doubted, finding("pneumonia", "positive", 0.9))

    assert reason is not None
    assert "covid19 is indeterminate (inverted, lateral view)" in reason


def test_the_reason_names_both_experts_when_neither_is_positive() -> None:
    intended, reason = intended_use(finding("covid19", "negative"), finding("pneumonia", "negative"))

    assert not intended
    assert reason is not None
    assert "covid19 is negative" in reason
    assert "and pneumonia is negative" in reason


def test_the_notice_says_that_this_is_not_for_diagnosis() -> None:
    assert "Not for diagnostic use" in NOTICE
