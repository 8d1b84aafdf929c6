"""The numbers of an evaluation, against scikit-learn's."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import recall_score, roc_auc_score

from app.domain.label_hierarchy import ENSEMBLE_LABELS
from app.domain.subgroups import subgroups
from tests.fakes import manifest
from training.calibrate import calibrated
from training.datasets import Film, read_manifest
from training.evaluate import evaluate

POINTS = [{"name": "wide", "threshold": 0.3}, {"name": "strict", "threshold": 0.7}]


@pytest.fixture
def films(phantom_manifest: Path) -> list[Film]:
    return [film for film in read_manifest(phantom_manifest) if film.part == "test"]


def test_every_subgroup_has_the_numbers_of_scikit_learn(films: list[Film]) -> None:
    network = manifest(
        "covid19",
        operating_points={"covid19": POINTS},
        calibration={"covid19": {"method": "platt", "slope": 2.0, "intercept": -0.5}},
    )
    truth = np.array([film.targets[ENSEMBLE_LABELS.index("covid19")] for film in films])
    scores = truth + np.random.default_rng(0).normal(0, 1, len(films))

    found = evaluate(network, films, scores[:, None])

    probabilities = calibrated(network.calibration_of("covid19"), scores)
    for name, where in subgroups(films).items():
        row = found.labels["covid19"][name]
        assert row.films == where.sum()
        both = {0.0, 1.0} <= set(truth[where])
        assert row.auroc.value == (pytest.approx(roc_auc_score(truth[where], scores[where])) if both else None)
        for point in row.points:
            said = probabilities[where] >= point.threshold
            if row.positives:
                assert point.sensitivity.value == pytest.approx(recall_score(truth[where], said))
            if row.negatives:
                assert point.specificity.value == pytest.approx(recall_score(truth[where], said, pos_label=0))


def test_refused_films_are_counted_and_in_no_number(films: list[Film]) -> None:
    network = manifest("covid19", operating_points={"covid19": POINTS})
    scores = np.random.default_rng(0).normal(0, 1, (len(films), 1))
    scores[::4] = np.nan

    found = evaluate(network, films, scores)

    refused = len(films[::4])
    assert (found.films, found.refused) == (len(films), refused)
    assert found.labels["covid19"]["pooled"].films == len(films) - refused
