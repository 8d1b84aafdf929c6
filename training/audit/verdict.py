"""Whether a network may be released: criteria with what was measured, the limit, and whether it is kept."""

from collections.abc import Sequence
from typing import Literal

from training.audit.record import Record


class Criterion(Record):
    """One criterion.

    Attributes
    ----------
    name
        Short and stable.
    question
        What it asks, in a sentence.
    measured
        None where it could not be measured; it has then not passed.
    sense
        ``at most`` or ``at least``.
    limit
        Bound of ``measured``.
    passed
        Whether the bound is kept.
    remark
        Which subgroup, or why nothing was measured.
    """

    name: str
    question: str
    measured: float | None
    sense: Literal["at most", "at least"]
    limit: float
    passed: bool
    remark: str = ""


class Verdict(Record):
    """All criteria; ``failed`` names those that are not kept. ``accepted`` says that it was released all the same."""

    passed: bool
    failed: tuple[str, ...]
    criteria: tuple[Criterion, ...]
    accepted: bool = False


def at_most(name: str, question: str, measured: float | None, limit: float, remark: str = "") -> Criterion:
    """Ask that something be small."""
    passed = measured is not None and measured <= limit
    return Criterion(
        name=name, question=question, measured=measured, sense="at most", limit=limit, passed=passed, remark=remark
    )


def at_least(name: str, question: str, measured: float | None, limit: float, remark: str = "") -> Criterion:
    """Ask that something be large."""
    passed = measured is not None and measured >= limit
    return Criterion(
        name=name, question=question, measured=measured, sense="at least", limit=limit, passed=passed, remark=remark
    )


def verdict_of(criteria: Sequence[Criterion]) -> Verdict:
    """Put criteria together; without any nothing has passed."""
    failed = tuple(criterion.name for criterion in criteria if not criterion.passed)
    return Verdict(passed=bool(criteria) and not failed, failed=failed, criteria=tuple(criteria))
