"""Thresholds with the sensitivity and specificity that were measured at them, and what a decision is worth."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

Decision: TypeAlias = Literal["positive", "negative", "indeterminate"]
MeasuredOn: TypeAlias = Literal["all", "adults", "children"]


@dataclass(frozen=True, slots=True)
class Rates:
    """Sensitivity and specificity of a threshold among one kind of patients; None where a class had no film."""

    sensitivity: float | None = None
    specificity: float | None = None

    def __post_init__(self) -> None:
        """Hold every number in 0..1."""
        for value in (self.sensitivity, self.specificity):
            if value is not None and not 0.0 <= value <= 1.0:
                raise ValueError(f"rate outside 0..1: {self}")


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
    indeterminate
        ``(low, high)`` around the threshold: a probability at or above ``low`` and below ``high`` decides nothing,
        because validation cannot say on which side of the threshold it belongs. Equal bounds, or None, leave no gap.
    adults, children
        The rates among adults and among children alone, where they were measured.
    """

    threshold: float
    sensitivity: float | None = None
    specificity: float | None = None
    name: str = "default"
    indeterminate: tuple[float, float] | None = None
    adults: Rates | None = None
    children: Rates | None = None

    def __post_init__(self) -> None:
        """Hold every number in 0..1, and the threshold within its band."""
        for value in (self.threshold, self.sensitivity, self.specificity):
            if value is not None and not 0.0 <= value <= 1.0:
                raise ValueError(f"operating point outside 0..1: {self}")
        low, high = self.band
        if not 0.0 <= low <= self.threshold <= high <= 1.0:
            raise ValueError(f"indeterminate {low}..{high} does not lie around the threshold {self.threshold} in 0..1")

    @property
    def band(self) -> tuple[float, float]:
        """Bounds of the indeterminate band; the threshold twice where there is none."""
        return (self.threshold, self.threshold) if self.indeterminate is None else self.indeterminate

    def decide(self, probability: float) -> Decision:
        """Say negative below the band, positive at and above its end, and indeterminate in between."""
        low, high = self.band
        if probability >= high:
            return "positive"
        return "indeterminate" if probability >= low else "negative"

    def rates(self, paediatric: bool | None = None) -> tuple[Rates, MeasuredOn]:
        """Give the rates that were measured on patients like this one.

        Parameters
        ----------
        paediatric
            Whether the patient is a child; None where that is not known.

        Returns
        -------
        Rates
            Of the age group where both of its rates are known, else of all patients.
        str
            Whose they are.
        """
        of_age: tuple[Rates | None, MeasuredOn] = (self.children, "children") if paediatric else (self.adults, "adults")
        rates, measured_on = of_age
        if paediatric is None or rates is None or rates.sensitivity is None or rates.specificity is None:
            return Rates(self.sensitivity, self.specificity), "all"
        return rates, measured_on


class NoPostTest(StrEnum):
    """Why a decision does not move a pre-test probability."""

    INDETERMINATE = "indeterminate"
    """The film decided nothing."""
    NOT_MEASURED = "not_measured"
    """Sensitivity or specificity of the operating point is not known."""
    RATIO_ZERO = "ratio_zero"
    """The likelihood ratio is 0: none of the ill in validation was decided so. That proves no certainty."""
    RATIO_UNBOUNDED = "ratio_unbounded"
    """The likelihood ratio is infinite or 0/0: none of the healthy in validation was decided so."""


@dataclass(frozen=True, slots=True)
class PostTest:
    """A pre-test probability after the film.

    Attributes
    ----------
    pretest
        Before, strictly between 0 and 1.
    probability
        After, strictly between 0 and 1; None for the ``reason``.
    likelihood_ratio
        How much likelier the decision is in the ill than in the healthy: finite and above 0; None for the ``reason``.
    measured_on
        Whose sensitivity and specificity were used.
    """

    pretest: float
    probability: float | None
    likelihood_ratio: float | None
    measured_on: MeasuredOn
    reason: NoPostTest | None = None


def post_test(pretest: float, point: OperatingPoint, decision: Decision, paediatric: bool | None = None) -> PostTest:
    """Update a pre-test probability by the likelihood ratio of a decision.

    Parameters
    ----------
    pretest
        Probability before the film was read, strictly between 0 and 1.
    point
        The operating point the decision was made at.
    decision
        ``positive`` uses LR+ = sensitivity / (1 - specificity), ``negative`` LR- = (1 - sensitivity) / specificity.
    paediatric
        Whether the patient is a child; None where that is not known. See `OperatingPoint.rates`.

    Returns
    -------
    PostTest
        Without probability and ratio, but with the reason, where the ratio is 0, infinite or not defined, or the
        decision is indeterminate.

    Raises
    ------
    ValueError
        If ``pretest`` is not strictly between 0 and 1.

    Notes
    -----
    The rates are those of the threshold. A point with an indeterminate band is positive from the band's end only, where
    the true LR+ is rather larger, and negative below its start, where LR- is rather smaller: the answer errs towards
    the pre-test probability.

    References
    ----------
    Deeks and Altman, Diagnostic tests 4: likelihood ratios, BMJ 2004;329:168.
    """
    if not 0.0 < pretest < 1.0:
        raise ValueError(f"pre-test probability {pretest} is not strictly between 0 and 1")
    rates, measured_on = point.rates(paediatric)
    reason, ratio = _likelihood_ratio(rates, decision)
    if ratio is None:
        return PostTest(pretest, None, None, measured_on, reason)
    odds = pretest / (1.0 - pretest) * ratio
    return PostTest(pretest, odds / (1.0 + odds), ratio, measured_on)


def _likelihood_ratio(rates: Rates, decision: Decision) -> tuple[NoPostTest | None, float | None]:
    """Give the ratio, or the reason why there is none."""
    if decision == "indeterminate":
        return NoPostTest.INDETERMINATE, None
    if rates.sensitivity is None or rates.specificity is None:
        return NoPostTest.NOT_MEASURED, None
    in_ill = rates.sensitivity if decision == "positive" else 1.0 - rates.sensitivity
    in_healthy = 1.0 - rates.specificity if decision == "positive" else rates.specificity
    if in_healthy == 0.0:
        return NoPostTest.RATIO_UNBOUNDED, None
    if in_ill == 0.0:
        return NoPostTest.RATIO_ZERO, None
    return None, in_ill / in_healthy
