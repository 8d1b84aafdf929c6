"""The pictures of an answer: the film, a map of each expert, one of each divergence, one of each label."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.domain.activation_map import lay_over_film, positive_share
from app.domain.arrays import FloatMap
from app.domain.ensemble import EnsembleResult
from app.domain.multiclass import ClassesFinding
from app.domain.overlay import blend, grey_levels, heat_levels, overlay_size, palette_with_opacity
from app.domain.predicted_region import PredictedRegion
from app.domain.preprocessing import Rectangle
from app.domain.radiograph import Radiograph
from app.domain.screening import DivergenceFinding, ExpertFinding, drawn
from app.services.options import ScreeningOptions
from app.services.ports import PictureEncoder


class StageTimer(Protocol):
    """Times a named stage."""

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Enter a stage."""
        ...


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture and its size in pixels."""

    png: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures of one answer, as far as they were asked for.

    ``divergence`` has one a map, in their order; ``labels`` one a label of the ensemble; ``multiclass`` one a network
    of exclusive classes; ``predicted`` one a network that predicts a region.
    """

    film: Picture | None
    experts: Mapping[str, Picture]
    divergence: tuple[Picture, ...]
    labels: Mapping[str, Picture] = field(default_factory=dict)
    multiclass: Mapping[str, Picture] = field(default_factory=dict)
    predicted: Mapping[str, Picture] = field(default_factory=dict)


def render(  # noqa: PLR0913  # each kind of answer that can be drawn
    film: Radiograph,
    experts: Mapping[str, ExpertFinding],
    divergence: DivergenceFinding | None,
    options: ScreeningOptions,
    encoder: PictureEncoder,
    timer: StageTimer,
    *,
    ensemble: EnsembleResult | None = None,
    multiclass: Sequence[ClassesFinding] | None = None,
    predicted: Sequence[PredictedRegion] = (),
) -> Pictures:
    """Draw and encode every picture of a screening at the size and in the style that was asked for.

    Parameters
    ----------
    film
        The film at its own size.
    experts
        Findings with maps.
    divergence
        Their contrast.
    options
        Size, style, colour map and opacity.
    encoder
        Pixels to PNG.
    timer
        Gets the stages ``overlays`` and ``encode``.
    ensemble
        Its labels; those with maps are drawn.
    multiclass
        Networks of exclusive classes; those with maps are drawn.
    predicted
        Predicted regions: they are drawn where they are likelier than not.

    Returns
    -------
    Pictures
        Their pixels cover the whole film, without margin.
    """
    height, width = overlay_size(film.height, film.width, options.overlay_px)
    with timer.stage("overlays"):
        grey = grey_levels(film.pixels, height, width)
    with timer.stage("encode"):
        background = Picture(encoder.grey(grey), width, height) if "film" in options.include else None
    if "overlays" not in options.include or divergence is None:
        return Pictures(background, {}, ())

    def draw(display: FloatMap, extent: Rectangle) -> Picture:
        with timer.stage("overlays"):
            heat = lay_over_film(display, extent, film.height, film.width, height, width)
            colours: NDArray[np.uint8]
            colours = (
                heat_levels(heat)
                if options.style == "heatmap"
                else blend(grey, heat, options.colormap, options.opacity)
            )
        with timer.stage("encode"):
            if options.style == "heatmap":
                png = encoder.palette(colours, palette_with_opacity(options.colormap, options.opacity))
            else:
                png = encoder.colour(colours)
        return Picture(png, width, height)

    return Pictures(
        background,
        {
            name: draw(drawn(positive_share(finding.activation_map), finding.flags), finding.extent)
            for name, finding in experts.items()
            if finding.activation_map is not None
        },
        tuple(draw(drawn(each.display, each.flags), divergence.extent) for each in divergence.maps),
        {
            label.name: draw(drawn(positive_share(found.values), found.flags), found.extent)
            for label in (ensemble.labels if ensemble is not None else ())
            if (found := label.activation_map) is not None
        },
        {
            each.name: draw(drawn(positive_share(each.activation_map), each.map_flags), each.extent)
            for each in multiclass or ()
            if each.activation_map is not None
        },
        {each.name: draw(each.shown, each.extent) for each in predicted},
    )
