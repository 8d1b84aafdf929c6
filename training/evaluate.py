"""How well a network tells classes apart: every number by source, age and view, with patient-bootstrap intervals."""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from app.domain.calibration import brier_score, calibration_error
from app.domain.discrimination import Estimate
from app.domain.label_hierarchy import ENSEMBLE_LABELS
from app.domain.subgroups import subgroups
from app.inference.manifest import Manifest
from training.averages import Averages, Scored, averages_of
from training.bootstrap import Sample
from training.calibrate import calibrated
from training.datasets import Film

Values = NDArray[np.float64]
Part = Literal["val", "test"]

FIRST_TRIAL: Final[dict[str, tuple[tuple[str, float], ...]]] = {
    "covid19": (("without kermany", 0.942), ("source ieee8023", 0.57)),
    "pneumonia": (("nih, adults", 0.76), ("source kermany", 0.992)),
    "no_finding": (("source nih", 0.86),),
}
"""AUROC on the test part of the project's first trial, by label and subgroup."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Measured(_Part):
    """An `Estimate` as it is written down; ``value`` is null where it is undefined."""

    value: float | None
    low: float | None
    high: float | None


class PointResult(_Part):
    """Sensitivity and specificity of one subgroup at one stored operating point."""

    name: str
    threshold: float
    sensitivity: Measured
    specificity: Measured


class SubgroupResult(_Part):
    """One label in one subgroup."""

    films: int
    patients: int
    positives: int
    negatives: int
    auroc: Measured
    points: tuple[PointResult, ...]
    calibration_error: float | None
    brier: float | None


class Comparison(_Part):
    """A number of the first trial beside this network's."""

    label: str
    subgroup: str
    first_trial: float
    auroc: Measured


class Discrimination(_Part):
    """How well one network tells classes apart on one part."""

    films: int
    refused: int
    labels: dict[str, dict[str, SubgroupResult]]
    averages: Averages | None
    first_trial: tuple[Comparison, ...]


def measured(estimate: Estimate) -> Measured:
    """Give an estimate's value and interval."""
    return Measured(value=estimate.value, low=estimate.low, high=estimate.high)


def evaluate_subgroup(sample: Sample, manifest: Manifest, label: str) -> SubgroupResult:
    """Measure one label in one subgroup; ``sample`` holds calibrated probabilities."""
    return SubgroupResult(
        films=sample.films,
        patients=sample.patients,
        positives=sample.positives,
        negatives=sample.negatives,
        auroc=measured(sample.auroc()),
        points=tuple(
            PointResult(
                name=point.name,
                threshold=point.threshold,
                sensitivity=measured(sample.sensitivity(point.threshold)),
                specificity=measured(sample.specificity(point.threshold)),
            )
            for point in manifest.operating_points[label]
        ),
        calibration_error=calibration_error(sample.truth, sample.scores),
        brier=brier_score(sample.truth, sample.scores),
    )


def scored_labels(manifest: Manifest) -> tuple[str, ...]:
    """Labels that get a score: the expert's target, or every label of a member."""
    return (manifest.target,) if manifest.target is not None else tuple(label.name for label in manifest.labels)


def evaluate(manifest: Manifest, films: Sequence[Film], scores: Values) -> Discrimination:
    """Measure a network on one part.

    Parameters
    ----------
    manifest
        With the stored calibration and operating points.
    films
        The part's films, all of them; labels that are unknown are left out label by label.
    scores
        ``(N, K)`` raw scores of `scored_labels`; NaN rows were refused.

    Returns
    -------
    Discrimination
        A label with fewer than two classes in a subgroup has an undefined (null) AUROC there.
    """
    groups = np.array([film.group for film in films])
    truths = np.array([film.targets for film in films], np.float64)
    cut = subgroups(films)
    labels: dict[str, dict[str, SubgroupResult]] = {}
    scored: dict[str, Scored] = {}
    for column, label in enumerate(scored_labels(manifest)):
        truth = truths[:, ENSEMBLE_LABELS.index(label)]
        probabilities = calibrated(manifest.calibration_of(label), scores[:, column])
        samples = {name: Sample(truth[where], probabilities[where], groups[where]) for name, where in cut.items()}
        labels[label] = {
            name: evaluate_subgroup(sample, manifest, label) for name, sample in samples.items() if sample.films
        }
        scored[label] = Scored(truth, probabilities, manifest.operating_points[label][0].threshold)
    is_evaluated = {entry.name: entry.evaluated for entry in manifest.labels}
    return Discrimination(
        films=len(films),
        refused=int(np.isnan(scores[:, 0]).sum()),
        labels=labels,
        averages=(
            averages_of({name: entry for name, entry in scored.items() if is_evaluated[name]}, groups)
            if manifest.kind == "multilabel"
            else None
        ),
        first_trial=tuple(
            Comparison(label=label, subgroup=subgroup, first_trial=value, auroc=labels[label][subgroup].auroc)
            for label, rows in FIRST_TRIAL.items()
            for subgroup, value in rows
            if label in labels and subgroup in labels[label]
        ),
    )
