"""How hot areas are named and coloured on a film, by whatever object marks them."""

from typing import Final

from app.domain.regions import Region
from app.pacs.hot_boxes import HotMap

Rgb = tuple[int, int, int]
"""Red, green, blue in 0..255."""

_DIVERGENCE: Final[Rgb] = (255, 176, 0)
_MAPS: Final[tuple[Rgb, ...]] = ((100, 143, 255), (220, 38, 127), (120, 220, 160))
"""By the place of an expert in the answer; apart from each other to colour-blind eyes as well."""
_LONGEST_LABEL: Final = 64
"""Characters of a Long String (PS3.5, 6.2)."""


def words_of(found: HotMap, region: Region) -> str:
    """Say of one area whose finding it shows, where, and how probable the finding is.

    Returns
    -------
    str
        ASCII, for no film's character set is known to have more, e.g. ``"COVID-19 right lower 0.873"``; without a zone
        the area's place is left out.
    """
    words = " ".join(filter(None, (found.expert.title, region.zone, f"{found.expert.probability:.3f}")))
    return words.encode("ascii", "replace").decode()


def label_of(found: HotMap, place: int) -> str:
    """Name one area of a map, from 1, in at most 64 ASCII characters: what it is tracked by."""
    return found.tracked(place).encode("ascii", "replace").decode()[:_LONGEST_LABEL]


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
