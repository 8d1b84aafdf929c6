"""The ensemble beside each of its members, on one part of the films."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.calibration import calibration_error, logit_of
from app.domain.label_hierarchy import ENSEMBLE_LABELS
from app.domain.patient_bootstrap import interval, weight_blocks, weighted_auroc
from app.domain.subgroups import AGES, POOLED, subgroups
from app.inference.ensemble_file import FittedLabel
from app.inference.manifest import Manifest
from training.audit.record import Record
from training.audit.report import Part
from training.calibrate import paediatric_sources_without
from training.datasets import Film
from training.ensemble.answers import EnsembleAnswers
from training.ensemble.fit import alone
from training.evaluate import Measured
from training.label_metrics import LabelMetrics, label_metrics

Values = NDArray[np.float64]
ENSEMBLE: Final = "ensemble"
AT_HALF: Final = 0.5


class Answerer(Record):
    """The ensemble, or a member, on some films: at its own default operating points, and at 0.5 for every label."""

    at_points: LabelMetrics
    at_half: LabelMetrics


class CalibrationRow(Record):
    """Expected calibration error of one label: of the mean as it is, calibrated, and held at or below the parent's."""

    films: int
    mean: float | None
    calibrated: float | None
    reported: float | None


class EnsembleReport(Record):
    """Everything measured of an ensemble on one part; averages are over the labels that were evaluated.

    Attributes
    ----------
    refused
        Films without an answer.
    fitted_here
        The part is the one that calibration and operating points were chosen on: the numbers flatter.
    labels
        Evaluated labels.
    answerers
        By subgroup, then ``ensemble`` and the members, each as it would answer alone: held to its own parents.
    ahead
        Of each member: macro AUROC of the ensemble minus the member's, with the interval of the paired difference.
    calibration
        By label, over the films whose kind the calibration was fitted on.
    law_error
        Largest difference, over all films and all labels, between mean map plus mean bias and the mean logit.
    run_time_ms
        Median processor time of one film, one thread, by member; ``ensemble`` is their sum.
    parity
        Of every member, from its manifest: ONNX against PyTorch, relative.
    """

    members: dict[str, str]
    model_sha256: dict[str, str]
    part: Part
    fitted_here: bool
    created: datetime
    films: int
    refused: int
    labels: tuple[str, ...]
    answerers: dict[str, dict[str, Answerer]]
    ahead: dict[str, Measured]
    calibration: dict[str, CalibrationRow]
    law_error: float
    law_films: int
    run_time_ms: dict[str, float]
    parity: dict[str, dict[str, float]]
    manifests_sha256: dict[str, str]
    code_commit: str


def measure_ensemble(
    films: Sequence[Film],
    answers: EnsembleAnswers,
    final: Values,
    fitted: Mapping[str, FittedLabel],
    manifests: Mapping[str, Manifest],
) -> tuple[dict[str, dict[str, Answerer]], dict[str, Measured], dict[str, CalibrationRow]]:
    """Measure the ensemble and its members in every subgroup.

    Parameters
    ----------
    films
        Of the part.
    answers, final
        The members', and what the ensemble reports ``(N, K)``.
    fitted
        The ensemble's labels.
    manifests
        Of the members.

    Returns
    -------
    tuple
        ``answerers``, ``ahead`` and ``calibration`` of `EnsembleReport`.
    """
    labels = tuple(name for name, label in fitted.items() if label.evaluated)
    own = [answers.labels.index(label) for label in labels]
    truth = np.array([film.targets for film in films], np.float64)[:, [ENSEMBLE_LABELS.index(each) for each in labels]]
    groups = np.array([film.group for film in films])
    said = {ENSEMBLE: final[:, own], **{name: alone(answers, name, fitted)[:, own] for name in answers.probabilities}}
    points = {ENSEMBLE: np.array([fitted[label].operating_points[0].threshold for label in labels])}
    for name, manifest in manifests.items():
        points[name] = np.array([manifest.operating_point_of(label).threshold for label in labels])
    cuts = {
        name: where
        for name, where in subgroups(films).items()
        if name == POOLED or name in AGES or name.startswith("source ")
    }
    answerers = {
        cut: {
            name: Answerer(
                at_points=label_metrics(truth[where], found[where], groups[where], labels, points[name]),
                at_half=label_metrics(truth[where], found[where], groups[where], labels, AT_HALF),
            )
            for name, found in said.items()
        }
        for cut, where in cuts.items()
    }
    ahead = {name: paired_difference(truth, said[ENSEMBLE], said[name], groups) for name in said if name != ENSEMBLE}
    calibration = {
        label: _calibration(films, truth[:, k], answers.mean[:, own[k]], final[:, own[k]], fitted[label])
        for k, label in enumerate(labels)
    }
    return answerers, ahead, calibration


def paired_difference(truth: Values, one: Values, other: Values, groups: NDArray[np.str_]) -> Measured:
    """Give the difference of two macro AUROCs on the same films, with the interval over the same resampled patients.

    Parameters
    ----------
    truth, one, other
        ``(N, K)``; NaN in any leaves the film out of the label.
    groups
        ``(N,)`` leak-proof units.
    """

    def macro(weights: Values) -> Values:
        differences = np.full((truth.shape[1], len(weights)), np.nan)
        for k in range(truth.shape[1]):
            known = ~np.isnan(truth[:, k]) & ~np.isnan(one[:, k]) & ~np.isnan(other[:, k])
            positive = truth[known, k] == 1
            first, second = (weighted_auroc(positive, each[known, k], weights[:, known]) for each in (one, other))
            differences[k] = first - second
        mean: Values = differences.mean(axis=0)
        return mean

    value = float(macro(np.ones((1, len(groups))))[0])
    drawn = np.concatenate([macro(weights) for weights in weight_blocks(groups)])
    low, high = interval(drawn, int(np.unique(groups).size)) or (None, None)
    return Measured(value=None if np.isnan(value) else value, low=low, high=high)


def _calibration(
    films: Sequence[Film], truth: Values, mean: Values, final: Values, fitted: FittedLabel
) -> CalibrationRow:
    left_out = paediatric_sources_without(films, truth)
    kept = np.array([film.source not in left_out for film in films]) & ~np.isnan(truth) & ~np.isnan(final)
    there, calibration = truth[kept] == 1, fitted.calibration.calibration()
    moved = np.array([calibration.probability(logit_of(float(each))) for each in mean[kept]])
    return CalibrationRow(
        films=int(kept.sum()),
        mean=calibration_error(there, mean[kept]),
        calibrated=calibration_error(there, moved),
        reported=calibration_error(there, final[kept]),
    )
