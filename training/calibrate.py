"""Calibration and operating points, per label, from validation films only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from app.domain.calibration import Calibration, sigmoid
from app.domain.discrimination import Estimate
from app.domain.subgroups import paediatric_sources
from app.inference.manifest import CalibrationEntry, OperatingPointEntry, RatesEntry
from training.bootstrap import Sample, patient_weights
from training.datasets import Film

Values = NDArray[np.float64]
TARGET_SENSITIVITIES: Final = (0.90, 0.95)
FEWEST_OF_A_CLASS: Final = 15
_FOLDS: Final = 5
_STEPS: Final = 100


@dataclass(frozen=True, slots=True)
class LabelCalibration:
    """What validation says of one label.

    Attributes
    ----------
    calibration
        For the manifest.
    points
        Operating points, the default first.
    evaluated, reason
        False, with the reason, where validation holds too few films of a class.
    positives, negatives, patients
        Films and patients of validation that were used.
    left_out
        Sources left out, see `paediatric_sources_without`.
    """

    calibration: CalibrationEntry
    points: tuple[OperatingPointEntry, ...]
    evaluated: bool
    reason: str | None
    positives: int
    negatives: int
    patients: int
    left_out: tuple[str, ...]


def chosen_on(calibrations: Mapping[str, LabelCalibration]) -> dict[str, dict[str, Any]]:  # Any: a JSON object
    """Record the validation films that calibrations and operating points were chosen on, of the evaluated labels."""
    return {
        label: {
            "part": "val",
            "positives": entry.positives,
            "negatives": entry.negatives,
            "patients": entry.patients,
            "sources_left_out": list(entry.left_out),
        }
        for label, entry in calibrations.items()
        if entry.evaluated
    }


def paediatric_sources_without(films: Sequence[Film], truth: Values) -> tuple[str, ...]:
    """Name the purely paediatric sources without one positive of a label.

    Their films are told from the positives by age alone: a threshold or a slope chosen with them would promise a
    specificity that no adult ever sees.
    """
    return tuple(
        source
        for source in paediatric_sources(films)
        if not any(truth[k] == 1 for k, film in enumerate(films) if film.source == source)
    )


def fit_logistic(scores: Values, truth: NDArray[np.bool_], method: Literal["temperature", "platt"]) -> Calibration:
    """Fit ``sigmoid(slope * score + intercept)`` by Newton's method on Platt's smoothed targets.

    Parameters
    ----------
    scores
        ``(N,)`` raw logits.
    truth
        ``(N,)``; both classes are there.
    method
        ``temperature`` fits the slope alone, ``platt`` both.

    Returns
    -------
    Calibration
        The identity where the fitted slope is not positive.

    References
    ----------
    Platt 1999; Lin, Lin and Weng, A note on Platt's probabilistic outputs, Machine Learning 2007.
    """
    positives, negatives = truth.sum(), (~truth).sum()
    wanted = np.where(truth, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    design = np.stack([scores, np.ones_like(scores)], axis=1)[:, : 1 if method == "temperature" else 2]

    def loss(at: Values) -> float:
        z = design @ at
        return float((np.logaddexp(0.0, z) - wanted * z).sum())

    at = np.array([1.0, 0.0])[: design.shape[1]]
    for _ in range(_STEPS):
        p = sigmoid(design @ at)
        gradient = design.T @ (p - wanted)
        curvature = design.T @ (design * (p * (1 - p))[:, None]) + 1e-9 * np.eye(len(at))
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while loss(at - size * step) > loss(at) and size > 1e-6:
            size /= 2
        at = at - size * step
        if np.abs(gradient).max() < 1e-9:
            break
    slope, intercept = float(at[0]), float(at[1]) if len(at) == 2 else 0.0
    return Calibration(slope, intercept) if np.isfinite(at).all() and slope > 0 else Calibration()


def log_loss(probabilities: Values, truth: NDArray[np.bool_]) -> float:
    """Mean negative log likelihood."""
    clipped = np.clip(probabilities, 1e-12, 1 - 1e-12)
    return float(-np.where(truth, np.log(clipped), np.log1p(-clipped)).mean())


def calibrated(calibration: Calibration, scores: Values) -> Values:
    """Probabilities of raw scores, as serving computes them."""
    return sigmoid(scores * calibration.slope + calibration.intercept)


def choose_calibration(sample: Sample, seed: int = 0) -> CalibrationEntry:
    """Choose temperature or Platt scaling by the log loss on held-out patients (five folds), then fit on all."""
    random = np.random.default_rng(seed)
    names, member = np.unique(sample.groups, return_inverse=True)
    fold = random.permutation(len(names))[member] % _FOLDS
    losses: dict[Literal["temperature", "platt"], float] = {}
    methods: tuple[Literal["temperature", "platt"], ...] = ("temperature", "platt")
    for method in methods:
        probabilities = np.full(sample.films, np.nan)
        for k in range(_FOLDS):
            rest, held = fold != k, fold == k
            if sample.truth[rest].any() and not sample.truth[rest].all():
                fitted = fit_logistic(sample.scores[rest], sample.truth[rest], method)
                probabilities[held] = calibrated(fitted, sample.scores[held])
        known = ~np.isnan(probabilities)
        losses[method] = log_loss(probabilities[known], sample.truth[known])
    best = min(methods, key=lambda method: losses[method])
    fitted = fit_logistic(sample.scores, sample.truth, best)
    if fitted == Calibration():
        return CalibrationEntry()
    return CalibrationEntry(method=best, slope=fitted.slope, intercept=fitted.intercept)


def threshold_for(sample: Sample, sensitivity: float) -> float:
    """Highest threshold that keeps a sensitivity: midway between that positive's score and the next lower film's."""
    positives = np.sort(sample.scores[sample.truth])[::-1]
    needed = int(np.ceil(sensitivity * positives.size - 1e-9))
    lowest = float(positives[needed - 1])
    below = sample.scores[sample.scores < lowest]
    return (lowest + float(below.max())) / 2 if below.size else lowest


def threshold_band(sample: Sample, sensitivity: float, threshold: float) -> tuple[float, float]:
    """Give the 95 % interval of the threshold that keeps a sensitivity, over resampled patients.

    Within it another draw of as many patients would have decided otherwise: a probability there decides nothing.

    Parameters
    ----------
    sample
        As for `threshold_for`.
    sensitivity
        The sensitivity that is kept.
    threshold
        What `threshold_for` gave; the interval contains it.
    """
    order = np.argsort(-sample.scores[sample.truth], kind="stable")
    positives = sample.scores[sample.truth][order]
    weights = patient_weights(sample.groups)[:, sample.truth][:, order]
    kept = np.cumsum(weights, axis=1)
    drawn = kept[:, -1] > 0
    first = (kept[drawn] >= sensitivity * kept[drawn, -1:] - 1e-9).argmax(axis=1)
    low, high = np.percentile(positives[first], (2.5, 97.5))
    return min(float(low), threshold), max(float(high), threshold)


def operating_point(
    sample: Sample,
    threshold: float,
    name: str,
    of_age: Mapping[str, Sample] | None = None,
    band: tuple[float, float] | None = None,
) -> OperatingPointEntry:
    """Measure a threshold on calibrated probabilities.

    Parameters
    ----------
    sample
        The films it was chosen on.
    threshold
        The threshold.
    name
        Of the point.
    of_age
        Films of ``adults`` and of ``children`` alone.
    band
        Probabilities that decide nothing.
    """
    sensitivity, specificity = sample.sensitivity(threshold), sample.specificity(threshold)
    rates = {age: rates_at(films, threshold) for age, films in (of_age or {}).items() if films.films}
    return OperatingPointEntry(
        name=name,
        threshold=threshold,
        sensitivity=sensitivity.value,
        specificity=specificity.value,
        sensitivity_interval=bounds(sensitivity),
        specificity_interval=bounds(specificity),
        adults=rates.get("adults"),
        children=rates.get("children"),
        indeterminate=band,
    )


def rates_at(sample: Sample, threshold: float) -> RatesEntry:
    """Measure a threshold in one age group."""
    sensitivity, specificity = sample.sensitivity(threshold), sample.specificity(threshold)
    return RatesEntry(
        sensitivity=sensitivity.value,
        specificity=specificity.value,
        sensitivity_interval=bounds(sensitivity),
        specificity_interval=bounds(specificity),
        positives=sample.positives,
        negatives=sample.negatives,
    )


def bounds(estimate: Estimate) -> tuple[float, float] | None:
    """Interval of an estimate as a pair."""
    return (estimate.low, estimate.high) if estimate.low is not None and estimate.high is not None else None


def uncalibrated(reason: str) -> LabelCalibration:
    """Give the identity and a threshold of 0.5, with the reason."""
    point = OperatingPointEntry(name="default", threshold=0.5)
    return LabelCalibration(CalibrationEntry(), (point,), False, reason, 0, 0, 0, ())


def calibrate_label(films: Sequence[Film], truth: Values, scores: Values) -> LabelCalibration:
    """Calibrate one label and choose its operating points.

    Parameters
    ----------
    films
        Validation films.
    truth, scores
        ``(N,)`` 0, 1 or NaN; raw scores, NaN where refused.

    Returns
    -------
    LabelCalibration
        With ``evaluated`` False and the threshold 0.5 where a class has fewer than fifteen films. Adults and children
        are measured apart at every threshold, the left out sources among the children.
    """
    left_out = paediatric_sources_without(films, truth)
    kept = np.array([film.source not in left_out for film in films])
    groups = np.array([film.group for film in films])
    sample = Sample(truth[kept], scores[kept], groups[kept])
    if min(sample.positives, sample.negatives) < FEWEST_OF_A_CLASS:
        reason = (
            f"validation holds {sample.positives} positive and {sample.negatives} negative films;"
            f" {FEWEST_OF_A_CLASS} of each are needed"
        )
        return uncalibrated(reason)
    entry = choose_calibration(sample)
    points = operating_points(films, truth, calibrated(entry.calibration(), scores), left_out)
    return LabelCalibration(entry, points, True, None, sample.positives, sample.negatives, sample.patients, left_out)


def operating_points(
    films: Sequence[Film], truth: Values, values: Values, left_out: Sequence[str]
) -> tuple[OperatingPointEntry, ...]:
    """Choose the thresholds of one label, and measure them.

    Parameters
    ----------
    films
        Validation films.
    truth, values
        ``(N,)`` 0, 1 or NaN; calibrated probabilities, NaN where refused.
    left_out
        Sources that no threshold is chosen with; adults and children are measured apart, these among the children.

    Returns
    -------
    tuple
        One for each of `TARGET_SENSITIVITIES`, in their order.
    """
    kept = np.array([film.source not in left_out for film in films])
    groups = np.array([film.group for film in films])
    probabilities = Sample(truth[kept], values[kept], groups[kept])
    ages = {
        age: np.array([film.paediatric is is_child for film in films])
        for age, is_child in (("adults", False), ("children", True))
    }
    of_age = {age: Sample(truth[where], values[where], groups[where]) for age, where in ages.items()}
    points = []
    for wanted in TARGET_SENSITIVITIES:
        threshold = threshold_for(probabilities, wanted)
        band = threshold_band(probabilities, wanted, threshold)
        points.append(operating_point(probabilities, threshold, f"sensitivity-{wanted:.2f}", of_age, band))
    return tuple(points)
