"""Calibration and operating points of the members' mean, from validation films only (SPEC 6.8)."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.domain.calibration import logit_of
from app.domain.ensemble import combine
from app.domain.label_hierarchy import ENSEMBLE_LABELS
from app.domain.operating_point import OperatingPoint
from app.inference.ensemble_file import FittedEnsemble, FittedLabel, MemberEntry
from app.inference.manifest import Manifest
from training.calibrate import LabelCalibration, calibrate_label, chosen_on, operating_points
from training.datasets import Film
from training.ensemble.answers import EnsembleAnswers
from training.released_manifest import code_commit, measured_on

Values = NDArray[np.float64]


def reported(answers: EnsembleAnswers, labels: Mapping[str, FittedLabel]) -> Values:
    """Give what serving reports: the mean calibrated, then held at or below the parent's, ``(N, K)``.

    Parameters
    ----------
    answers
        Of the members.
    labels
        With their calibrations and parents.
    """
    parents = {name: label.parent for name, label in labels.items()}
    calibrations = {name: label.calibration.calibration() for name, label in labels.items()}
    points = dict.fromkeys(labels, OperatingPoint(0.5))
    rows = np.full(answers.mean.shape, np.nan)
    for k in np.nonzero(answers.answered)[0]:
        said = {
            name: dict(zip(answers.labels, map(float, found[k]), strict=True))
            for name, found in answers.probabilities.items()
        }
        result = combine(said, points, parents, {}, calibrations)
        rows[k] = [label.probability for label in result.labels]
    return rows


def alone(answers: EnsembleAnswers, name: str, labels: Mapping[str, FittedLabel]) -> Values:
    """Give what serving would report if a member were the whole ensemble, ``(N, K)``: held to its own parents."""
    kept = {
        label: FittedLabel(parent=fitted.parent, operating_points=fitted.operating_points)
        for label, fitted in labels.items()
    }
    return reported(EnsembleAnswers(answers.labels, {name: answers.probabilities[name]}, answers.law_errors), kept)


def fit_labels(films: Sequence[Film], answers: EnsembleAnswers, manifest: Manifest) -> dict[str, LabelCalibration]:
    """Calibrate the mean, label by label, and choose operating points on what is reported.

    Parameters
    ----------
    films
        Validation films.
    answers
        Of the members, for these films.
    manifest
        Of any member: labels and hierarchy.

    Returns
    -------
    dict
        By label. One with fewer than fifteen films of a class keeps its mean and a threshold of 0.5, not evaluated.
    """
    truths = np.array([film.targets for film in films], np.float64)
    mean = answers.mean
    scores = np.array([[np.nan if np.isnan(p) else logit_of(float(p)) for p in row] for row in mean])
    columns = {label: ENSEMBLE_LABELS.index(label) for label in answers.labels}
    fitted = {
        label: calibrate_label(films, truths[:, columns[label]], scores[:, k]) for k, label in enumerate(answers.labels)
    }
    final = reported(answers, as_labels(fitted, manifest))
    return {
        label: entry
        if not entry.evaluated
        else LabelCalibration(
            entry.calibration,
            operating_points(films, truths[:, columns[label]], final[:, k], entry.left_out),
            entry.evaluated,
            entry.reason,
            entry.positives,
            entry.negatives,
            entry.patients,
            entry.left_out,
        )
        for k, (label, entry) in enumerate(fitted.items())
    }


def as_labels(fitted: Mapping[str, LabelCalibration], manifest: Manifest) -> dict[str, FittedLabel]:
    """Write what was fitted as the file has it."""
    parents = {label.name: label.parent for label in manifest.labels}
    return {
        name: FittedLabel(
            parent=parents[name],
            calibration=entry.calibration,
            operating_points=entry.points,
            evaluated=entry.evaluated,
            reason=entry.reason,
        )
        for name, entry in fitted.items()
    }


def fitted_ensemble(
    fitted: Mapping[str, LabelCalibration],
    manifests: Mapping[str, Manifest],
    manifests_sha256: Mapping[str, str],
    evaluation: Mapping[str, Any],  # Any: a record for readers
    files: Mapping[str, str],
) -> FittedEnsemble:
    """Put ``ensemble.json`` together.

    Parameters
    ----------
    fitted
        By label.
    manifests
        Of the members, by name, in their order.
    manifests_sha256
        Of the data it was fitted and measured on.
    evaluation
        What the report says, shortened.
    files
        Hashes of the report's files.
    """
    first = next(iter(manifests.values()))
    return FittedEnsemble(
        schema="discern-ensemble/1",
        members=tuple(
            MemberEntry(name=name, version=manifest.version, model_sha256=manifest.model_sha256)
            for name, manifest in manifests.items()
        ),
        labels=as_labels(fitted, first),
        measured_on=measured_on({name: entry for name, entry in fitted.items() if entry.evaluated}),
        training={
            "fitted_on": chosen_on(fitted),
            "release_manifests_sha256": dict(manifests_sha256),
            "members": {
                name: {
                    key: manifest.training.get(key)
                    for key in ("manifests_sha256", "films", "seed", "best_epoch", "best_validation")
                }
                for name, manifest in manifests.items()
            },
        },
        evaluation=dict(evaluation),
        code_commit=code_commit(),
        created=datetime.now(UTC).replace(microsecond=0),
        files=dict(files),
    )
