"""Where an answer points, as boxes a viewer shows: Comprehensive 3D SR, only groups with regions (TID 1410)."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from highdicom.sr import (
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    SourceImageForRegion,
)
from pydicom import Dataset

from app.domain import codes
from app.domain.activation_map import lay_over_film, positive_share
from app.domain.codes import Code
from app.domain.overlay import overlay_size
from app.domain.regions import Region, hot_regions
from app.domain.result_identity import ResultKind
from app.domain.screening import ExpertFinding, drawn
from app.domain.source_image import SourceImage
from app.pacs.report_parts import algorithm, concept, probability, report, tracking
from app.services.hospital.ports import ResultContext, ResultObject
from app.services.screening import Screening

_GRID_PX: Final = 256
_MOST_BOXES: Final = 3


def regions_report(
    source: SourceImage, study: Dataset, screening: Screening, context: ResultContext
) -> ResultObject | None:
    """Box what is hot in the divergence and in the maps of experts that found their class.

    Returns
    -------
    ResultObject or None
        None where nothing is localised: no expert is positive, or no map shows anything.
    """
    groups = [
        _group(source, screening, context, *each, number) for number, each in enumerate(_boxes(screening), start=1)
    ]
    return report(source, study, context, ResultKind.REGIONS_REPORT, groups) if groups else None


def _boxes(screening: Screening) -> Iterator[tuple[str, ExpertFinding, Code, Region, list[str]]]:
    """Give name, expert, method, region and parameters of every box."""
    result = screening.result
    divergence = result.divergence
    if divergence is not None and divergence.regions and result.experts[divergence.interest].decision == "positive":
        alpha = divergence.maps[0].alpha
        for region in divergence.regions[0][:_MOST_BOXES]:
            parameters = [f"alpha {alpha:g}", f"overlap {divergence.overlap}", f"share {region.share:.3f}"]
            yield "divergence", result.experts[divergence.interest], codes.DIRECTED_DIVERGENCE, region, parameters
    for expert in result.experts.values():
        if expert.decision != "positive" or expert.activation_map is None:
            continue
        film = result.film
        height, width = overlay_size(film.height, film.width, _GRID_PX)
        heat = lay_over_film(
            drawn(positive_share(expert.activation_map), expert.flags), expert.extent, film.height, film.width, height,
            width,
        )  # fmt: skip
        for region in hot_regions(heat, film.height, film.width)[:_MOST_BOXES]:
            yield "map", expert, codes.CLASS_ACTIVATION, region, [f"share {region.share:.3f}"]


def _group(  # noqa: PLR0913, PLR0917  # what one box is made of
    source: SourceImage,
    screening: Screening,
    context: ResultContext,
    name: str,
    expert: ExpertFinding,
    method: Code,
    region: Region,
    parameters: list[str],
    number: int,
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    x0, y0, x1, y1 = region.box
    corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], np.float64)
    corners[:, 0] = np.clip(corners[:, 0], 0.0, max(source.columns, 1))
    corners[:, 1] = np.clip(corners[:, 1], 0.0, max(source.rows, 1))
    models = [each for each in screening.result.models if each.name in screening.result.experts]
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking(source, context, f"{expert.title} {name} {number}"),
        referenced_region=ImageRegion(
            graphic_type=GraphicTypeValues.POLYLINE,
            graphic_data=corners,
            source_image=SourceImageForRegion(source.sop_class_uid, source.sop_instance_uid),
        ),
        finding_type=concept(codes.finding_code(expert.name)),
        method=concept(method),
        algorithm_id=algorithm(f"Discern {name}", context, models, parameters),
        finding_sites=[_site(region)],
        measurements=[probability(expert.probability)],
        qualitative_evaluations=[
            QualitativeEvaluation(concept(codes.FINDING), concept(codes.DECISIONS[expert.decision]))
        ],
    )


def _site(region: Region) -> FindingSite:
    side = (region.zone or "").partition(" ")[0]
    laterality = {"right": codes.RIGHT, "left": codes.LEFT}.get(side)
    return FindingSite(concept(codes.LUNG), laterality=concept(laterality) if laterality is not None else None)
