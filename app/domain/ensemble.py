"""What several multi-label networks say together."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from app.domain.arrays import FloatMap
from app.domain.calibration import Calibration, logit_of
from app.domain.label_hierarchy import above_parent, corrected
from app.domain.operating_point import Decision, OperatingPoint
from app.domain.preprocessing import Rectangle


@dataclass(frozen=True, slots=True)
class LabelMap:
    """What the members' mean logit of one label is made of.

    Attributes
    ----------
    values
        ``(h, w)`` evidence in logits, signed; its spatial mean plus ``bias`` is ``mean_logit``.
    extent
        The rectangle of the film, in its pixels, that the grid covers.
    mean_logit
        Mean of the members' calibrated logits, whose logistics are their probabilities.
    bias
        The part of it that belongs to no place.
    outside_lungs
        Share of the positive evidence outside the lungs; None where no lungs are known or nothing is positive.
    """

    values: FloatMap
    extent: Rectangle
    mean_logit: float
    bias: float
    outside_lungs: float | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelFinding:
    """One label of the ensemble's answer.

    Attributes
    ----------
    probability
        Mean over members, calibrated, and corrected so that it does not exceed its parent's.
    mean
        Mean over members, as it is.
    spread
        Largest minus smallest member's probability.
    members
        Every member's probability, as it gave it.
    evaluated
        False where there were too few films of the label to measure anything.
    activation_map
        None where maps were not asked for.
    """

    name: str
    parent: str | None
    probability: float
    mean: float
    spread: float
    members: Mapping[str, float]
    operating_point: OperatingPoint
    decision: Decision
    evaluated: bool
    activation_map: LabelMap | None = None


@dataclass(frozen=True, slots=True)
class EnsembleResult:
    """All labels and what the reader should know about them."""

    labels: tuple[LabelFinding, ...]
    flags: tuple[str, ...] = ()


def combine(
    members: Mapping[str, Mapping[str, float]],
    operating_points: Mapping[str, OperatingPoint],
    parents: Mapping[str, str | None],
    evaluated: Mapping[str, bool],
    calibrations: Mapping[str, Calibration] = MappingProxyType({}),
) -> EnsembleResult:
    """Average the members' probabilities, calibrate the mean, and hold every child at or below its parent.

    Parameters
    ----------
    members
        Member name to (label to probability in 0..1); all with the same labels.
    operating_points, parents, evaluated
        Per label.
    calibrations
        Of the mean's logit, per label; a label without one keeps its mean.

    Returns
    -------
    EnsembleResult
        With ``child_above_parent:<label>`` for every calibrated mean that had to be lowered.

    Raises
    ------
    ValueError
        If there is no member or their labels differ.

    References
    ----------
    papers/2, section III; SPEC 2.1, 2.6 and 6.8.
    """
    if not members:
        raise ValueError("an ensemble needs a member")
    labels = tuple(next(iter(members.values())))
    if any(set(found) != set(labels) for found in members.values()):
        raise ValueError("members do not agree on their labels")
    mean = {label: float(np.mean([found[label] for found in members.values()])) for label in labels}
    calibrated = {label: _calibrated(each, calibrations.get(label)) for label, each in mean.items()}
    fixed = corrected(calibrated, parents)
    findings = []
    for label in labels:
        each = {name: found[label] for name, found in members.items()}
        point = operating_points[label]
        findings.append(
            LabelFinding(
                name=label,
                parent=parents.get(label),
                probability=fixed[label],
                mean=mean[label],
                spread=max(each.values()) - min(each.values()),
                members=each,
                operating_point=point,
                decision=point.decide(fixed[label]),
                evaluated=evaluated.get(label, False),
            )
        )
    return EnsembleResult(
        tuple(findings), tuple(f"child_above_parent:{label}" for label in above_parent(calibrated, parents))
    )


def _calibrated(mean: float, calibration: Calibration | None) -> float:
    return mean if calibration is None else calibration.probability(logit_of(mean))
