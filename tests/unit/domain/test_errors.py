"""The failures a caller can do something about."""

import re

import pytest

from app.domain import errors
from app.domain.errors import (
    DivergenceError,
    DivergenceReason,
    ImageRefusedError,
    IntakeReason,
    IntakeRefusedError,
    OverloadedError,
    RefusalReason,
    ScreeningError,
)

SUBCLASSES: list[type[ScreeningError]] = [
    found for found in ScreeningError.__subclasses__() if found.__module__ == errors.__name__
]
PLAIN = [found for found in SUBCLASSES if found not in {ImageRefusedError, DivergenceError, IntakeRefusedError}]


def test_every_failure_has_a_code_of_its_own() -> None:
    codes = [ScreeningError.code] + [found.code for found in SUBCLASSES]

    assert all("code" in vars(found) for found in SUBCLASSES)
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    drawn = re.findall(r"[├└]── (\w+)  +\S", errors.__doc__ or "")

    assert sorted(drawn) == sorted(found.__name__ for found in SUBCLASSES)
    assert not any(found.__subclasses__() for found in SUBCLASSES)


@pytest.mark.parametrize("failure", PLAIN)
def test_a_failure_says_its_detail_and_reports_its_code(failure: type[ScreeningError]) -> None:
    raised = failure("(0028,0004) is RGB")

    assert (str(raised), raised.detail) == ("(0028,0004) is RGB", "(0028,0004) is RGB")
    assert raised.problem_code == failure.code


@pytest.mark.parametrize("reason", RefusalReason)
def test_a_refusal_reports_its_reason(reason: RefusalReason) -> None:
    raised = ImageRefusedError(reason, "why")

    assert (raised.problem_code, raised.reason, raised.detail) == (reason.value, reason, "why")


@pytest.mark.parametrize("reason", DivergenceReason)
def test_an_undefined_divergence_reports_its_reason(reason: DivergenceReason) -> None:
    raised = DivergenceError(reason, "why")

    assert (raised.problem_code, raised.reason, raised.detail) == (reason.value, reason, "why")


@pytest.mark.parametrize("reason", IntakeReason)
def test_an_object_that_cannot_be_taken_reports_its_reason(reason: IntakeReason) -> None:
    raised = IntakeRefusedError(reason, "why")

    assert (raised.problem_code, raised.reason, raised.detail) == (reason.value, reason, "why")


def test_no_reported_code_means_two_things() -> None:
    reported = [found.code for found in PLAIN] + [reason.value for reason in (*RefusalReason, *DivergenceReason)]

    assert len(set(reported)) == len(reported)


def test_an_overload_says_when_to_come_back() -> None:
    assert OverloadedError("full").retry_after_s == 1
    assert OverloadedError("full", retry_after_s=7).retry_after_s == 7
