"""Honest evaluation of a released network: every number by source, age and view, with patient-bootstrap intervals."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from app.domain.discrimination import Estimate
from app.domain.label_hierarchy import ENSEMBLE_LABELS
from app.inference.manifest import Manifest
from training.averages import Averages, Scored, averages_of
from training.bootstrap import Sample
from training.calibrate import calibrated, paediatric_sources
from training.datasets import Film

Values = NDArray[np.float64]
Part = Literal["val", "test"]
ECE_BINS: Final = 15
POOLED: Final = "pooled"

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


class Evaluation(_Part):
    """Everything measured on one part, as ``report.json`` keeps it."""

    model: str
    version: str
    model_sha256: str
    part: Part
    created: datetime
    films: int
    refused: int
    manifests_sha256: dict[str, str]
    labels: dict[str, dict[str, SubgroupResult]]
    averages: Averages | None
    first_trial: tuple[Comparison, ...]


def measured(estimate: Estimate) -> Measured:
    """Give an estimate's value and interval."""
    return Measured(value=estimate.value, low=estimate.low, high=estimate.high)


def view_of(film: Film) -> str:
    """Name the projection: AP, PA or not stated; supine and erect AP films are AP."""
    return film.view[:2] if film.view[:2] in ("AP", "PA") else "not stated"


def age_of(film: Film) -> str:
    """Name the age group."""
    return {True: "children", False: "adults", None: "age not stated"}[film.paediatric]


def subgroups(films: Sequence[Film]) -> dict[str, NDArray[np.bool_]]:
    """Cut films into the subgroups of the card.

    Returns
    -------
    dict
        ``pooled``; ``without S`` for each purely paediatric source; ``source S``; ages; ``S, age`` for sources of mixed
        age; ``view V``; ``sex X``: each with its mask over the films.
    """

    def mask(of: Sequence[bool]) -> NDArray[np.bool_]:
        return np.array(of, bool)

    cut = {POOLED: np.ones(len(films), bool)}
    for source in paediatric_sources(films):
        cut[f"without {source}"] = mask([film.source != source for film in films])
    sources = sorted({film.source for film in films})
    for source in sources:
        cut[f"source {source}"] = mask([film.source == source for film in films])
    for age in ("adults", "children", "age not stated"):
        cut[age] = mask([age_of(film) == age for film in films])
    for source in sources:
        ages = sorted({age_of(film) for film in films if film.source == source})
        for age in ages if len(ages) > 1 else ():
            cut[f"{source}, {age}"] = mask([film.source == source and age_of(film) == age for film in films])
    for view in ("AP", "PA", "not stated"):
        cut[f"view {view}"] = mask([view_of(film) == view for film in films])
    for sex in ("F", "M"):
        cut[f"sex {sex}"] = mask([film.sex == sex for film in films])
    return {name: where for name, where in cut.items() if where.any()}


def calibration_error(truth: NDArray[np.bool_], probabilities: Values, bins: int = ECE_BINS) -> float | None:
    """Give the expected calibration error over bins of equal mass; None with fewer films than bins."""
    if truth.size < bins:
        return None
    order = np.argsort(probabilities, kind="stable")
    gaps = [
        abs(float(probabilities[part].mean() - truth[part].mean())) * part.size for part in np.array_split(order, bins)
    ]
    return sum(gaps) / truth.size


def evaluate_subgroup(sample: Sample, manifest: Manifest, label: str) -> SubgroupResult:
    """Measure one label in one subgroup; ``sample`` holds calibrated probabilities."""
    brier = float(((sample.scores - sample.truth) ** 2).mean()) if sample.films else None
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
        brier=brier,
    )


def scored_labels(manifest: Manifest) -> tuple[str, ...]:
    """Labels that get a score: the expert's target, or every label of a member."""
    return (manifest.target,) if manifest.target is not None else tuple(label.name for label in manifest.labels)


def evaluate(
    manifest: Manifest,
    films: Sequence[Film],
    scores: Values,
    part: Part,
    created: datetime,
    manifests_sha256: dict[str, str],
) -> Evaluation:
    """Measure a network on one part.

    Parameters
    ----------
    manifest
        With the stored calibration and operating points.
    films
        The part's films, all of them; labels that are unknown are left out label by label.
    scores
        ``(N, K)`` raw scores of `scored_labels`; NaN rows were refused.
    part
        ``val`` or ``test``.
    created
        When.
    manifests_sha256
        Hashes of the data manifests.

    Returns
    -------
    Evaluation
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
    return Evaluation(
        model=manifest.name,
        version=manifest.version,
        model_sha256=manifest.model_sha256,
        part=part,
        created=created,
        films=len(films),
        refused=int(np.isnan(scores[:, 0]).sum()),
        manifests_sha256=manifests_sha256,
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


def summary(evaluation: Evaluation) -> dict[str, object]:
    """Shorten an evaluation to what the manifest carries: AUROC by label and subgroup, and the first trial's."""
    return {
        "part": evaluation.part,
        "created": evaluation.created.isoformat(),
        "films": evaluation.films,
        "auroc": {
            label: {
                name: [*result.auroc.model_dump().values(), result.positives, result.negatives]
                for name, result in rows.items()
                if result.auroc.value is not None
            }
            for label, rows in evaluation.labels.items()
        },
        "first_trial": [comparison.model_dump() for comparison in evaluation.first_trial],
    }
