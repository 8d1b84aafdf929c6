"""Calibration and operating points."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.calibration import Calibration, sigmoid
from app.domain.label_hierarchy import ENSEMBLE_LABELS
from app.domain.subgroups import paediatric_sources
from training.bootstrap import Sample
from training.calibrate import (
    calibrate_label,
    calibrated,
    choose_calibration,
    fit_logistic,
    threshold_band,
    threshold_for,
)
from training.datasets import Film, read_manifest
from training.released_manifest import measured_on


def _val(manifest: Path) -> list[Film]:
    return [film for film in read_manifest(manifest) if film.part == "val"]


def _truth(films: list[Film], label: str) -> np.ndarray:
    return np.array([film.targets[ENSEMBLE_LABELS.index(label)] for film in films])


@pytest.mark.parametrize(("slope", "intercept"), [(0.4, 0.0), (1.7, -1.2)])
def test_the_logistic_that_made_the_labels_is_found_again(slope: float, intercept: float) -> None:
    random = np.random.default_rng(0)
    scores = random.normal(0, 3, 20_000)
    truth = random.random(20_000) < sigmoid(slope * scores + intercept)

    fitted = fit_logistic(scores, truth, "platt")

    assert (fitted.slope, fitted.intercept) == pytest.approx((slope, intercept), abs=0.06)


def test_scores_that_separate_the_classes_do_not_diverge() -> None:
    scores = np.array([-2.0, -1.0, 1.0, 2.0] * 10)

    fitted = fit_logistic(scores, scores > 0, "platt")

    assert 0 < fitted.slope < 50


def test_scores_that_point_the_wrong_way_are_left_alone() -> None:
    scores = np.array([-2.0, -1.0, 1.0, 2.0] * 10)

    assert fit_logistic(scores, scores < 0, "temperature") == Calibration()


def test_platt_is_chosen_only_where_held_out_patients_gain_by_it() -> None:
    random = np.random.default_rng(2)
    scores = random.normal(0, 2, 2000)
    groups = np.arange(2000).astype(str)
    shifted = (random.random(2000) < sigmoid(scores - 3)).astype(np.float64)

    assert choose_calibration(Sample(shifted, scores, groups)).method == "platt"


@given(seed=st.integers(0, 10_000), wanted=st.sampled_from([0.8, 0.9, 0.95, 1.0]), ties=st.booleans())
def test_a_threshold_keeps_the_sensitivity_and_no_higher_one_does(seed: int, wanted: float, ties: bool) -> None:
    random = np.random.default_rng(seed)
    truth = np.r_[np.ones(17), np.zeros(23)]
    scores = random.normal(0, 1, 40) + truth
    scores = np.round(scores) if ties else scores
    sample = Sample(truth, scores, np.arange(40).astype(str), rounds=2)

    threshold = threshold_for(sample, wanted)

    positives = scores[truth == 1]
    assert (positives >= threshold).mean() >= wanted
    higher = scores[scores > threshold]
    next_score = higher.min() if higher.size else np.inf
    assert (positives > next_score).mean() < wanted


def test_a_paediatric_source_without_a_positive_is_left_out(phantom_manifest: Path) -> None:
    films = _val(phantom_manifest)
    truth = _truth(films, "covid19")
    scores = np.where(np.array([film.source == "kids" for film in films]), 9.0, truth)

    calibration = calibrate_label(films, truth, scores)

    assert paediatric_sources(films) == ("kids",)
    assert calibration.left_out == ("kids",)
    assert calibration.points[0].specificity == 1.0


def test_a_paediatric_source_with_positives_stays(phantom_manifest: Path) -> None:
    films = _val(phantom_manifest)

    calibration = calibrate_label(films, _truth(films, "pneumonia"), np.zeros(len(films)))

    assert calibration.left_out == ()


def test_operating_points_hold_their_sensitivity_with_an_interval(phantom_manifest: Path) -> None:
    films = _val(phantom_manifest)
    truth = _truth(films, "covid19")
    scores = truth + np.random.default_rng(3).normal(0, 1, len(films))

    calibration = calibrate_label(films, truth, scores)

    assert [point.name for point in calibration.points] == ["sensitivity-0.90", "sensitivity-0.95"]
    for point, wanted in zip(calibration.points, (0.90, 0.95), strict=True):
        assert point.sensitivity is not None
        assert point.sensitivity_interval is not None
        assert point.sensitivity >= wanted
        assert point.sensitivity_interval[0] <= point.sensitivity <= point.sensitivity_interval[1]
    assert calibration.points[0].threshold >= calibration.points[1].threshold


def test_a_label_with_too_few_films_is_not_evaluated(phantom_manifest: Path) -> None:
    films = _val(phantom_manifest)

    calibration = calibrate_label(films, _truth(films, "sars"), np.zeros(len(films)))

    assert not calibration.evaluated
    assert "0 positive" in (calibration.reason or "")
    assert [point.threshold for point in calibration.points] == [0.5]


def test_calibration_never_changes_the_order() -> None:
    scores = np.sort(np.random.default_rng(4).normal(0, 4, 50))

    assert (np.diff(calibrated(Calibration(0.3, -1), scores)) > 0).all()


def test_adults_and_children_are_measured_apart_at_the_same_thresholds(phantom_manifest: Path) -> None:
    films = _val(phantom_manifest)
    truth = _truth(films, "pneumonia")
    scores = truth + np.random.default_rng(0).normal(0, 1, len(films))

    entry = calibrate_label(films, truth, scores)

    default, screening = entry.points
    assert (default.name, screening.name) == ("sensitivity-0.90", "sensitivity-0.95")
    assert screening.threshold <= default.threshold
    for point in entry.points:
        for rates, is_child in ((point.adults, False), (point.children, True)):
            assert rates is not None
            mine = np.array([film.paediatric is is_child for film in films])
            said = calibrated(entry.calibration.calibration(), scores) >= point.threshold
            assert rates.positives == (truth[mine] == 1).sum()
            assert rates.sensitivity == pytest.approx(said[mine & (truth == 1)].mean())
            assert rates.specificity == pytest.approx((~said)[mine & (truth == 0)].mean())
            assert rates.sensitivity_interval is not None


def test_a_network_was_measured_on_those_of_whom_both_classes_are_many(phantom_manifest: Path) -> None:
    films = _val(phantom_manifest)

    def measured(label: str) -> tuple[str, ...]:
        truth = _truth(films, label)
        scores = truth + np.random.default_rng(0).normal(0, 1, len(films))
        found = measured_on({label: calibrate_label(films, truth, scores)})
        return found.age_groups if found is not None else ()

    assert measured("covid19") == ("adult",)
    assert measured_on({"sars": calibrate_label(films, _truth(films, "sars"), np.zeros(len(films)))}) is None


@pytest.mark.parametrize(("seed", "wanted"), [(0, 0.9), (1, 0.95)])
def test_the_band_holds_its_threshold_and_narrows_with_more_patients(seed: int, wanted: float) -> None:
    random = np.random.default_rng(seed)

    def width(films: int) -> float:
        truth = np.arange(films) % 2 == 0
        scores = np.clip(random.normal(np.where(truth, 0.65, 0.35), 0.1), 0, 1)
        sample = Sample(truth.astype(np.float64), scores, np.array([f"p{k}" for k in range(films)]))
        threshold = threshold_for(sample, wanted)
        low, high = threshold_band(sample, wanted, threshold)
        assert low <= threshold <= high
        return high - low

    assert width(1200) < width(60)
