"""Thresholds from validation: the best F1 there is, or one half where validation has no say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.label_thresholds import best_f1_threshold, label_thresholds


@given(data=st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=2, max_size=40))
def test_no_threshold_gives_a_higher_f1(data: list[tuple[bool, int]]) -> None:
    truth = np.array([float(there) for there, _ in data])
    probabilities = np.array([given / 20 for _, given in data])
    if not 0 < truth.sum() < len(truth):
        truth[:2] = 0, 1

    chosen = best_f1_threshold(truth, probabilities, fewest=1)

    cuts = np.array([chosen, *np.arange(0, 1.01, 0.025)])
    hits = ((probabilities >= cuts[:, None]) & (truth == 1)).sum(axis=1)
    scores = 2 * hits / ((probabilities >= cuts[:, None]).sum(axis=1) + truth.sum())
    assert scores[0] == pytest.approx(scores.max())


def test_of_equally_good_thresholds_the_nearest_to_one_half_is_taken() -> None:
    truth = np.array([0.0, 1.0, 0.0, 1.0])

    assert best_f1_threshold(truth, np.array([0.0, 1.0, 0.1, 0.9]), fewest=1) == 0.5
    assert best_f1_threshold(truth, np.array([0.7, 1.0, 0.6, 0.9]), fewest=1) == pytest.approx(0.8)


def test_validation_has_no_say_with_few_positives_or_no_negative() -> None:
    few = np.array([1.0] * 9 + [0.0] * 30)
    probabilities = np.linspace(0.9, 0.1, 39)

    assert best_f1_threshold(few, probabilities) == 0.5
    assert best_f1_threshold(np.ones(20), np.full(20, 0.2)) == 0.5
    assert best_f1_threshold(few, probabilities, fewest=9) > 0.6


def test_unknown_labels_and_refused_films_choose_nothing() -> None:
    truth = np.array([[1.0, 1.0], [0.0, 0.0], [np.nan, 1.0], [0.0, 0.0]])
    probabilities = np.array([[0.8, 0.8], [0.6, 0.6], [0.1, 0.1], [np.nan, 0.05]])

    first, second = label_thresholds(truth, probabilities, fewest=1)

    assert first == pytest.approx(0.7)
    assert second < 0.1
