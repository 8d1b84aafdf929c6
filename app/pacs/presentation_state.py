"""Where an answer points, as annotations that a viewer lays over the film: a presentation state (PS3.3, A.33.1)."""

import re
from typing import Final

import numpy as np
from highdicom.color import CIELabColor
from highdicom.pr import (
    AnnotationUnitsValues,
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GraphicTypeValues,
    GrayscaleSoftcopyPresentationState,
    TextJustificationValues,
    TextObject,
)
from pydicom import Dataset

from app.domain.regions import Region
from app.domain.result_identity import ResultKind
from app.domain.screening import ScreeningResult
from app.domain.source_image import SourceImage
from app.pacs.film_display import is_grayscale, show_as_film
from app.pacs.hot_boxes import HotMap, hot_maps
from app.pacs.own_objects import NOTICE, finished, maker
from app.pacs.region_marks import colour_of, corners_of, words_of
from app.pacs.report_parts import tracking_uid
from app.pacs.source_dataset import nameless
from app.services.hospital.records import ResultContext, ResultObject
from app.services.screening import Screening

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels of the film."""

_NOTICE_BOX: Final[Box] = (0.01, 0.95, 0.99, 0.99)
"""Of the displayed area: 0 to 1 across and down (PS3.3, C.10.5.1.2)."""
_NOTICE_COLOUR: Final = (255, 255, 255)
_LINE_SHARE: Final = 0.025
"""Height of a line of text, of the film's longer side."""
_CHARACTER_SHARE: Final = 0.6
"""Width of a character, of the height of a line."""


def presentation_state(
    source: SourceImage, study: Dataset, screening: Screening, context: ResultContext
) -> ResultObject | None:
    """Draw the boxes of `regions_report` over the film, each with its finding, zone and probability.

    Parameters
    ----------
    source, study
        The film, and its header as a data set.
    screening, context
        What was said of it; version and time.

    Returns
    -------
    ResultObject or None
        A Grayscale Softcopy Presentation State with a graphic layer for the divergence, one for every expert's map, and
        one that says whose result it is; the film's grayscale steps are its own. None where nothing is localised, and
        where the film is no grayscale image.
    """
    found = [each for each in hot_maps(screening.result) if each.areas]
    if not found or not is_grayscale(study) or source.rows < 1 or source.columns < 1:
        return None
    film = nameless(source)
    film.SamplesPerPixel = 1
    layers, annotations = _drawn(film, source, screening.result, found, context)
    made = GrayscaleSoftcopyPresentationState(
        referenced_images=[film],
        content_label="AI ANNOTATIONS",
        **maker(source, context, ResultKind.PRESENTATION_STATE),
        graphic_layers=layers,
        graphic_annotations=annotations,
    )
    del made.ContributingEquipmentSequence  # the library names itself, with the time of day
    made.Laterality = ""  # of a chest neither side
    show_as_film(made, source, study)
    return finished(made, source, study, context, ResultKind.PRESENTATION_STATE)


def _drawn(
    film: Dataset, source: SourceImage, result: ScreeningResult, found: list[HotMap], context: ResultContext
) -> tuple[list[GraphicLayer], list[GraphicAnnotation]]:
    """Give the layers, the notice's last and so on top, and what is drawn in each."""
    experts = tuple(result.experts)
    layers, annotations = [], []
    taken: list[Box] = []
    for order, each in enumerate(found, start=1):
        shows = "directed divergence" if each.name == "divergence" else "class activation map"
        description = f"{each.expert.title}: {shows}".encode("ascii", "replace").decode()[:64]
        layers.append(_layer(_layer_name(each, experts), order, description, colour_of(each, experts)))
        graphics, texts = [], []
        for place, area in enumerate(each.areas, start=1):
            tracked = each.tracked(place)
            uid = tracking_uid(source, context, tracked)
            graphics.append(
                GraphicObject(
                    GraphicTypeValues.POLYLINE,
                    corners_of(source, area.region),
                    AnnotationUnitsValues.PIXEL,
                    tracking_id=tracked,
                    tracking_uid=uid,
                )
            )
            words = words_of(each, area.region)
            taken.append(_room(source, area.region, words, taken))
            texts.append(
                TextObject(
                    words,
                    AnnotationUnitsValues.PIXEL,
                    bounding_box=taken[-1],
                    text_justification=TextJustificationValues.LEFT,
                    tracking_id=tracked,
                    tracking_uid=uid,
                )
            )
        annotations.append(GraphicAnnotation([film], layers[-1], graphic_objects=graphics, text_objects=texts))
    layers.append(_layer("NOTICE", len(layers) + 1, "Whose result it is, and what for", _NOTICE_COLOUR))
    notice = TextObject(
        f"{NOTICE} {context.model_version}", AnnotationUnitsValues.DISPLAY, bounding_box=_NOTICE_BOX,
        text_justification=TextJustificationValues.LEFT,
    )  # fmt: skip
    annotations.append(GraphicAnnotation([film], layers[-1], text_objects=[notice]))
    return layers, annotations


def _layer(name: str, order: int, description: str, colour: tuple[int, int, int]) -> GraphicLayer:
    layer = GraphicLayer(name, order, description, CIELabColor.from_rgb(*colour))
    layer.GraphicLayerRecommendedDisplayGrayscaleValue = 0xFFFF
    return layer


def _layer_name(found: HotMap, experts: tuple[str, ...]) -> str:
    """Give a layer's name, a code string (PS3.5, 6.2): one for the divergence, one for every expert."""
    if found.name == "divergence":
        return "DIVERGENCE"
    name = re.sub("[^A-Z0-9]+", " ", found.expert.name.upper())
    return f"MAP {experts.index(found.expert.name) + 1} {name}"[:16].strip()


def _room(source: SourceImage, region: Region, words: str, taken: list[Box]) -> Box:
    """Find a line's place on the film: above its box, or below what already stands there."""
    line = max(1.0, _LINE_SHARE * max(source.rows, source.columns))
    width = min(float(source.columns), _CHARACTER_SHARE * line * len(words))
    height = min(float(source.rows), line)
    left, top = corners_of(source, region)[0]
    left, top = min(float(left), source.columns - width), max(0.0, float(top) - height)
    lowest = source.rows - height
    while top < lowest and any(_overlap((left, top, left + width, top + height), each) for each in taken):
        top = min(lowest, top + height)
    return left, min(top, lowest), left + width, min(top, lowest) + height


def _overlap(one: Box, other: Box) -> bool:
    return bool(np.all([one[0] < other[2], other[0] < one[2], one[1] < other[3], other[1] < one[3]]))
