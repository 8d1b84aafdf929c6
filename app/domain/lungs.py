"""Where the lungs lie on a film: the window that is fed, the part of a map outside them, and the names of zones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.activation_map import interpolate
from app.domain.arrays import ActivationMap, HeatMap
from app.domain.preprocessing import Rectangle, Window
from app.domain.regions import connected_areas

SIDES: Final = ("right", "left")
"""The patient's sides, in the order of the planes: the right lung is on the left of a film."""
THIRDS: Final = ("upper", "middle", "lower")

LIKELY: Final = 0.5
_SMALLEST_SHARE: Final = 0.005
_SAMPLES_PER_CELL: Final = 8
_GRID_PX: Final = 256

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LungFields:
    """Both lungs of one film.

    Attributes
    ----------
    probability
        ``(2, h, w)`` float32 in 0..1, right lung first, that a cell belongs to the lung.
    extent
        The rectangle of the film, in its pixels, that the grid covers; it may reach beyond the film.
    film_height, film_width
        The film's size in pixels.
    """

    probability: NDArray[np.float32]
    extent: Rectangle
    film_height: int
    film_width: int

    def __post_init__(self) -> None:
        """Refuse anything but two planes."""
        if self.probability.ndim != 3 or self.probability.shape[0] != len(SIDES):
            raise ValueError(f"lungs of shape {self.probability.shape}; (2, h, w) expected")

    def over(self, rectangle: Rectangle, height: int, width: int) -> HeatMap:
        """Give the probability of either lung over a rectangle of the film, ``(height, width)`` in 0..1."""
        return interpolate(self.probability.max(axis=0), self.extent, rectangle, height, width)

    def masks(self, height: int, width: int) -> Mask:
        """Give both lungs as masks over the whole film at some resolution, ``(2, height, width)``.

        A lung is its largest connected area; one smaller than 0.5 % of the film is none.
        """
        film = (0.0, 0.0, float(self.film_width), float(self.film_height))
        planes = []
        for plane in self.probability:
            areas = connected_areas(interpolate(plane, self.extent, film, height, width) >= LIKELY)
            sizes = np.bincount(areas.ravel())
            sizes[0] = 0
            largest = int(sizes.argmax())
            found = sizes[largest] >= max(1.0, _SMALLEST_SHARE * areas.size)
            planes.append((areas == largest) & bool(found))
        return np.stack(planes)


def box_of(mask: Mask) -> Window | None:
    """Give the smallest box around a mask, ``(x0, y0, x1, y1)`` in its pixels, the end exclusive; None if empty."""
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    if rows.size == 0:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def lung_masks(lungs: LungFields) -> Mask:
    """Give both lungs over the whole film, ``(2, H, W)``, at the resolution of windows and measures: 256 px longer."""
    longer = max(lungs.film_height, lungs.film_width)
    height, width = (max(1, round(side * _GRID_PX / longer)) for side in (lungs.film_height, lungs.film_width))
    return lungs.masks(height, width)


def lung_window(lungs: LungFields, margin: float) -> Window | None:
    """Give the part of the film that a network cropped to the lungs is fed with.

    Parameters
    ----------
    lungs
        Of the film.
    margin
        Added on each side, as a share of the width and height of the box around both lungs.

    Returns
    -------
    Window or None
        In whole pixels of the film; None where not both lungs were found.
    """
    masks = lung_masks(lungs)
    box = box_of(masks[0] | masks[1])
    if box is None or not masks.any(axis=(1, 2)).all():
        return None
    per_x, per_y = lungs.film_width / masks.shape[2], lungs.film_height / masks.shape[1]
    x0, y0, x1, y1 = box[0] * per_x, box[1] * per_y, box[2] * per_x, box[3] * per_y
    more_x, more_y = margin * (x1 - x0), margin * (y1 - y0)
    return (
        max(0, int(np.floor(x0 - more_x))),
        max(0, int(np.floor(y0 - more_y))),
        min(lungs.film_width, int(np.ceil(x1 + more_x))),
        min(lungs.film_height, int(np.ceil(y1 + more_y))),
    )


def outside_lungs(evidence: ActivationMap, extent: Rectangle, lungs: LungFields) -> float | None:
    """Measure which part of a map's positive evidence lies outside the lungs.

    Parameters
    ----------
    evidence
        ``(h, w)`` on the native grid, signed; negative cells count as none.
    extent
        The rectangle of the film that the grid covers; its padding is outside.
    lungs
        Of the film.

    Returns
    -------
    float or None
        In 0..1; None where nothing is positive.

    Notes
    -----
    Both are interpolated to eight samples a cell and the lungs cut at a probability of one half, so that a map that is
    flat over the extent scores the share of the extent that is not lung.
    """
    height, width = evidence.shape[0] * _SAMPLES_PER_CELL, evidence.shape[1] * _SAMPLES_PER_CELL
    heat = interpolate(np.maximum(evidence, 0.0).astype(np.float64), extent, extent, height, width)
    total = float(heat.sum(dtype=np.float64))
    if total <= 0.0:
        return None
    inside = (lungs.over(extent, height, width) >= LIKELY) & _on_film(extent, lungs, height, width)
    return float(np.clip(heat[~inside].sum(dtype=np.float64) / total, 0.0, 1.0))


def _on_film(rectangle: Rectangle, lungs: LungFields, height: int, width: int) -> Mask:
    """Mark the samples of a rectangle whose centres lie on the film: beyond it, interpolation only repeats the edge."""
    x0, y0, x1, y1 = rectangle
    x = x0 + (np.arange(width) + 0.5) * ((x1 - x0) / width)
    y = y0 + (np.arange(height) + 0.5) * ((y1 - y0) / height)
    return ((y >= 0.0) & (y <= lungs.film_height))[:, None] & ((x >= 0.0) & (x <= lungs.film_width))[None, :]


def zones(lungs: LungFields, height: int, width: int) -> dict[str, Mask]:
    """Cut the lungs into six zones over the whole film at some resolution.

    Each lung is cut at thirds of its own height, as the Brixia and RALE scores cut it roughly.

    Returns
    -------
    dict
        ``"right upper"`` … ``"left lower"`` to masks ``(height, width)``; a lung that was not found has empty ones.
    """
    rows = np.arange(height)[:, None]
    cut: dict[str, Mask] = {}
    for side, mask in zip(SIDES, lungs.masks(height, width), strict=True):
        box = box_of(mask) or (0, 0, 0, 0)
        bounds = np.linspace(box[1], box[3], len(THIRDS) + 1)
        for third, top, bottom in zip(THIRDS, bounds[:-1], bounds[1:], strict=True):
            cut[f"{side} {third}"] = mask & (rows >= top) & (rows < bottom)
    return cut


def zone_of(heat: HeatMap, lungs: LungFields) -> str | None:
    """Name the zone that holds most of some heat.

    Parameters
    ----------
    heat
        ``(H, W)``, at least 0, over the whole film at any resolution.
    lungs
        Of the film.

    Returns
    -------
    str or None
        E.g. ``"right lower"``; None where most of the heat lies outside the lungs.
    """
    return hottest_zone(heat, zones(lungs, *heat.shape))


def hottest_zone(heat: HeatMap, cut: Mapping[str, Mask]) -> str | None:
    """Do as `zone_of` with zones that were cut before, at the heat's own resolution."""
    shares = {name: float(heat[mask].sum()) for name, mask in cut.items()}
    if sum(shares.values()) * 2 < float(heat.sum()) or not any(shares.values()):
        return None
    return max(shares, key=lambda name: shares[name])
