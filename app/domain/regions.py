"""Where a heat map is hot, as boxes on the original film."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.domain.arrays import HeatMap

HALF_MAXIMUM = 0.5


@dataclass(frozen=True, slots=True)
class Region:
    """One connected hot area.

    Attributes
    ----------
    box
        ``(x0, y0, x1, y1)`` in pixels of the original film, x1 and y1 exclusive.
    share
        The area's part of the whole film's heat, 0..1.
    zone
        Lung zone, e.g. ``"right lower"``; None where most of it lies outside the lungs, or no lungs are known.
    """

    box: tuple[int, int, int, int]
    share: float
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class HotArea:
    """A region and the cells that it is made of.

    Attributes
    ----------
    region
        Its box, share and zone.
    cells
        ``(h, w)`` on the grid of the heat map, true inside the area.
    """

    region: Region
    cells: NDArray[np.bool_]


def connected_areas(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Number the 4-connected areas of a mask by joining runs of neighbouring rows.

    Parameters
    ----------
    mask
        ``(H, W)``.

    Returns
    -------
    ndarray
        ``(H, W)`` int32, 0 outside, 1..n inside.
    """
    height, width = mask.shape
    padded = np.zeros((height, width + 2), np.int8)
    padded[:, 1:-1] = mask
    steps = np.diff(padded, axis=1)
    rows, starts = np.nonzero(steps == 1)
    stops = np.nonzero(steps == -1)[1]
    parent = list(range(len(rows)))

    def root(run: int) -> int:
        while parent[run] != run:
            parent[run] = parent[parent[run]]
            run = parent[run]
        return run

    first_of_row = np.searchsorted(rows, np.arange(height + 1))
    for row in range(1, height):
        above, above_end = int(first_of_row[row - 1]), int(first_of_row[row])
        for run in range(int(first_of_row[row]), int(first_of_row[row + 1])):
            while above < above_end and stops[above] <= starts[run]:
                above += 1
            other = above
            while other < above_end and starts[other] < stops[run]:
                parent[root(run)] = root(other)
                other += 1
    labels = np.zeros(mask.shape, np.int32)
    numbers: dict[int, int] = {}
    for run in range(len(rows)):
        number = numbers.setdefault(root(run), len(numbers) + 1)
        labels[rows[run], starts[run] : stops[run]] = number
    return labels


def hot_regions(
    heat: HeatMap,
    film_height: int,
    film_width: int,
    *,
    most: int = 8,
    zone_of: Callable[[HeatMap], str | None] | None = None,
) -> tuple[Region, ...]:
    """Box the connected areas at and above half of a heat map's maximum, hottest share first.

    Parameters
    ----------
    heat
        ``(H, W)`` in 0..1, its pixels covering the whole film at any resolution.
    film_height, film_width
        The film's size in pixels.
    most
        Boxes at most; the area of the maximum is always among them.
    zone_of
        Names the lung zone of an area's heat (`app.domain.lungs.hottest_zone`); None names none.

    Returns
    -------
    tuple of Region
        Empty where the map is zero everywhere.
    """
    return tuple(area.region for area in hot_areas(heat, film_height, film_width, most=most, zone_of=zone_of))


def over_film(cells: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    """Lay cells that cover the whole film over its pixels: a pixel belongs to the cell its centre lies in.

    Parameters
    ----------
    cells
        ``(h, w)``.
    height, width
        The film's size in pixels, at least 1.

    Returns
    -------
    ndarray
        ``(height, width)`` bool; of a film that has the cells' own size, the cells.

    Examples
    --------
    >>> over_film(np.array([[False, True]]), 1, 5).astype(int).tolist()
    [[0, 0, 1, 1, 1]]
    """
    rows = (2 * np.arange(height) + 1) * cells.shape[0] // (2 * height)
    columns = (2 * np.arange(width) + 1) * cells.shape[1] // (2 * width)
    mask: NDArray[np.bool_] = cells[:, columns][rows]
    return mask


def hot_areas(
    heat: HeatMap,
    film_height: int,
    film_width: int,
    *,
    most: int = 8,
    zone_of: Callable[[HeatMap], str | None] | None = None,
) -> tuple[HotArea, ...]:
    """Give what `hot_regions` boxes, with the cells in every box.

    Parameters
    ----------
    heat, film_height, film_width, most, zone_of
        As of `hot_regions`.

    Returns
    -------
    tuple of HotArea
        Disjoint, in the order of `hot_regions`; empty where the map is zero everywhere.
    """
    peak = float(heat.max())
    if peak <= 0.0:
        return ()
    labels = connected_areas(heat >= HALF_MAXIMUM * peak)
    per_y, per_x = film_height / heat.shape[0], film_width / heat.shape[1]
    mass = np.bincount(labels.ravel(), weights=heat.ravel())
    shares = mass / mass.sum()
    chosen = sorted(range(1, len(shares)), key=lambda n: -float(shares[n]))[:most]
    hottest = int(labels.ravel()[int(heat.argmax())])
    if hottest not in chosen:
        chosen[-1] = hottest
    areas = []
    for number in chosen:
        inside = labels == number
        ys, xs = np.nonzero(inside.any(axis=1))[0], np.nonzero(inside.any(axis=0))[0]
        box = (
            int(np.floor(xs[0] * per_x)),
            int(np.floor(ys[0] * per_y)),
            min(film_width, int(np.ceil((xs[-1] + 1) * per_x))),
            min(film_height, int(np.ceil((ys[-1] + 1) * per_y))),
        )
        zone = zone_of(np.where(inside, heat, np.float32(0.0))) if zone_of is not None else None
        areas.append(HotArea(Region(box, float(shares[number]), zone), inside))
    return tuple(areas)
