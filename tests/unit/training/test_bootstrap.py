"""Vectorised intervals against scikit-learn, and their laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import precision_score, recall_score, roc_auc_score

from app.domain.discrimination import with_interval
from training.averages import METRICS, Scored, averages_of
from training.bootstrap import Sample, patient_weights, weighted_auroc

_ONES = np.ones((1, 12))


@given(
    scores=arrays(np.float64, 12, elements=st.integers(-3, 3).map(float)),
    weights=arrays(np.int64, 12, elements=st.integers(0, 3)),
)
def test_a_weighted_auroc_is_the_auroc_of_repeated_films(scores: np.ndarray, weights: np.ndarray) -> None:
    truth = np.arange(12) % 2 == 0
    repeated = np.repeat(np.arange(12), weights)

    area = weighted_auroc(truth, scores, weights[None].astype(np.float64))[0]

    if truth[repeated].all() or not truth[repeated].any():
        assert np.isnan(area)
    else:
        assert area == pytest.approx(roc_auc_score(truth[repeated], scores[repeated]))


@given(scores=arrays(np.float64, 12, elements=st.floats(-5, 5)))
def test_turning_the_scores_around_turns_the_auroc_around(scores: np.ndarray) -> None:
    truth = np.arange(12) < 5

    areas = weighted_auroc(truth, scores, _ONES)[0], weighted_auroc(truth, -scores, _ONES)[0]

    assert sum(areas) == pytest.approx(1)


def test_films_of_one_patient_are_drawn_together() -> None:
    groups = np.array(["a", "b", "a", "c"])

    weights = patient_weights(groups, rounds=50)

    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[:, [0, 1, 3]].sum(axis=1), 3)


def test_an_interval_agrees_with_the_one_that_copies_films() -> None:
    random = np.random.default_rng(0)
    groups = np.array([f"p{k // 2}" for k in range(200)])
    truth = (random.random(200) < 0.4).astype(np.float64)
    scores = truth + random.normal(0, 1, 200)

    fast, slow = Sample(truth, scores, groups).auroc(), with_interval(truth, scores, groups, rounds=300)

    assert fast.value == pytest.approx(slow.value)
    assert (fast.low, fast.high) == pytest.approx((slow.low, slow.high), abs=0.03)


def test_unknown_and_refused_films_are_left_out() -> None:
    truth, scores = np.array([1.0, np.nan, 0.0, 1.0]), np.array([0.9, 0.1, 0.2, np.nan])

    sample = Sample(truth, scores, np.array(["a", "b", "c", "d"]))

    assert (sample.films, sample.positives, sample.negatives) == (2, 1, 1)


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


def test_micro_sums_the_counts_and_macro_averages_the_labels() -> None:
    random = np.random.default_rng(1)
    truth = (random.random((60, 3)) < 0.4).astype(np.float64)
    probabilities = np.clip(0.5 * truth + random.random((60, 3)) * 0.7, 0, 1)
    scored = {f"l{k}": Scored(truth[:, k], probabilities[:, k], 0.5) for k in range(3)}

    averages = averages_of(scored, np.arange(60).astype(str))

    said = probabilities >= 0.5
    for average, kind in ((averages.macro, "macro"), (averages.micro, "micro")):
        assert average["precision"].value == pytest.approx(precision_score(truth, said, average=kind))
        assert average["recall"].value == pytest.approx(recall_score(truth, said, average=kind))
    f1 = [averages.labels[label]["f1"].value for label in scored]
    assert averages.macro["f1"].value == pytest.approx(np.mean(np.array(f1, float)))


def test_a_label_without_a_positive_has_an_undefined_recall_not_zero() -> None:
    scored = {"none": Scored(np.zeros(5), np.full(5, 0.1), 0.5), "some": Scored(np.ones(5), np.full(5, 0.9), 0.5)}

    averages = averages_of(scored, np.arange(5).astype(str))

    assert averages.labels["none"]["recall"].value is None
    assert averages.labels["none"]["recall"].undefined
    assert averages.macro["recall"].value == 1
    assert set(averages.micro) == set(METRICS)
