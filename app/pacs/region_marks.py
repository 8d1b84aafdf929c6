"""How hot areas are named and coloured on a film, by whatever object marks them."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.domain.label_hierarchy import DISPLAY_NAMES
from app.domain.regions import Region
from app.domain.screening import told_apart
from app.domain.source_image import SourceImage
from app.pacs.hot_boxes import HotMap

Rgb = tuple[int, int, int]
"""Red, green, blue in 0..255."""

_DIVERGENCE: Final[Rgb] = (255, 176, 0)
_MAPS: Final[tuple[Rgb, ...]] = ((100, 143, 255), (220, 38, 127), (120, 220, 160))
"""By the place of an expert in the answer; apart from each other to colour-blind eyes as well."""
_LONGEST_LABEL: Final = 64
"""Characters of a Long String (PS3.5, 6.2)."""


def corners_of(source: SourceImage, region: Region) -> NDArray[np.float64]:
    """Give the corners of a region's box, clockwise from the top left one and back to it.

    Returns
    -------
    ndarray
        ``(5, 2)`` float64: column and row in pixels, 0 at the film's top left edge (PS3.3, C.18.6.1.2, C.10.5.1.2),
        none of them beyond the film.
    """
    x0, y0, x1, y1 = region.box
    corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], np.float64)
    return np.clip(corners, 0.0, (max(source.columns, 1), max(source.rows, 1)))


def words_of(found: HotMap, region: Region) -> str:
    """Say of one area whose finding it shows, where, and how probable the finding is.

    Returns
    -------
    str
        ASCII, for no film's character set is known to have more, e.g. ``"COVID-19 map, right lower 0.87"``; without a
        zone the area's place is left out.
    """
    (probability,) = told_apart(found.expert.probability)
    shown = ", ".join(filter(None, (f"{_finding(found)} {found.name}", region.zone)))
    return _ascii(f"{shown} {probability}")


def label_of(found: HotMap, place: int) -> str:
    """Name one area of a map, from 1, in at most 64 ASCII characters, e.g. ``"COVID-19 divergence 1"``."""
    return _ascii(f"{_finding(found)} {found.name} {place}")[:_LONGEST_LABEL]


def _finding(found: HotMap) -> str:
    return DISPLAY_NAMES.get(found.expert.name, found.expert.name)


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()


def colour_of(found: HotMap, experts: tuple[str, ...]) -> Rgb:
    """Give the colour of a map's marks.

    Parameters
    ----------
    found
        The map.
    experts
        The names of all experts of the answer, in its order.
    """
    return _DIVERGENCE if found.name == "divergence" else _MAPS[experts.index(found.expert.name) % len(_MAPS)]
