"""What several multi-label networks say together."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from app.domain.label_hierarchy import above_parent, corrected
from app.domain.operating_point import Decision, OperatingPoint


@dataclass(frozen=True, slots=True)
class LabelFinding:
    """One label of the ensemble's answer.

    Attributes
    ----------
    probability
        Mean over members, corrected so that it does not exceed its parent's.
    spread
        Largest minus smallest member's probability.
    members
        Every member's probability, as it gave it.
    evaluated
        False where there were too few films of the label to measure anything.
    """

    name: str
    parent: str | None
    probability: float
    spread: float
    members: Mapping[str, float]
    operating_point: OperatingPoint
    decision: Decision
    evaluated: bool


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
) -> EnsembleResult:
    """Average the members' probabilities and hold every child at or below its parent.

    Parameters
    ----------
    members
        Member name to (label to probability in 0..1); all with the same labels.
    operating_points, parents, evaluated
        Per label.

    Returns
    -------
    EnsembleResult
        With ``child_above_parent:<label>`` for every mean that had to be lowered.

    Raises
    ------
    ValueError
        If there is no member or their labels differ.

    References
    ----------
    papers/2, section III; SPEC 2.1 and 2.6.
    """
    if not members:
        raise ValueError("an ensemble needs a member")
    labels = tuple(next(iter(members.values())))
    if any(set(found) != set(labels) for found in members.values()):
        raise ValueError("members do not agree on their labels")
    mean = {label: float(np.mean([found[label] for found in members.values()])) for label in labels}
    fixed = corrected(mean, parents)
    findings = []
    for label in labels:
        each = {name: found[label] for name, found in members.items()}
        point = operating_points[label]
        findings.append(
            LabelFinding(
                name=label,
                parent=parents.get(label),
                probability=fixed[label],
                spread=max(each.values()) - min(each.values()),
                members=each,
                operating_point=point,
                decision=point.decide(fixed[label]),
                evaluated=evaluated.get(label, False),
            )
        )
    return EnsembleResult(
        tuple(findings), tuple(f"child_above_parent:{label}" for label in above_parent(mean, parents))
    )
