"""Calibration error, and what chance alone makes of it."""

import numpy as np

from app.domain.calibration import calibration_error, sigmoid
from app.inference.manifest import CalibrationEntry
from tests.unit.training.audit_films import film
from training.audit.calibration_error import CALIBRATED_FOR, error_by_chance, measure_label_calibration


def test_what_chance_makes_is_exceeded_in_about_one_of_twenty_samples() -> None:
    random = np.random.default_rng(3)
    probabilities = random.random(150)
    bound = error_by_chance(probabilities)
    assert bound is not None

    drawn = [calibration_error(random.random(150) < probabilities, probabilities) for _ in range(400)]

    assert 0.01 < np.mean([error is not None and error > bound for error in drawn]) < 0.12


def test_more_films_leave_less_to_chance() -> None:
    few, many = (error_by_chance(np.random.default_rng(0).random(count)) for count in (60, 3000))

    assert few is not None
    assert many is not None
    assert many < few / 3


def test_the_right_slope_repairs_overconfidence() -> None:
    random = np.random.default_rng(0)
    raw = random.normal(0, 2, 3000)
    truth = (random.random(3000) < sigmoid(raw)).astype(np.float64)
    films = [film(str(k)) for k in range(3000)]

    found = measure_label_calibration(films, truth, 4 * raw, CalibrationEntry(method="temperature", slope=0.25))

    row = found.subgroups["adults"]
    assert row.error is not None
    assert row.error_uncalibrated is not None
    assert row.error_by_chance is not None
    assert row.error < row.error_by_chance < row.error_uncalibrated
    assert (row.brier or 1) < (row.brier_uncalibrated or 0)
    assert (row.log_loss or 9) < (row.log_loss_uncalibrated or 0)
    assert sum(part.films for part in found.bins) == 3000
    assert "children" not in found.subgroups


def test_paediatric_sources_without_a_positive_are_only_in_the_pooled_numbers() -> None:
    films = [film(str(k), covid19=float(k % 2)) for k in range(40)]
    films += [film(f"kid{k}", "kids", paediatric=True) for k in range(20)]
    truth = np.array([entry.targets[2] for entry in films])

    found = measure_label_calibration(films, truth, truth - 0.5, CalibrationEntry())

    assert {name: row.films for name, row in found.subgroups.items()} == {
        CALIBRATED_FOR: 40,
        "pooled": 60,
        "adults": 40,
        "children": 20,
    }
