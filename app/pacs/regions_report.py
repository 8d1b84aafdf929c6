"""Where an answer points, as boxes a viewer shows: Comprehensive 3D SR, only groups with regions (TID 1410)."""

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
from app.domain.regions import Region
from app.domain.result_identity import ResultKind
from app.domain.source_image import SourceImage
from app.pacs.hot_boxes import HotMap, hot_maps
from app.pacs.region_marks import corners_of
from app.pacs.report_parts import algorithm, concept, number, report, tracking
from app.services.hospital.records import ResultContext, ResultObject
from app.services.screening import Screening


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
        _group(source, screening, context, found, region, place)
        for found in hot_maps(screening.result)
        for place, region in enumerate(found.regions, start=1)
    ]
    return report(source, study, context, ResultKind.REGIONS_REPORT, groups) if groups else None


def site(region: Region, *, lungs_known: bool) -> FindingSite:
    """Say where a region lies: lung, side and zone; the chest where the lungs are known and it lies outside them."""
    return FindingSite(*map(concept, codes.place_of(region.zone, lungs_known=lungs_known)))


def _group(  # what one box is made of
    source: SourceImage, screening: Screening, context: ResultContext, found: HotMap, region: Region, place: int
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    expert, result = found.expert, screening.result
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking(source, context, found.tracked(place)),
        referenced_region=ImageRegion(
            graphic_type=GraphicTypeValues.POLYLINE,
            graphic_data=corners_of(source, region),
            source_image=SourceImageForRegion(source.sop_class_uid, source.sop_instance_uid),
        ),
        finding_type=concept(codes.finding_code(expert.name)),
        method=concept(found.method),
        algorithm_id=algorithm(f"Discern {found.name}", context, found.models(result), found.parameters),
        finding_sites=[site(region, lungs_known=result.lungs is not None)],
        measurements=[number(expert.probability), number(region.share, codes.SHARE)],
        qualitative_evaluations=[
            QualitativeEvaluation(concept(codes.FINDING), concept(codes.DECISIONS[expert.decision]))
        ],
    )
