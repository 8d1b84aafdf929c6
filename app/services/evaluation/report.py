"""An evaluation as it is written down: ``report.json`` is this document."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from app.domain.screening import NOTICE
from app.services.evaluation.answers import Kind

SCHEMA: Literal["discern-evaluation/1"] = "discern-evaluation/1"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Measured(_Part):
    """A number and its patient-bootstrap 95 % interval; null where it is undefined."""

    value: float | None
    low: float | None
    high: float | None


class PointResult(_Part):
    """One stored operating point: positive at and above the threshold.

    ``sensitivity`` and ``specificity`` are of the answered films, as on the model card; ``sensitivity_with_misses``
    counts every positive film without an answer as missed.
    """

    name: str
    threshold: float
    sensitivity: Measured
    specificity: Measured
    sensitivity_with_misses: Measured


class Decisions(_Part):
    """Films of one class by what was said of them at the default operating point."""

    positive: int
    indeterminate: int
    negative: int
    unanswered: int


class SubgroupResult(_Part):
    """One expert in one subgroup; ``films``, ``positives`` and ``negatives`` are answered and of known label."""

    films: int
    patients: int
    positives: int
    negatives: int
    auroc: Measured
    points: tuple[PointResult, ...]
    calibration_error: float | None
    brier: float | None
    of_positives: Decisions
    of_negatives: Decisions


class Curve(_Part):
    """A ROC curve, thinned to a few hundred points."""

    false_positive_share: tuple[float, ...]
    sensitivity: tuple[float, ...]


class ReliabilityPoint(_Part):
    """One of fifteen bins of equal mass: mean probability, and the share of positives with Wilson's 95 % interval."""

    films: int
    probability: float
    frequency: float
    low: float
    high: float


class Quantiles(_Part):
    """Of a share over films."""

    films: int
    q05: float
    q25: float
    median: float
    q75: float
    q95: float


class ExpertResult(_Part):
    """One expert: its weights, and everything measured of it, by subgroup."""

    name: str
    version: str
    model_sha256: str
    title: str
    label: str
    subgroups: dict[str, SubgroupResult]
    roc: dict[str, Curve]
    reliability: dict[str, tuple[ReliabilityPoint, ...]]
    outside_lungs: dict[str, Quantiles]
    map_flags: dict[str, int]


class FilmsOfCode(_Part):
    """How many films have a flag or a reason for no answer, and their share of all films, pooled and by source."""

    code: str
    kind: Kind | Literal["flag"]
    films: int
    share: float
    by_source: dict[str, int]


class UnansweredFilm(_Part):
    """A film without an answer, as the manifest names it."""

    path: str
    code: str
    kind: Kind
    labels: dict[str, int | None]


class Timing(_Part):
    """What a film costs: ``median_ms`` and ``p95_ms`` on one worker, ``films_per_s`` of all workers together."""

    wall_s: float
    workers: int
    films_per_s: float
    median_ms: float | None
    p95_ms: float | None
    stages_ms: dict[str, float]


class EvaluationReport(_Part):
    """The whole report."""

    schema_: Literal["discern-evaluation/1"] = Field(default=SCHEMA, alias="schema")
    notice: str = NOTICE
    created: datetime
    manifest: str
    manifest_sha256: str
    part: str
    films: int
    answered: int
    sources: dict[str, int]
    experts: tuple[ExpertResult, ...]
    unanswered_codes: tuple[FilmsOfCode, ...]
    flags: tuple[FilmsOfCode, ...]
    unanswered: tuple[UnansweredFilm, ...]
    timing: Timing
