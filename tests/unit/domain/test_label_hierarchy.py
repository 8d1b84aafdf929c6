"""The fourteen labels and their order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.label_hierarchy import DISPLAY_NAMES, ENSEMBLE_LABELS, PARENT_OF, above_parent, corrected
from tests.unit.domain.strategies import LAW

PROBABILITIES = st.integers(0, 1000).map(lambda n: n / 1000)
WHOLE = st.fixed_dictionaries(dict.fromkeys(ENSEMBLE_LABELS, PROBABILITIES))
PARTIAL = st.dictionaries(st.sampled_from(ENSEMBLE_LABELS), PROBABILITIES)


def test_the_labels_are_the_fourteen_of_the_specification() -> None:
    """SPEC 2.1."""
    children = {
        None: {"pneumonia", "no_finding"},
        "pneumonia": {"viral", "bacterial", "fungal", "ards"},
        "viral": {"covid19", "sars", "mers"},
        "bacterial": {"streptococcus", "klebsiella", "chlamydophila", "legionella"},
        "fungal": {"pneumocystis"},
    }

    assert len(ENSEMBLE_LABELS) == 14
    assert dict(PARENT_OF) == {label: parent for parent, labels in children.items() for label in labels}
    assert tuple(PARENT_OF) == ENSEMBLE_LABELS


def test_every_label_has_a_name_for_the_reader() -> None:
    assert DISPLAY_NAMES == {
        "pneumonia": "Pneumonia",
        "viral": "Viral",
        "covid19": "COVID-19",
        "sars": "SARS",
        "mers": "MERS",
        "bacterial": "Bacterial",
        "streptococcus": "Streptococcus",
        "klebsiella": "Klebsiella",
        "chlamydophila": "Chlamydophila",
        "legionella": "Legionella",
        "fungal": "Fungal",
        "pneumocystis": "Pneumocystis",
        "ards": "ARDS",
        "no_finding": "No finding",
    }


def test_a_parent_stands_before_its_children_and_is_a_label_itself() -> None:
    seen: set[str] = set()

    for label, parent in PARENT_OF.items():
        assert parent is None or parent in seen
        seen.add(label)


@LAW
@given(probabilities=PARTIAL)
def test_a_corrected_child_is_never_above_its_parent(probabilities: dict[str, float]) -> None:
    fixed = corrected(probabilities)

    for label, parent in PARENT_OF.items():
        if label in fixed and parent in fixed:
            assert fixed[label] <= fixed[parent]


@LAW
@given(probabilities=PARTIAL)
def test_correcting_only_lowers_and_never_below_every_ancestor(probabilities: dict[str, float]) -> None:
    fixed = corrected(probabilities)

    assert list(fixed) == list(probabilities)
    for label, probability in fixed.items():
        assert probability <= probabilities[label]
        assert probability in probabilities.values()


@LAW
@given(probabilities=PARTIAL)
def test_correcting_twice_is_correcting_once(probabilities: dict[str, float]) -> None:
    once = corrected(probabilities)

    assert corrected(once) == once
    assert above_parent(once) == ()


@LAW
@given(probabilities=WHOLE, order=st.permutations(ENSEMBLE_LABELS))
def test_the_order_of_the_labels_does_not_matter(probabilities: dict[str, float], order: list[str]) -> None:
    shuffled = {label: probabilities[label] for label in order}

    assert corrected(shuffled) == corrected(probabilities)
    assert set(above_parent(shuffled)) == set(above_parent(probabilities))


@LAW
@given(probabilities=PARTIAL)
def test_exactly_the_labels_that_correcting_lowers_are_above_a_parent(probabilities: dict[str, float]) -> None:
    fixed = corrected(probabilities)

    lowered = tuple(label for label in probabilities if fixed[label] < probabilities[label])

    assert above_parent(probabilities) == lowered


def test_a_grandchild_is_held_by_its_grandparent() -> None:
    assert corrected({"covid19": 0.4, "viral": 0.5, "pneumonia": 0.2}) == {
        "covid19": 0.2,
        "viral": 0.2,
        "pneumonia": 0.2,
    }


def test_a_missing_parent_binds_nobody() -> None:
    assert corrected({"covid19": 0.9, "pneumonia": 0.2}) == {"covid19": 0.9, "pneumonia": 0.2}
    assert above_parent({"covid19": 0.9, "pneumonia": 0.2}) == ()


def test_pneumonia_and_no_finding_do_not_bind_each_other() -> None:
    assert corrected({"pneumonia": 0.1, "no_finding": 0.9}) == {"pneumonia": 0.1, "no_finding": 0.9}


@pytest.mark.parametrize("label", ["covid", "covid-19", "Pneumonia", "viral pneumonia", "pneumo", ""])
def test_a_token_that_is_not_exactly_a_label_has_no_parent(label: str) -> None:
    assert corrected({label: 0.9, "viral": 0.1, "pneumonia": 0.1})[label] == 0.9
    assert above_parent({label: 0.9, "viral": 0.1, "pneumonia": 0.1}) == ()


def test_a_difference_within_the_tolerance_is_not_above() -> None:
    close = {"pneumonia": 0.5, "viral": 0.55}

    assert above_parent(close) == ("viral",)
    assert above_parent(close, tolerance=0.1) == ()


def test_another_hierarchy_can_be_given() -> None:
    assert corrected({"b": 0.9, "a": 0.3}, {"a": None, "b": "a"}) == {"b": 0.3, "a": 0.3}
