"""A region that a network predicts beside its class: how large it is, and how far a map of the classifier agrees.

Such a region is a second output, learned from what people outlined. It is no explanation of the classifier: that two
outputs of one network agree, or not, is therefore measured and said (papers/4; SPEC 4.4).
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from app.domain.arrays import FloatMap, GrayImage, HeatMap
from app.domain.operating_point import Decision
from app.domain.preprocessing import Rectangle

NO_EXPLANATION: Final = (
    "A predicted region is a second output of the network, learned from outlines that people drew."
    " It is not an explanation of the classifier's answer."
)
"""Stands beside every predicted region."""
LIKELY: Final = 0.5
"""From this probability on a pixel belongs to the region."""
EMPTY_REGION: Final = "empty_region"
"""Flag of a region below `EMPTY_SHARE` of the film."""
SATURATED_REGION: Final = "saturated_region"
"""Flag of a region above `SATURATED_SHARE` of the film."""
EMPTY_SHARE: Final = 0.001
SATURATED_SHARE: Final = 0.8

_ALIKE: Final = 1e-6
MOST_CELLS: Final = 56
"""A side of the grid that a region is reported on has no more cells."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far a heat map agrees with a predicted region; None where it is undefined.

    Attributes
    ----------
    iou
        Intersection over union of the region and the equally large hottest area of the map.
    energy_inside
        Share of the map's heat that lies inside the region.
    correlation
        Pearson's, of the region's probabilities and the map, pixel by pixel.
    """

    iou: float | None
    energy_inside: float | None
    correlation: float | None


@dataclass(frozen=True, slots=True)
class MapAgreement:
    """With which map of the classifier a region was compared: ``cam``, or ``divergence`` at an amplification."""

    with_map: Literal["cam", "divergence"]
    found: Agreement
    alpha: float | None = None


@dataclass(frozen=True, slots=True)
class PredictedRegion:
    """One network's answer for a film.

    Attributes
    ----------
    name, title
        Of the network.
    region_of
        What the outlines it was trained on show.
    target, probability, decision
        Of its class, calibrated; the region does not take part in it.
    doubts
        Flags of the film that put it outside what the network was measured on.
    values
        ``(h, w)`` probabilities on a reduced grid.
    extent
        The rectangle of the film, in its pixels, that the grid covers.
    share
        Share of the film in the region.
    flags
        See `region_flags`.
    agreements
        With maps of the classifier.
    """

    name: str
    title: str
    region_of: str
    target: str
    probability: float
    decision: Decision
    doubts: tuple[str, ...]
    values: GrayImage
    extent: Rectangle
    share: float
    flags: tuple[str, ...]
    agreements: tuple[MapAgreement, ...]

    @property
    def shown(self) -> FloatMap:
        """What pictures show, ``(h, w)``: the probabilities from `LIKELY` on, and nothing of what is likelier not."""
        return np.where(self.values >= LIKELY, self.values, 0.0).astype(np.float64)


def reduced(region: GrayImage) -> GrayImage:
    """Average a square region ``(S, S)`` over equal blocks, down to at most `MOST_CELLS` a side; its mean stays.

    Examples
    --------
    >>> reduced(np.ones((224, 224), np.float32)).shape, reduced(np.ones((160, 160), np.float32)).shape
    ((56, 56), (40, 40))
    """
    side = len(region)
    cells = next(n for n in range(min(side, MOST_CELLS), 0, -1) if side % n == 0)
    each = side // cells
    blocks: GrayImage = region.reshape(cells, each, cells, each).mean(axis=(1, 3), dtype=np.float64).astype(np.float32)
    return blocks


def region_mask(region: HeatMap) -> Mask:
    """Cut probabilities ``(H, W)`` at even odds."""
    mask: Mask = region >= LIKELY
    return mask


def area_share(region: HeatMap) -> float:
    """Give the share of the film, 0..1, that the region ``(H, W)`` covers; its pixels cover the whole film."""
    return float(region_mask(region).mean())


def region_flags(share: float) -> tuple[str, ...]:
    """Name what makes a region say nothing: that there is hardly any, or that it is nearly everywhere.

    Examples
    --------
    >>> region_flags(0.0005), region_flags(0.3), region_flags(0.9)
    (('empty_region',), (), ('saturated_region',))
    """
    if share < EMPTY_SHARE:
        return (EMPTY_REGION,)
    return (SATURATED_REGION,) if share > SATURATED_SHARE else ()


def intersection_over_union(one: Mask, other: Mask) -> float:
    """Overlap of two masks ``(H, W)``, 0..1; 1 where both are empty: they agree that there is nothing."""
    either = int((one | other).sum())
    return int((one & other).sum()) / either if either else 1.0


def hottest_area(heat: HeatMap, pixels: int) -> Mask:
    """Give the hottest ``pixels`` of a map ``(H, W)``, and what is as hot as the last of them."""
    if pixels == 0:
        return np.zeros(heat.shape, np.bool_)
    least = np.partition(heat.ravel(), -pixels)[-pixels]
    hottest: Mask = heat >= least
    return hottest


def agreement(region: HeatMap, heat: HeatMap) -> Agreement:
    """Compare a predicted region with a map of the classifier on the same pixels.

    Parameters
    ----------
    region
        Probabilities ``(H, W)``.
    heat
        ``(H, W)``, at least 0; its scale does not matter.

    Returns
    -------
    Agreement
        Without an overlap where the region is empty or the map is flat, as a flat map has no hottest area.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if region.shape != heat.shape:
        raise ValueError(f"a region of {region.shape} against a map of {heat.shape}")
    inside, values = region_mask(region), heat.astype(np.float64)
    total, pixels = float(values.sum()), int(inside.sum())
    is_flat = _is_flat(values)
    return Agreement(
        iou=None if is_flat or pixels == 0 else intersection_over_union(inside, hottest_area(heat, pixels)),
        energy_inside=float(values[inside].sum()) / total if total > 0.0 else None,
        correlation=None if is_flat or _is_flat(region) else _correlation(region.astype(np.float64), values),
    )


def _is_flat(values: NDArray[np.floating[Any]]) -> bool:
    """Say whether values that are at least 0 are all alike: what differs is rounding."""
    return float(np.ptp(values)) <= _ALIKE * float(values.max())


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    a, b = one / one.max(), other / other.max()
    a, b = a - a.mean(), b - b.mean()
    return float(np.clip((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()), -1.0, 1.0))
