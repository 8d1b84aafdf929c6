"""Answers into numbers: the model card's own definitions, in the model card's subgroups."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from app.domain.calibration import brier_score, calibration_error, reliability
from app.domain.discrimination import Estimate, roc_curve
from app.domain.operating_point import Decision
from app.domain.patient_bootstrap import Sample, wilson_interval
from app.domain.subgroups import AGES, POOLED, subgroups
from app.services.evaluation.answers import Answers, ExpertAnswers, Kind, Unanswered, Values
from app.services.evaluation.cases import Case
from app.services.evaluation.report import (
    Curve,
    Decisions,
    EvaluationReport,
    ExpertResult,
    FilmsOfCode,
    Measured,
    PointResult,
    Quantiles,
    ReliabilityPoint,
    SubgroupResult,
    Timing,
    UnansweredFilm,
)
from app.services.evaluation.subjects import Subject

_CURVE_POINTS: Final = 400
_MISSED: Final = -1.0
"""Stands for the probability of a film without an answer where that counts as a miss: below every threshold."""
_QUANTILES: Final = (5, 25, 50, 75, 95)


@dataclass(frozen=True, slots=True)
class Setting:
    """What was evaluated: the manifest's name and hash, the part, the workers, and when."""

    manifest: str
    manifest_sha256: str
    part: str
    workers: int
    created: datetime


def measure(
    cases: Sequence[Case],
    names: Sequence[str],
    answers: Answers,
    labels: Sequence[str],
    subjects: Mapping[str, Subject],
    setting: Setting,
) -> EvaluationReport:
    """Measure every subject in every subgroup.

    Parameters
    ----------
    cases, names
        The films, and how the manifest calls them.
    answers
        What the serving path said of them.
    labels
        Label columns, in the order of each case's labels.
    subjects
        Whose answers these are, by name.
    setting
        What was evaluated.

    Returns
    -------
    EvaluationReport
        With every film accounted for.
    """
    cut = subgroups(cases)
    groups = np.array([case.group for case in cases], np.str_)
    experts = []
    for name, found in answers.experts.items():
        subject = subjects[name]
        column = labels.index(subject.label)
        truth = np.array([case.labels[column] for case in cases], np.float64)
        experts.append(_expert(subject, truth, found, groups, cut))
    return EvaluationReport(
        created=setting.created,
        manifest=setting.manifest,
        manifest_sha256=setting.manifest_sha256,
        part=setting.part,
        films=len(cases),
        answered=len(cases) - len(answers.unanswered),
        sources=dict(sorted(Counter(case.source for case in cases).items())),
        experts=tuple(experts),
        unanswered_codes=_counted(
            cases, ((index, found.code, found.kind) for index, found in answers.unanswered.items())
        ),
        flags=_counted(cases, ((index, flag, "flag") for index, each in answers.flags.items() for flag in each)),
        unanswered=tuple(
            _unanswered(cases[index], names[index], found, labels)
            for index, found in sorted(answers.unanswered.items())
        ),
        timing=_timing(answers, len(cases), setting.workers),
    )


def _expert(
    subject: Subject,
    truth: Values,
    found: ExpertAnswers,
    groups: NDArray[np.str_],
    cut: Mapping[str, NDArray[np.bool_]],
) -> ExpertResult:
    drawn = [name for name in cut if name == POOLED or name in AGES or name.startswith(("source ", "without "))]
    decisions = np.array([decision or "" for decision in found.decisions], np.str_)
    results: dict[str, SubgroupResult] = {}
    roc: dict[str, Curve] = {}
    curves: dict[str, tuple[ReliabilityPoint, ...]] = {}
    for name, where in cut.items():
        labelled = where & ~np.isnan(truth)
        if not labelled.any():
            continue
        sample = Sample(truth[where], found.probabilities[where], groups[where])
        with_misses = np.where(np.isnan(found.probabilities), _MISSED, found.probabilities)[where]
        results[name] = _subgroup(
            sample, Sample(truth[where], with_misses, groups[where]), subject, truth[where], decisions[where]
        )
        if name in drawn and sample.positives and sample.negatives:
            thin = roc_curve(sample.truth.astype(np.float64), sample.scores).thinned(_CURVE_POINTS)
            roc[name] = Curve(
                false_positive_share=tuple(thin.false_positive_share.tolist()),
                sensitivity=tuple(thin.sensitivity.tolist()),
            )
        if name in drawn and (points := _reliability(sample)):
            curves[name] = points
    return ExpertResult(
        name=subject.name,
        version=subject.version,
        model_sha256=subject.model_sha256,
        title=subject.title,
        label=subject.label,
        subgroups=results,
        roc=roc,
        reliability=curves,
        outside_lungs={
            name: quantiles
            for name, where in cut.items()
            if name == POOLED or name.startswith("source ")
            if (quantiles := _quantiles(found.outside_lungs[where])) is not None
        },
        map_flags=dict(sorted(found.map_flags.items())),
    )


def _subgroup(
    sample: Sample, with_misses: Sample, subject: Subject, truth: Values, decisions: NDArray[np.str_]
) -> SubgroupResult:
    return SubgroupResult(
        films=sample.films,
        patients=sample.patients,
        positives=sample.positives,
        negatives=sample.negatives,
        auroc=_measured(sample.auroc()),
        points=tuple(
            PointResult(
                name=point.name,
                threshold=point.threshold,
                sensitivity=_measured(sample.sensitivity(point.threshold)),
                specificity=_measured(sample.specificity(point.threshold)),
                sensitivity_with_misses=_measured(with_misses.sensitivity(point.threshold)),
            )
            for point in subject.points
        ),
        calibration_error=calibration_error(sample.truth, sample.scores),
        brier=brier_score(sample.truth, sample.scores),
        of_positives=_decisions(decisions[truth == 1]),
        of_negatives=_decisions(decisions[truth == 0]),
    )


def _decisions(said: NDArray[np.str_]) -> Decisions:
    def count(decision: Decision | Literal[""]) -> int:
        return int((said == decision).sum())

    return Decisions(
        positive=count("positive"),
        indeterminate=count("indeterminate"),
        negative=count("negative"),
        unanswered=count(""),
    )


def _measured(estimate: Estimate) -> Measured:
    return Measured(value=estimate.value, low=estimate.low, high=estimate.high)


def _reliability(sample: Sample) -> tuple[ReliabilityPoint, ...]:
    points = []
    for each in reliability(sample.truth, sample.scores):
        low, high = wilson_interval(each.frequency, each.films)
        points.append(
            ReliabilityPoint(
                films=each.films, probability=each.probability, frequency=each.frequency, low=low, high=high
            )
        )
    return tuple(points)


def _quantiles(shares: Values) -> Quantiles | None:
    known = shares[~np.isnan(shares)]
    if not known.size:
        return None
    q05, q25, median, q75, q95 = (float(value) for value in np.percentile(known, _QUANTILES))
    return Quantiles(films=known.size, q05=q05, q25=q25, median=median, q75=q75, q95=q95)


def _counted(
    cases: Sequence[Case], found: Iterable[tuple[int, str, Kind | Literal["flag"]]]
) -> tuple[FilmsOfCode, ...]:
    by_source: dict[tuple[str, Kind | Literal["flag"]], Counter[str]] = {}
    for index, code, kind in found:
        by_source.setdefault((code, kind), Counter())[cases[index].source] += 1
    counted = [
        FilmsOfCode(
            code=code,
            kind=kind,
            films=sources.total(),
            share=sources.total() / len(cases),
            by_source=dict(sorted(sources.items())),
        )
        for (code, kind), sources in by_source.items()
    ]
    return tuple(sorted(counted, key=lambda each: (-each.films, each.code)))


def _unanswered(case: Case, name: str, found: Unanswered, labels: Sequence[str]) -> UnansweredFilm:
    stated = {label: None if np.isnan(value) else int(value) for label, value in zip(labels, case.labels, strict=True)}
    return UnansweredFilm(path=name, code=found.code, kind=found.kind, labels=stated)


def _timing(answers: Answers, films: int, workers: int) -> Timing:
    each_ms = np.array(list(answers.film_ms.values()), np.float64)
    median_ms, p95_ms = (float(value) for value in np.percentile(each_ms, (50, 95))) if each_ms.size else (None, None)
    return Timing(
        wall_s=answers.wall_s,
        workers=workers,
        films_per_s=films / answers.wall_s if answers.wall_s > 0.0 else 0.0,
        median_ms=median_ms,
        p95_ms=p95_ms,
        stages_ms={stage: spent_ms / each_ms.size for stage, spent_ms in sorted(answers.stages_ms.items())},
    )
