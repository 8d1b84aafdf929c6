"""What of an answer is an area of the film: the hot areas that reports box, and both lungs (PS3.3, C.8.20.4)."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
from numpy.typing import NDArray

from app.domain import codes
from app.domain.codes import Code
from app.domain.overlay import overlay_size
from app.domain.regions import Region, over_film
from app.domain.screening import ScreeningResult
from app.domain.source_image import SourceImage
from app.pacs.hot_boxes import HotMap, hot_maps
from app.pacs.region_marks import Rgb, colour_of, label_of, words_of
from app.pacs.report_parts import concept, tracking_uid, weights
from app.services.hospital.records import ResultContext

Pixels = NDArray[np.bool_]
"""``(rows, columns)`` of the film, true inside the segment."""

_LUNGS: Final = (("right lung", codes.RIGHT), ("left lung", codes.LEFT))
"""In the order of `app.domain.lungs.SIDES`."""
_LUNG_COLOUR: Final[Rgb] = (150, 190, 220)
_LUNG_GRID_PX: Final = 1024
"""Longer side of the grid that lungs are cut on: finer than what a network knows of them, and soon done."""


def segments(
    source: SourceImage, result: ScreeningResult, context: ResultContext
) -> list[tuple[SegmentDescription, Pixels]]:
    """Describe every area of an answer, hot ones first, and give its pixels.

    Parameters
    ----------
    source
        The film; of its size the pixels are.
    result, context
        What was said of it; version and time.

    Returns
    -------
    list of (SegmentDescription, ndarray)
        Numbered from 1; hot areas are tracked by the UIDs of their boxes. A lung that was not found is left out, and so
        is an area without a pixel, on a film with fewer pixels than the map's grid has cells.
    """
    found = [(segment, pixels) for segment, pixels in _found(source, result, context) if pixels.any()]
    for number, (segment, _) in enumerate(found, start=1):
        segment.SegmentNumber = number
    return found


def _found(
    source: SourceImage, result: ScreeningResult, context: ResultContext
) -> Iterator[tuple[SegmentDescription, Pixels]]:
    if source.rows < 1 or source.columns < 1:
        return
    for found in hot_maps(result):
        for place, area in enumerate(found.areas, start=1):
            segment = _hot_segment(source, result, context, found, area.region, place)
            yield segment, over_film(area.cells, source.rows, source.columns)
    if result.lungs is None:
        return
    masks = result.lungs.masks(*overlay_size(source.rows, source.columns, _LUNG_GRID_PX))
    for (label, side), mask in zip(_LUNGS, masks, strict=True):
        algorithm = _algorithm("Discern lungs", context, weights(result.models[-1:]))
        segment = _segment(label, codes.ANATOMICAL_STRUCTURE, codes.LUNG, side, algorithm, _LUNG_COLOUR)
        segment.TrackingID, segment.TrackingUID = label, tracking_uid(source, context, label)
        yield segment, over_film(mask, source.rows, source.columns)


def _hot_segment(
    source: SourceImage, result: ScreeningResult, context: ResultContext, found: HotMap, region: Region, place: int
) -> SegmentDescription:
    algorithm = _algorithm(f"Discern {found.name}", context, [*found.parameters, *weights(found.models(result))])
    segment = _segment(
        label_of(found, place), codes.SPATIAL_CONCEPT, found.method, codes.finding_code(found.expert.name), algorithm,
        colour_of(found, tuple(result.experts)),
    )  # fmt: skip
    segment.SegmentDescription = words_of(found, region)
    segment.TrackingID = found.tracked(place)
    segment.TrackingUID = tracking_uid(source, context, found.tracked(place))
    where, *modifiers = codes.place_of(region.zone, lungs_known=result.lungs is not None)
    site = concept(where)
    if modifiers:
        site.AnatomicRegionModifierSequence = [concept(each) for each in modifiers]
    segment.AnatomicRegionSequence = [site]
    return segment


def _segment(
    label: str, category: Code, kind: Code, modifier: Code, algorithm: AlgorithmIdentificationSequence, colour: Rgb
) -> SegmentDescription:
    """Describe a segment; its number is given later."""
    segment = SegmentDescription(
        segment_number=1,
        segment_label=label,
        segmented_property_category=concept(category),
        segmented_property_type=concept(kind),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        display_color=CIELabColor.from_rgb(*colour),
    )
    segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [concept(modifier)]
    return segment


def _algorithm(name: str, context: ResultContext, parameters: Sequence[str]) -> AlgorithmIdentificationSequence:
    """Identify what drew a segment, as `report_parts.algorithm` does in reports (PS3.3, 10.16)."""
    made = AlgorithmIdentificationSequence(
        name=name[:64], family=concept(codes.ARTIFICIAL_INTELLIGENCE), version=context.model_version[:64]
    )
    made[0].AlgorithmParameters = "; ".join(parameters)
    return made
