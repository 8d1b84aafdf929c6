"""Whether the contrast of two experts is used as intended."""

from dataclasses import replace

import numpy as np
import pytest

from app.domain.operating_point import Decision, OperatingPoint
from app.domain.screening import NOTICE, ExpertFinding, drawn, intended_use, told_apart


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
    assert f"the COVID-19 expert is {decision} (0.25 below 0.50)" in reason
    assert "Pneumonia" not in reason


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
    assert "the COVID-19 expert is indeterminate (inverted, lateral view)" in reason


def test_the_reason_names_both_experts_when_neither_is_positive() -> None:
    intended, reason = intended_use(finding("covid19", "negative"), finding("pneumonia", "negative"))

    assert not intended
    assert reason is not None
    assert "the COVID-19 expert is negative" in reason
    assert "and the Pneumonia expert is negative" in reason


def test_the_notice_says_that_this_is_not_for_diagnosis() -> None:
    assert "Not for diagnostic use" in NOTICE


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ((0.16, 0.29), ("0.16", "0.29")),
        ((0.1632, 0.1634, 0.1635), ("0.1632", "0.1634", "0.1635")),
        ((0.5, 0.5), ("0.50", "0.50")),
        ((0.1, 0.1 + 1e-9), ("0.100000", "0.100000")),
        ((0.9987,), ("0.999",)),
        ((1.0, 0.9951), ("1.000", "0.995")),
        ((0.0012, 0.5), ("0.001", "0.50")),
        ((0.9999, 0.292), ("0.9999", "0.29")),
        ((0.9999, 0.99989), ("0.99990", "0.99989")),
        ((1e-9,), ("0.000000",)),
    ],
)
def test_numbers_are_written_as_long_as_it_takes_to_tell_them_apart(
    values: tuple[float, ...], written: tuple[str, ...]
) -> None:
    assert told_apart(*values) == written


@pytest.mark.parametrize("flag", ["negligible_evidence", "x:negligible_evidence", "nothing_specific"])
def test_what_would_show_noise_is_not_drawn(flag: str) -> None:
    display = np.array([[0.0, 1.0]])

    assert not drawn(display, ("low_contrast_map", flag)).any()
    assert drawn(display, ("low_contrast_map", "x':negligible_evidence")) is display
