"""Metrics whose intervals draw patients, against scikit-learn, and their laws."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from app.domain.discrimination import Estimate, auroc
from app.domain.patient_bootstrap import (
    Sample,
    interval,
    patient_weights,
    weight_blocks,
    weighted_auroc,
    weighted_share,
    wilson_interval,
)
from tests.unit.domain.strategies import LAW

metrics: Any = pytest.importorskip("sklearn.metrics")  # Any: published without types

Values = np.ndarray[Any, np.dtype[np.float64]]
Counts = np.ndarray[Any, np.dtype[np.int64]]
ALTERNATING = np.arange(12) % 2 == 0


def study(films: int = 200, seed: int = 0) -> tuple[Values, Values, Any]:  # Any: numpy's strings of one length
    """Films, two of each patient, whose scores tell the classes apart fairly well."""
    random = np.random.default_rng(seed)
    truth = (random.random(films) < 0.4).astype(np.float64)
    return truth, truth + random.normal(0, 1, films), np.array([f"p{k // 2}" for k in range(films)])


@LAW
@given(
    scores=arrays(np.float64, 12, elements=st.integers(-3, 3).map(float)),
    weights=arrays(np.int64, 12, elements=st.integers(0, 3)),
)
def test_a_weighted_auroc_is_the_auroc_of_repeated_films(scores: Values, weights: Counts) -> None:
    repeated = np.repeat(np.arange(12), weights)

    area = weighted_auroc(ALTERNATING, scores, weights[None].astype(np.float64))[0]

    if ALTERNATING[repeated].all() or not ALTERNATING[repeated].any():
        assert np.isnan(area)
    else:
        assert area == pytest.approx(metrics.roc_auc_score(ALTERNATING[repeated], scores[repeated]))


@LAW
@given(weights=arrays(np.int64, 12, elements=st.integers(0, 3)))
def test_a_weighted_share_is_the_share_of_repeated_films(weights: Counts) -> None:
    of, repeated = np.arange(12) < 5, np.repeat(np.arange(12), weights)

    share = weighted_share(of, ALTERNATING, weights[None].astype(np.float64))[0]

    among = ALTERNATING[repeated]
    assert np.isnan(share) if not among.any() else share == pytest.approx(of[repeated][among].mean())


def test_films_of_one_patient_are_drawn_together() -> None:
    groups = np.array(["a", "b", "a", "c"])

    weights = patient_weights(groups, rounds=50)

    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[:, [0, 1, 3]].sum(axis=1), 3)


@LAW
@given(block=st.integers(1, 500), seed=st.integers(0, 9))
def test_the_draws_do_not_depend_on_the_size_of_a_block(block: int, seed: int) -> None:
    groups = np.array([f"p{k % 7}" for k in range(12)])

    blocks = list(weight_blocks(groups, 40, seed, block))

    np.testing.assert_array_equal(np.concatenate(blocks), patient_weights(groups, 40, seed))
    assert max(len(each) for each in blocks) <= max(1, block // 12)


def test_many_films_are_measured_in_blocks_and_give_the_same_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = Sample(*study())
    expected = at_once.auroc(), at_once.sensitivity(0.5)
    calls: list[int] = []

    def small_blocks(groups: Any, rounds: int) -> Any:  # Any: as weight_blocks
        calls.append(rounds)
        return weight_blocks(groups, rounds, block_weights=7 * len(groups))

    monkeypatch.setattr("app.domain.patient_bootstrap.weight_blocks", small_blocks)
    in_blocks = Sample(*study())

    assert (in_blocks.auroc(), in_blocks.sensitivity(0.5)) == expected
    assert len(calls) == 2


def test_an_interval_agrees_with_the_one_that_copies_films() -> None:
    truth, scores, groups = study()
    random = np.random.default_rng(0)
    films_of = [np.flatnonzero(groups == name) for name in np.unique(groups)]
    copies = [np.concatenate([films_of[k] for k in random.integers(0, 100, 100)]) for _ in range(300)]
    low, high = np.percentile([auroc(truth[drawn], scores[drawn]) for drawn in copies], (2.5, 97.5))

    found = Sample(truth, scores, groups).auroc()

    assert found.value == pytest.approx(auroc(truth, scores), abs=1e-12)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.03)


def test_a_second_copy_of_every_film_of_a_patient_changes_nothing_but_the_counts() -> None:
    truth, scores, groups = study()
    once = Sample(truth, scores, groups).auroc()

    twice = Sample(np.repeat(truth, 2), np.repeat(scores, 2), np.repeat(groups, 2)).auroc()

    # Drawing films instead of patients would narrow this interval by the square root of two.
    assert (twice.value, twice.low, twice.high) == pytest.approx((once.value, once.low, once.high))
    assert (twice.positives, twice.negatives) == (2 * once.positives, 2 * once.negatives)


@LAW
@given(scores=arrays(np.float64, 12, elements=st.floats(-5, 5)))
def test_turning_the_scores_around_turns_the_auroc_around(scores: Values) -> None:
    ones = np.ones((1, 12))

    areas = weighted_auroc(ALTERNATING, scores, ones)[0], weighted_auroc(ALTERNATING, -scores, ones)[0]

    assert sum(areas) == pytest.approx(1)


def test_sensitivity_and_specificity_are_those_of_scikit_learn() -> None:
    truth, scores, groups = study()
    sample = Sample(truth, scores, groups)

    sensitivity, specificity = sample.sensitivity(0.5), sample.specificity(0.5)

    assert sensitivity.value == pytest.approx(metrics.recall_score(truth, scores >= 0.5))
    assert specificity.value == pytest.approx(metrics.recall_score(truth == 0, scores < 0.5))
    for found in (sensitivity, specificity):
        assert found.value is not None
        assert found.low is not None
        assert found.high is not None
        assert 0.0 < found.low < found.value < found.high < 1.0
    assert (sample.films, sample.patients) == (200, 100)


@pytest.mark.parametrize("unknown", ["truth", "score"])
def test_unknown_and_refused_films_are_left_out(unknown: str) -> None:
    truth, scores = np.array([1.0, 0.0, 1.0]), np.array([0.9, 0.2, 0.1])
    (truth if unknown == "truth" else scores)[2] = np.nan

    sample = Sample(truth, scores, np.array(["a", "b", "c"]))

    assert (sample.films, sample.positives, sample.negatives) == (2, 1, 1)


def test_a_sample_of_no_films_is_undefined() -> None:
    sample = Sample(np.full(2, np.nan), np.ones(2), np.array(["a", "b"]))

    assert sample.auroc() == sample.sensitivity(0.5) == Estimate(None, None, None, 0, 0)


def test_an_empty_class_is_undefined_and_one_patient_has_no_interval() -> None:
    sample = Sample(np.ones(4), np.linspace(0, 1, 4), np.array(["a"] * 4))

    assert sample.auroc().value is None
    assert sample.specificity(0.5).value is None
    assert (sample.sensitivity(0.5).value, sample.sensitivity(0.5).low) == (0.5, None)


def test_five_of_five_is_not_certain() -> None:
    sample = Sample(np.r_[np.ones(5), np.zeros(5)], np.arange(10.0)[::-1], np.arange(10).astype(str))

    sensitivity, area = sample.sensitivity(5), sample.auroc()

    assert (sensitivity.value, sensitivity.high) == (1, 1)
    assert sensitivity.low == pytest.approx(0.566, abs=1e-3)  # Wilson 1927, n = 5
    assert (area.value, area.low, area.high) == (1, None, None)


def test_too_few_defined_rounds_give_no_interval() -> None:
    values = np.r_[np.linspace(0, 1, 99), np.full(901, np.nan)]

    assert interval(values, 10) is None
    assert interval(np.r_[values, 0.5], 10) is not None


@LAW
@given(value=st.floats(0, 1), patients=st.integers(1, 1000))
def test_wilson_s_interval_holds_the_share_and_stays_in_0_to_1(value: float, patients: int) -> None:
    low, high = wilson_interval(value, patients)

    assert 0.0 <= low <= value + 1e-12
    assert value - 1e-12 <= high <= 1.0
