"""Whether a picture is a film that the networks may answer for: refused, flagged, or simply taken.

The gate knows no network: it judges what one said of the picture, how the lungs lie that it found, and how the grey
values are spread. Every number it compares with comes from the manifest of that network, measured on validation films.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Final, Self

import numpy as np

from app.domain.arrays import StoredPixels
from app.domain.errors import RefusalReason
from app.domain.lung_geometry import LungGeometry
from app.domain.preprocessing import Placement

FACTS: Final = ("frontal", "inverted", "rotated", "paediatric")
"""What a network says of the whole picture, in the order of its outputs."""

AGE_GROUPS: Final = ("adult", "paediatric")

_SAMPLES_PX: Final = 512
_GREY_LEVELS: Final = 32


class GateFlag(StrEnum):
    """A remark of the gate on a film; the refusals among them stand only in answers that were forced."""

    INVERTED = "inverted"
    ROTATED = "rotated"
    PAEDIATRIC = "paediatric"
    CROPPED = "cropped"
    LOW_RESOLUTION = "low_resolution"
    LUNGS_NOT_FOUND = "lungs_not_found"
    NOT_A_CHEST_RADIOGRAPH = "gate_not_a_chest_radiograph"
    LATERAL_VIEW = "gate_lateral_view"
    LOW_CONTRAST = "gate_low_contrast"


_FLAG_OF: Final = {
    RefusalReason.NOT_A_CHEST_RADIOGRAPH: GateFlag.NOT_A_CHEST_RADIOGRAPH,
    RefusalReason.LATERAL_VIEW: GateFlag.LATERAL_VIEW,
    RefusalReason.LOW_CONTRAST: GateFlag.LOW_CONTRAST,
}
_UNMEASURED: Final = frozenset(GateFlag) - {GateFlag.PAEDIATRIC, GateFlag.CROPPED, GateFlag.LOW_RESOLUTION}
"""What no network here was ever measured on; children are a matter of each network."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A calibrated probability in 0..1, and from which on it counts."""

    probability: float
    threshold: float

    @property
    def holds(self) -> bool:
        """Whether the probability is at or above the threshold."""
        return self.probability >= self.threshold


@dataclass(frozen=True, slots=True)
class GateLimits:
    """Bounds of the gate, ``gate`` in the manifest; one that is None is not applied.

    Attributes
    ----------
    min_lung_share, max_lung_share
        Of `LungGeometry.share`; beyond is no chest film.
    min_aspect, max_aspect
        Of `LungGeometry.aspect`; beyond is no chest film.
    max_offset
        Of `LungGeometry.offset`; above is no chest film.
    min_certainty
        Of `LungGeometry.certainty`; below is no chest film.
    min_balance
        Of `LungGeometry.balance`; below is a lateral view.
    max_overlap
        Of `LungGeometry.overlap`; above is a lateral view.
    max_two_level_share
        Of `two_level_share`; above is low contrast.
    max_edge_contact
        Of `LungGeometry.edge_contact`; above, the film is flagged as cropped, not refused.
    """

    min_lung_share: float | None = None
    max_lung_share: float | None = None
    min_aspect: float | None = None
    max_aspect: float | None = None
    max_offset: float | None = None
    min_certainty: float | None = None
    min_balance: float | None = None
    max_overlap: float | None = None
    max_two_level_share: float | None = None
    max_edge_contact: float | None = None

    def __post_init__(self) -> None:
        """Refuse bounds that nothing, or no number, could keep."""
        for name, value in asdict(self).items():
            if value is not None and not 0.0 <= value < np.inf:
                raise ValueError(f"the gate's {name} is {value}; a number of 0 or more expected")
        for low, high in ((self.min_lung_share, self.max_lung_share), (self.min_aspect, self.max_aspect)):
            if low is not None and high is not None and low > high:
                raise ValueError(f"the gate's bounds {low} and {high} leave nothing between them")

    @classmethod
    def of(cls, entries: Mapping[str, float]) -> Self:
        """Read the manifest's entries; `ValueError` names one that is unknown."""
        known = [each.name for each in fields(cls)]
        unknown = sorted(set(entries) - set(known))
        if unknown:
            raise ValueError(f"the gate knows no {', '.join(unknown)}; known: {', '.join(known)}")
        return cls(**entries)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a picture is not answered for; ``detail`` names the rule and the value."""

    reason: RefusalReason
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says; ``flags`` hold the refusal too, for answers that are given all the same."""

    refusal: Refusal | None
    flags: tuple[GateFlag, ...]


def judge(facts: Mapping[str, Fact], geometry: LungGeometry | None, two_levels: float, limits: GateLimits) -> Verdict:
    """Judge one picture.

    Parameters
    ----------
    facts
        One for each of `FACTS`.
    geometry
        Of the lungs; None where none was found.
    two_levels
        `two_level_share` of its pixels.
    limits
        From the manifest of the network that said all this.

    Returns
    -------
    Verdict
        The first rule that it breaks, if any: contrast, frontal, both lungs, then how they lie. A picture that is not
        frontal is called lateral where the lungs lie as on one.
    """
    refusal = (
        _contrast(two_levels, limits)
        or _not_frontal(facts["frontal"], geometry, limits)
        or _lungs_missing(geometry)
        or _misplaced(geometry, limits)
    )
    flags = [GateFlag(name) for name in FACTS[1:] if facts[name].holds]
    if geometry is not None and limits.max_edge_contact is not None and geometry.edge_contact > limits.max_edge_contact:
        flags.append(GateFlag.CROPPED)
    if _lungs_missing(geometry) is not None:
        flags.append(GateFlag.LUNGS_NOT_FOUND)
    if refusal is not None:
        flags.append(_FLAG_OF[refusal.reason])
    return Verdict(refusal, tuple(flags))


def two_level_share(pixels: StoredPixels) -> float:
    """Measure which part of a picture lies on its two commonest grey levels.

    Parameters
    ----------
    pixels
        ``(H, W)``; at most 512 x 512 of them, evenly spread, are looked at.

    Returns
    -------
    float
        In 0..1, of 32 levels between the 1st and the 99th percentile; 1 where these coincide. A blank page, a text and
        a film burnt to black and white are near 1, for they show nothing between.
    """
    down, across = (max(1, -(-side // _SAMPLES_PX)) for side in pixels.shape)
    counts = np.bincount(pixels[::down, ::across].ravel())
    shares = counts / counts.sum()
    low, high = np.searchsorted(np.cumsum(shares), (0.01, 0.99))
    if low == high:
        return 1.0
    levels = np.clip((np.arange(len(counts)) - low) * (_GREY_LEVELS / (high - low)), 0, _GREY_LEVELS - 1)
    on_levels = np.bincount(levels.astype(np.intp), shares, minlength=_GREY_LEVELS)
    return float(np.sort(on_levels)[-2:].sum())


def is_enlarged(placement: Placement) -> bool:
    """Say whether what a network was fed with had fewer pixels than its input (``low_resolution``)."""
    left, top, right, bottom = placement.seen
    return max(right - left, bottom - top) < placement.size_px


def doubts(flags: Iterable[str], measured_age_groups: Collection[str] | None) -> tuple[str, ...]:
    """Choose the flags that put a film outside what a network was measured on: its decision is then indeterminate.

    Parameters
    ----------
    flags
        Of the film.
    measured_age_groups
        Of `AGE_GROUPS`; None where the network does not say, and then a child is no reason for doubt.
    """
    no_children = measured_age_groups is not None and GateFlag.PAEDIATRIC not in measured_age_groups
    return tuple(flag for flag in flags if flag in _UNMEASURED or (flag == GateFlag.PAEDIATRIC and no_children))


def _contrast(two_levels: float, limits: GateLimits) -> Refusal | None:
    if limits.max_two_level_share is None or two_levels <= limits.max_two_level_share:
        return None
    return Refusal(
        RefusalReason.LOW_CONTRAST,
        f"two grey levels make up {two_levels:.2f} of the picture; {limits.max_two_level_share:.2f} at most expected",
    )


def _not_frontal(frontal: Fact, geometry: LungGeometry | None, limits: GateLimits) -> Refusal | None:
    if frontal.holds:
        return None
    lateral = _misplaced(geometry, limits, only=RefusalReason.LATERAL_VIEW)
    return Refusal(
        RefusalReason.NOT_A_CHEST_RADIOGRAPH if lateral is None else lateral.reason,
        f"the probability of a frontal film is {frontal.probability:.2f}; {frontal.threshold:.2f} or more expected"
        + ("" if lateral is None else f"; {lateral.detail}"),
    )


def _lungs_missing(geometry: LungGeometry | None) -> Refusal | None:
    if geometry is not None and geometry.balance > 0.0:
        return None
    found = "no lung was found" if geometry is None else "only one lung was found"
    return Refusal(RefusalReason.NOT_A_CHEST_RADIOGRAPH, f"{found}; both expected")


@dataclass(frozen=True, slots=True)
class _Bound:
    """One limit on one measure; a limit whose name begins with ``min`` is kept from below."""

    limit: str
    measure: str
    reason: RefusalReason
    words: str


_BOUNDS: Final = (
    _Bound("min_balance", "balance", RefusalReason.LATERAL_VIEW, "the smaller lung over the larger one"),
    _Bound("max_overlap", "overlap", RefusalReason.LATERAL_VIEW, "the part of a lung that lies above the other"),
    _Bound("min_lung_share", "share", RefusalReason.NOT_A_CHEST_RADIOGRAPH, "the lungs' share of the picture"),
    _Bound("max_lung_share", "share", RefusalReason.NOT_A_CHEST_RADIOGRAPH, "the lungs' share of the picture"),
    _Bound("min_aspect", "aspect", RefusalReason.NOT_A_CHEST_RADIOGRAPH, "width over height of both lungs"),
    _Bound("max_aspect", "aspect", RefusalReason.NOT_A_CHEST_RADIOGRAPH, "width over height of both lungs"),
    _Bound("max_offset", "offset", RefusalReason.NOT_A_CHEST_RADIOGRAPH, "the lungs' distance from the middle"),
    _Bound("min_certainty", "certainty", RefusalReason.NOT_A_CHEST_RADIOGRAPH, "the certainty of the lungs' cells"),
)


def _misplaced(geometry: LungGeometry | None, limits: GateLimits, only: RefusalReason | None = None) -> Refusal | None:
    """Find the first bound that the lungs' geometry breaks."""
    if geometry is None:
        return None
    measures, bounds = asdict(geometry), asdict(limits)
    for each in _BOUNDS:
        value, limit = measures[each.measure], bounds[each.limit]
        if limit is None or (only is not None and each.reason is not only):
            continue
        least = each.limit.startswith("min")
        if value < limit if least else value > limit:
            wanted = "or more" if least else "at most"
            return Refusal(each.reason, f"{each.words} is {value:.2f}; {limit:.2f} {wanted} expected")
    return None
