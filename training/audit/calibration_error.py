"""Whether a probability means what it says: calibration error, Brier score, log loss and the reliability bins."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.calibration import brier_score, calibration_error, reliability, sigmoid
from app.inference.manifest import CalibrationEntry
from training.audit.record import Record
from training.audit.scan import Values
from training.calibrate import calibrated, log_loss, paediatric_sources_without
from training.datasets import Film

CALIBRATED_FOR: Final = "calibrated for"
_ROUNDS: Final = 500


class CalibrationRow(Record):
    """One label over some films.

    Attributes
    ----------
    error
        Expected calibration error over fifteen bins of equal mass; None with fewer films.
    error_by_chance
        95th percentile of what perfectly calibrated probabilities would show on as many films.
    error_uncalibrated, brier_uncalibrated, log_loss_uncalibrated
        Of the sigmoid of the raw score.
    """

    films: int
    error: float | None
    error_by_chance: float | None
    brier: float | None
    log_loss: float | None
    error_uncalibrated: float | None
    brier_uncalibrated: float | None
    log_loss_uncalibrated: float | None


class Bin(Record):
    """Films of similar probability."""

    films: int
    probability: float
    frequency: float


class LabelCalibrationQuality(Record):
    """Of one label.

    Attributes
    ----------
    calibration
        As stored.
    subgroups
        ``calibrated for`` are the films whose kind the calibration was fitted on (all but the purely paediatric
        sources without a positive); then ``pooled``, ``adults``, ``children``.
    bins
        Over ``calibrated for``.
    """

    calibration: CalibrationEntry
    subgroups: dict[str, CalibrationRow]
    bins: tuple[Bin, ...]


class CalibrationQuality(Record):
    """By label; ``fitted_here`` says that the calibration was chosen on these very films and the numbers flatter it."""

    fitted_here: bool
    labels: dict[str, LabelCalibrationQuality]


def error_by_chance(probabilities: Values, seed: int = 0) -> float | None:
    """Give the 95th percentile of the calibration error if every probability were exactly right."""
    random = np.random.default_rng(seed)
    drawn = [
        calibration_error(random.random(probabilities.size) < probabilities, probabilities) for _ in range(_ROUNDS)
    ]
    errors = [error for error in drawn if error is not None]
    return float(np.percentile(errors, 95)) if errors else None


def _row(truth: NDArray[np.bool_], probabilities: Values, raw: Values) -> CalibrationRow:
    plain = sigmoid(raw)
    return CalibrationRow(
        films=truth.size,
        error=calibration_error(truth, probabilities),
        error_by_chance=error_by_chance(probabilities),
        brier=brier_score(truth, probabilities),
        log_loss=log_loss(probabilities, truth) if truth.size else None,
        error_uncalibrated=calibration_error(truth, plain),
        brier_uncalibrated=brier_score(truth, plain),
        log_loss_uncalibrated=log_loss(plain, truth) if truth.size else None,
    )


def measure_label_calibration(
    films: Sequence[Film], truth: Values, scores: Values, entry: CalibrationEntry
) -> LabelCalibrationQuality:
    """Measure one label's calibration.

    Parameters
    ----------
    films
        All films of the part.
    truth, scores
        ``(N,)`` 0, 1 or NaN; raw scores, NaN where refused.
    entry
        As stored.
    """
    known = ~np.isnan(truth) & ~np.isnan(scores)
    left_out = paediatric_sources_without(films, truth)
    cuts = {
        CALIBRATED_FOR: [film.source not in left_out for film in films],
        "pooled": [True for _ in films],
        "adults": [film.paediatric is False for film in films],
        "children": [film.paediatric is True for film in films],
    }
    probabilities = calibrated(entry.calibration(), scores)
    rows = {}
    for name, cut in cuts.items():
        where = known & np.array(cut, bool)
        if where.any():
            rows[name] = _row(truth[where] == 1, probabilities[where], scores[where])
    chosen = known & np.array(cuts[CALIBRATED_FOR], bool)
    bins = reliability(truth[chosen] == 1, probabilities[chosen])
    return LabelCalibrationQuality(
        calibration=entry, subgroups=rows, bins=tuple(Bin.model_validate(asdict(part)) for part in bins)
    )
