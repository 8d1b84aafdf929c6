"""What of an answer has a place on the film: the hot areas of the divergence and of the maps of positive experts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from app.domain import codes
from app.domain.activation_map import lay_over_film, positive_share
from app.domain.arrays import FloatMap, HeatMap
from app.domain.codes import Code
from app.domain.lungs import hottest_zone, zones
from app.domain.overlay import overlay_size
from app.domain.preprocessing import Rectangle
from app.domain.regions import Region, hot_regions
from app.domain.screening import ExpertFinding, ScreeningResult, drawn

GRID_PX: Final = 256
"""Longer side of the grid on which areas are found; as the service's own regions."""
_MOST_BOXES: Final = 3
_LEAST_SHARE: Final = 0.01
"""Of the map: less is a speck, and clutter on a reader's film."""


@dataclass(frozen=True, slots=True)
class HotMap:
    """One map that shows something, and where it is hot.

    Attributes
    ----------
    name
        ``divergence`` or ``map``.
    expert
        Whose finding it is; of the divergence, the expert of interest.
    method
        Code of how the map was made.
    heat
        ``(h, w)`` in 0..1 over the whole film.
    regions
        Boxes in pixels of the film, at most three, the hottest first, each with a hundredth of the map or more.
    parameters
        What the method was given.
    """

    name: str
    expert: ExpertFinding
    method: Code
    heat: HeatMap
    regions: tuple[Region, ...]
    parameters: tuple[str, ...]


def hot_maps(result: ScreeningResult) -> Iterator[HotMap]:
    """Give the divergence and the maps of a result, as far as their expert found its class and they show anything."""
    film = result.film
    height, width = overlay_size(film.height, film.width, GRID_PX)
    zone_of: Callable[[HeatMap], str | None] | None = None
    if result.lungs is not None:
        zone_of = partial(hottest_zone, cut=zones(result.lungs, height, width))

    def laid(display: FloatMap, extent: Rectangle) -> HeatMap:
        return lay_over_film(display, extent, film.height, film.width, height, width)

    def boxed(heat: HeatMap) -> tuple[Region, ...]:
        found = hot_regions(heat, film.height, film.width, zone_of=zone_of)[:_MOST_BOXES]
        return tuple(region for region in found if region.share >= _LEAST_SHARE)

    divergence = result.divergence
    if divergence is not None and divergence.maps and result.experts[divergence.interest].decision == "positive":
        found = divergence.maps[0]
        heat = laid(drawn(found.display, found.flags), divergence.extent)
        regions = boxed(heat)
        parameters = (f"alpha {found.alpha:g}", f"overlap {divergence.overlap}")
        if regions:
            expert = result.experts[divergence.interest]
            yield HotMap("divergence", expert, codes.DIRECTED_DIVERGENCE, heat, regions, parameters)
    for expert in result.experts.values():
        if expert.decision != "positive" or expert.activation_map is None:
            continue
        heat = laid(drawn(positive_share(expert.activation_map), expert.flags), expert.extent)
        if regions := boxed(heat):
            yield HotMap("map", expert, codes.CLASS_ACTIVATION, heat, regions, ())
