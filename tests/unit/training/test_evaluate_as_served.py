"""The release card and ``discern evaluate`` give the same numbers for the same probabilities."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from app.domain.label_hierarchy import ENSEMBLE_LABELS
from app.services.evaluation.answers import Answers, ExpertAnswers
from app.services.evaluation.cases import read_cases
from app.services.evaluation.measuring import Setting, measure
from app.services.evaluation.subjects import subject_of
from tests.fakes import manifest
from training.calibrate import calibrated
from training.datasets import read_manifest
from training.evaluate import evaluate

POINTS = [{"name": "wide", "threshold": 0.3}, {"name": "strict", "threshold": 0.7}]
CREATED = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_same_probabilities_give_the_same_report(phantom_manifest: Path) -> None:
    network = manifest(
        "covid19",
        operating_points={"covid19": POINTS},
        calibration={"covid19": {"method": "platt", "slope": 1.7, "intercept": -0.2}},
    )
    films = [film for film in read_manifest(phantom_manifest) if film.part == "test"]
    cases = read_cases(phantom_manifest, ("covid19",), "test")
    random = np.random.default_rng(0)
    truth = np.array([film.targets[ENSEMBLE_LABELS.index("covid19")] for film in films])
    scores = np.round(2.0 * np.nan_to_num(truth) + random.normal(0, 1.5, len(films)), 1)
    scores[::9] = np.nan
    answers = Answers(
        {
            "covid19": ExpertAnswers(
                calibrated(network.calibration_of("covid19"), scores),
                [None] * len(films),
                np.full(len(films), np.nan),
                Counter(),
            )
        }
    )

    card = evaluate(network, films, scores[:, None])
    served = measure(
        cases,
        ["film"] * len(cases),
        answers,
        ("covid19",),
        {"covid19": subject_of(network)},
        Setting("m", "0" * 64, "test", 1, CREATED),
    )

    assert [case.path for case in cases] == [film.path for film in films]
    shared = {
        name: row.model_dump(
            include={"films", "patients", "positives", "negatives", "auroc", "calibration_error", "brier"}
        )
        for name, row in served.experts[0].subgroups.items()
        if row.films
    }
    for name, row in served.experts[0].subgroups.items():
        points = [point.model_dump(exclude={"sensitivity_with_misses"}) for point in row.points]
        if row.films:
            assert points == [point.model_dump() for point in card.labels["covid19"][name].points]
    assert shared == {name: row.model_dump(exclude={"points"}) for name, row in card.labels["covid19"].items()}
    assert len(shared) > 5
