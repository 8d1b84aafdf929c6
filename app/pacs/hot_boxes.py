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
from app.domain.regions import HotArea, Region, hot_areas
from app.domain.screening import ExpertFinding, ModelIdentity, ScreeningResult, drawn

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
    areas
        At most three, the hottest first, each with a hundredth of the map or more; boxes in pixels of the film, cells
        on the grid of ``heat``.
    parameters
        What the method was given.
    """

    name: str
    expert: ExpertFinding
    method: Code
    heat: HeatMap
    areas: tuple[HotArea, ...]
    parameters: tuple[str, ...]

    @property
    def regions(self) -> tuple[Region, ...]:
        """The areas' boxes, shares and zones."""
        return tuple(area.region for area in self.areas)

    def models(self, result: ScreeningResult) -> list[ModelIdentity]:
        """Give the networks that the map was made of."""
        asked = result.experts if self.name == "divergence" else {self.expert.name}
        return [model for model in result.models if model.name in asked]

    def tracked(self, place: int) -> str:
        """Name an area, so that every object of an answer tracks it under the same identifier.

        Parameters
        ----------
        place
            Of the area in the map, from 1.
        """
        return f"{self.expert.title} {self.name} {place}"


def hot_maps(result: ScreeningResult) -> Iterator[HotMap]:
    """Give the divergence and the maps of a result, as far as their expert found its class and they show anything."""
    film = result.film
    height, width = overlay_size(film.height, film.width, GRID_PX)
    zone_of: Callable[[HeatMap], str | None] | None = None
    if result.lungs is not None:
        zone_of = partial(hottest_zone, cut=zones(result.lungs, height, width))

    def laid(display: FloatMap, extent: Rectangle) -> HeatMap:
        return lay_over_film(display, extent, film.height, film.width, height, width)

    def boxed(heat: HeatMap) -> tuple[HotArea, ...]:
        found = hot_areas(heat, film.height, film.width, zone_of=zone_of)[:_MOST_BOXES]
        return tuple(area for area in found if area.region.share >= _LEAST_SHARE)

    divergence = result.divergence
    if divergence is not None and divergence.maps and result.experts[divergence.interest].decision == "positive":
        found = divergence.maps[0]
        heat = laid(drawn(found.display, found.flags), divergence.extent)
        areas = boxed(heat)
        parameters = (f"alpha {found.alpha:g}", f"overlap {divergence.overlap}")
        if areas:
            expert = result.experts[divergence.interest]
            yield HotMap("divergence", expert, codes.DIRECTED_DIVERGENCE, heat, areas, parameters)
    for expert in result.experts.values():
        if expert.decision != "positive" or expert.activation_map is None:
            continue
        heat = laid(drawn(positive_share(expert.activation_map), expert.flags), expert.extent)
        if areas := boxed(heat):
            yield HotMap("map", expert, codes.CLASS_ACTIVATION, heat, areas, ())
