"""What several networks say together."""

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.calibration import Calibration
from app.domain.ensemble import EnsembleResult, LabelFinding, combine
from app.domain.label_hierarchy import ENSEMBLE_LABELS, PARENT_OF
from app.domain.operating_point import OperatingPoint
from tests.unit.domain.strategies import LAW

POINTS = dict.fromkeys(ENSEMBLE_LABELS, OperatingPoint(0.5))
EVALUATED = dict.fromkeys(ENSEMBLE_LABELS, True)
FOUND = st.lists(st.integers(0, 1000), min_size=14, max_size=14).map(
    lambda found: {label: n / 1000 for label, n in zip(ENSEMBLE_LABELS, found, strict=True)}
)
MEMBERS = st.lists(FOUND, min_size=1, max_size=5).map(lambda found: {f"m{n}": one for n, one in enumerate(found)})


def together(members: Mapping[str, Mapping[str, float]]) -> EnsembleResult:
    """The members combined under the specification's hierarchy."""
    return combine(members, POINTS, PARENT_OF, EVALUATED)


def finding(result: EnsembleResult, name: str) -> LabelFinding:
    """One label of a result."""
    return next(label for label in result.labels if label.name == name)


@LAW
@given(members=MEMBERS)
def test_labels_without_a_parent_are_the_mean_of_the_members(members: dict[str, dict[str, float]]) -> None:
    result = together(members)

    for name in ("pneumonia", "no_finding"):
        own = [found[name] for found in members.values()]
        assert finding(result, name).probability == pytest.approx(sum(own) / len(own), abs=1e-15)


@LAW
@given(members=MEMBERS)
def test_no_reported_child_is_above_its_parent(members: dict[str, dict[str, float]]) -> None:
    result = together(members)

    reported = {label.name: label.probability for label in result.labels}
    for name, parent in PARENT_OF.items():
        assert 0.0 <= reported[name] <= (1.0 if parent is None else reported[parent])


@LAW
@given(members=MEMBERS)
def test_exactly_the_means_that_were_lowered_are_flagged(members: dict[str, dict[str, float]]) -> None:
    result = together(members)

    alone = combine(members, POINTS, dict.fromkeys(ENSEMBLE_LABELS), EVALUATED)
    lowered = {
        f"child_above_parent:{after.name}"
        for before, after in zip(alone.labels, result.labels, strict=True)
        if after.probability < before.probability
    }
    assert alone.flags == ()
    assert set(result.flags) == lowered


def test_a_grandchild_lowered_by_its_grandparent_is_flagged_too() -> None:
    only = dict.fromkeys(ENSEMBLE_LABELS, 0.0) | {"pneumonia": 0.2, "viral": 0.5, "covid19": 0.4}

    result = together({"only": only})

    assert finding(result, "covid19").probability == 0.2
    assert set(result.flags) == {"child_above_parent:viral", "child_above_parent:covid19"}


@LAW
@given(members=MEMBERS)
def test_every_member_is_reported_as_it_answered_with_the_spread(members: dict[str, dict[str, float]]) -> None:
    for label in together(members).labels:
        own = {name: found[label.name] for name, found in members.items()}
        assert label.members == own
        assert label.spread == max(own.values()) - min(own.values())


@LAW
@given(found=FOUND, copies=st.integers(1, 5))
def test_members_that_agree_have_no_spread_and_their_own_mean(found: dict[str, float], copies: int) -> None:
    result = together({f"m{n}": found for n in range(copies)})

    assert all(label.spread == 0.0 for label in result.labels)
    assert finding(result, "pneumonia").probability == pytest.approx(found["pneumonia"], abs=1e-15)


@LAW
@given(members=MEMBERS)
def test_the_order_of_the_members_does_not_matter(members: dict[str, dict[str, float]]) -> None:
    there, back = together(members), together(dict(reversed(members.items())))

    for first, second in zip(there.labels, back.labels, strict=True):
        assert first.name == second.name
        assert first.probability == pytest.approx(second.probability, abs=1e-15)
        assert first.spread == second.spread


def test_the_decision_is_made_on_the_corrected_probability() -> None:
    only = dict.fromkeys(ENSEMBLE_LABELS, 0.1) | {"covid19": 0.9}

    covid19 = finding(together({"only": only}), "covid19")

    assert covid19.probability == 0.1
    assert covid19.decision == "negative"


def test_every_label_is_decided_at_its_own_operating_point() -> None:
    points = POINTS | {"pneumonia": OperatingPoint(0.2, name="own")}

    result = combine({"only": dict.fromkeys(ENSEMBLE_LABELS, 0.3)}, points, PARENT_OF, EVALUATED)

    decisions = {label.name: label.decision for label in result.labels}
    assert decisions.pop("pneumonia") == "positive"
    assert set(decisions.values()) == {"negative"}
    assert finding(result, "pneumonia").operating_point.name == "own"


def test_a_label_is_evaluated_only_if_said_so() -> None:
    result = combine({"only": dict.fromkeys(ENSEMBLE_LABELS, 0.3)}, POINTS, PARENT_OF, {"viral": True})

    assert [label.name for label in result.labels if label.evaluated] == ["viral"]


def test_labels_keep_the_order_of_the_first_member_and_know_their_parent() -> None:
    members = {"a": {"viral": 0.1, "pneumonia": 0.2}, "b": {"pneumonia": 0.3, "viral": 0.2}}

    result = together(members)

    assert [(label.name, label.parent) for label in result.labels] == [("viral", "pneumonia"), ("pneumonia", None)]


def test_an_ensemble_without_members_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a member"):
        together({})


def test_members_that_answer_for_different_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="do not agree"):
        together({"a": {"pneumonia": 0.5}, "b": {"viral": 0.5}})


CALIBRATION = Calibration(slope=2.0, intercept=-1.0)


@LAW
@given(members=MEMBERS)
def test_a_calibrated_mean_is_the_calibration_of_the_mean_s_logit(members: dict[str, dict[str, float]]) -> None:
    result = combine(members, POINTS, PARENT_OF, EVALUATED, {"no_finding": CALIBRATION})

    found, mean = finding(result, "no_finding"), finding(together(members), "no_finding").mean
    assert found.mean == mean
    if 0.0 < mean < 1.0:
        assert found.probability == pytest.approx(CALIBRATION.probability(math.log(mean / (1.0 - mean))), abs=1e-9)
    else:
        assert found.probability == pytest.approx(mean, abs=1e-9)
    assert finding(result, "pneumonia").probability == finding(result, "pneumonia").mean


@LAW
@given(members=MEMBERS)
def test_the_hierarchy_is_held_after_calibration(members: dict[str, dict[str, float]]) -> None:
    raised = Calibration(slope=1.0, intercept=3.0)

    result = combine(members, POINTS, PARENT_OF, EVALUATED, {"viral": raised, "covid19": raised})

    reported = {label.name: label.probability for label in result.labels}
    assert reported["covid19"] <= reported["viral"] <= reported["pneumonia"]


def test_a_child_that_only_calibration_lifts_above_its_parent_is_flagged() -> None:
    only = {"only": dict.fromkeys(ENSEMBLE_LABELS, 0.0) | {"pneumonia": 0.5, "viral": 0.4}}

    result = combine(only, POINTS, PARENT_OF, EVALUATED, {"viral": Calibration(slope=1.0, intercept=2.0)})

    assert together(only).flags == ()
    assert result.flags == ("child_above_parent:viral",)
    assert finding(result, "viral").probability == 0.5
