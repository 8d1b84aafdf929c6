"""Averages over labels against scikit-learn; what they and the samples share is tested with the domain."""

import numpy as np
import pytest
from sklearn.metrics import precision_score, recall_score

from training.averages import METRICS, Scored, averages_of


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
