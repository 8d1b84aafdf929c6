"""Thresholds with the sensitivity and specificity that were measured at them."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Decision: TypeAlias = Literal["positive", "negative", "indeterminate"]


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A decision threshold of one model version.

    Attributes
    ----------
    threshold
        Calibrated probability in 0..1 at and above which the answer is positive.
    sensitivity, specificity
        Measured on validation at the threshold, in 0..1; None where a class had no film.
    name
        What it was chosen for, e.g. ``"sensitivity-0.90"``.
    """

    threshold: float
    sensitivity: float | None = None
    specificity: float | None = None
    name: str = "default"

    def __post_init__(self) -> None:
        """Hold every number in 0..1."""
        for value in (self.threshold, self.sensitivity, self.specificity):
            if value is not None and not 0.0 <= value <= 1.0:
                raise ValueError(f"operating point outside 0..1: {self}")

    def decide(self, probability: float) -> Decision:
        """Say positive at and above the threshold, negative below."""
        return "positive" if probability >= self.threshold else "negative"


def post_test_probability(pretest: float, point: OperatingPoint, decision: Decision) -> float | None:
    """Update a pre-test probability by the likelihood ratio of a decision.

    Parameters
    ----------
    pretest
        Probability before the film was read, strictly between 0 and 1.
    point
        The operating point the decision was made at.
    decision
        ``positive`` uses LR+ = sensitivity / (1 - specificity), ``negative`` LR- = (1 - sensitivity) / specificity.

    Returns
    -------
    float or None
        Post-test probability, strictly between 0 and 1; None where the ratio is 0, infinite or not defined, or the
        decision is indeterminate.

    Raises
    ------
    ValueError
        If ``pretest`` is not strictly between 0 and 1.

    References
    ----------
    Deeks and Altman, Diagnostic tests 4: likelihood ratios, BMJ 2004;329:168.
    """
    if not 0.0 < pretest < 1.0:
        raise ValueError(f"pre-test probability {pretest} is not strictly between 0 and 1")
    if point.sensitivity is None or point.specificity is None or decision == "indeterminate":
        return None
    for_disease = point.sensitivity if decision == "positive" else 1.0 - point.sensitivity
    for_health = 1.0 - point.specificity if decision == "positive" else point.specificity
    if for_disease == 0.0 or for_health == 0.0:
        return None  # a finite validation set proves no certainty
    return pretest * for_disease / (pretest * for_disease + (1.0 - pretest) * for_health)
