"""What a screening says of one film, before it is put into any format."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from app.domain.arrays import ActivationMap, FloatMap
from app.domain.directed_divergence import DirectedDivergence
from app.domain.ensemble import EnsembleResult
from app.domain.label_hierarchy import DISPLAY_NAMES
from app.domain.lungs import LungFields
from app.domain.multiclass import ClassesFinding
from app.domain.operating_point import Decision, OperatingPoint, PostTest
from app.domain.predicted_region import PredictedRegion
from app.domain.preprocessing import Rectangle
from app.domain.radiograph import Radiograph
from app.domain.regions import Region

NOTICE = "Research use. Not for diagnostic use."
"""Stands in every answer."""


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which weights answered, and where they ran."""

    name: str
    version: str
    sha256: str
    precision: str
    device: str


FORCED = "forced"
"""Flag of an answer that was asked for whatever the input gate says."""
NEGLIGIBLE_EVIDENCE = "negligible_evidence"
"""Flag of an expert's map that hardly moves the logit; with ``x:`` or ``x':`` in front, of a divergence made of it."""
NOTHING_SPECIFIC = "nothing_specific"
"""Flag of a divergence that is nowhere above no difference: what is hottest in it is only not colder."""
_NOT_DRAWN: Final = frozenset({NEGLIGIBLE_EVIDENCE, f"x:{NEGLIGIBLE_EVIDENCE}", NOTHING_SPECIFIC})


def drawn(display: FloatMap, flags: Collection[str]) -> FloatMap:
    """Give what pictures and boxes show of a map: nothing where its own scale would make noise look like a finding.

    Parameters
    ----------
    display
        ``(h, w)`` in 0..1.
    flags
        Of the map.

    Returns
    -------
    FloatMap
        ``(h, w)``: the map, or zeros.
    """
    return display if _NOT_DRAWN.isdisjoint(flags) else np.zeros_like(display)


@dataclass(frozen=True, slots=True)
class ExpertFinding:
    """One expert's answer.

    Attributes
    ----------
    logit
        Calibrated margin of in-class over out-of-class.
    probability
        ``sigmoid(logit)``.
    activation_map
        ``(h, w)`` signed evidence; None where maps were not asked for.
    extent
        Rectangle of the film the map's grid covers.
    post_test
        None unless a pre-test probability was given for this class.
    outside_lungs
        Share of the map's positive evidence outside the lungs; None where no lungs are known or nothing is positive.
    doubts
        Why the decision is indeterminate: flags of the film that put it outside what the expert was measured on.
    """

    name: str
    title: str
    logit: float
    probability: float
    decision: Decision
    operating_point: OperatingPoint
    activation_map: ActivationMap | None
    extent: Rectangle
    flags: tuple[str, ...] = ()
    post_test: PostTest | None = None
    outside_lungs: float | None = None
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DivergenceFinding:
    """The two experts' maps contrasted, at one or more amplifications.

    ``intended_use`` holds only if both experts are positive (papers/1, section III); ``reason`` says which is not.
    ``regions`` has one entry per map, empty where regions were not asked for; ``outside_lungs`` the share of each
    display map outside the lungs, None where no lungs are known.
    """

    interest: str
    overlap: str
    intended_use: bool
    reason: str | None
    maps: tuple[DirectedDivergence, ...]
    extent: Rectangle
    outside_lungs: tuple[float | None, ...]
    regions: tuple[tuple[Region, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class ScreeningResult:
    """Everything said of one film.

    Attributes
    ----------
    models
        Every network that was asked; one that looks for the lungs is the last.
    experts
        By name, the class of interest first.
    flags
        About the film and the request: what the input gate noticed (`GateFlag`), ``forced``, reading flags.
    timings_ms
        Processor-independent names of the stages to wall milliseconds.
    multiclass
        Of every network of exclusive classes; None where none is shipped or none was asked for.
    predicted_regions
        None where none was asked for, or no network that predicts one is served.
    lungs
        None where no network looks for them, or both were not found.
    """

    film: Radiograph
    models: tuple[ModelIdentity, ...]
    experts: Mapping[str, ExpertFinding]
    divergence: DivergenceFinding | None
    ensemble: EnsembleResult | None
    flags: tuple[str, ...] = ()
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    multiclass: tuple[ClassesFinding, ...] | None = None
    predicted_regions: tuple[PredictedRegion, ...] | None = None
    lungs: LungFields | None = None


def intended_use(interest: ExpertFinding, overlap: ExpertFinding) -> tuple[bool, str | None]:
    """Say whether the contrast is used as intended: both experts positive.

    Returns
    -------
    bool
        Whether both are positive.
    str or None
        Which expert is not, in words.
    """
    short = [finding for finding in (interest, overlap) if finding.decision != "positive"]
    if not short:
        return True, None
    said = " and ".join(f"the {DISPLAY_NAMES.get(f.name, f.name)} expert is {f.decision} ({_where(f)})" for f in short)
    return False, f"The divergence is meant for films that both experts find positive; {said}."


def _where(finding: ExpertFinding) -> str:
    if finding.doubts:
        return ", ".join(doubt.removeprefix("gate_").replace("_", " ") for doubt in finding.doubts)
    probability, (low, high) = finding.probability, finding.operating_point.band
    said, least, most = told_apart(probability, low, high)
    if probability < low:
        return f"{said} below {least}"
    return f"{said} between {least} and {most}" if probability < high else said


def told_apart(*values: float) -> tuple[str, ...]:
    """Write numbers in 0..1 with two decimals, or with as many more, up to six, as it takes to tell them apart.

    Each is told from 0 and 1 as well: what is nearly certain is not written as certain.
    """

    def written(value: float, decimals: int) -> str:
        return f"{value:.{decimals}f}"

    def differ(decimals: int) -> bool:
        return len({written(value, decimals) for value in values}) == len(set(values))

    def uncertain(value: float, decimals: int) -> bool:
        return all(written(value, decimals) != written(end, decimals) for end in (0.0, 1.0) if end != value)

    least = next(filter(differ, range(2, 6)), 6)
    return tuple(
        written(value, next((more for more in range(least, 6) if uncertain(value, more)), 6)) for value in values
    )
