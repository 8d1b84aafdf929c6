"""The coded reason why a film has no answer: a failure never looks like a normal film."""

from highdicom.sr import (
    MeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    SourceImageForMeasurementGroup,
)
from pydicom import Dataset

from app.domain import codes
from app.domain.result_identity import ResultKind
from app.domain.source_image import SourceImage
from app.pacs.report_parts import algorithm, concept, report, tracking
from app.services.hospital.records import Refusal, ResultContext, ResultObject


def not_analysed(source: SourceImage, study: Dataset, refusal: Refusal, context: ResultContext) -> ResultObject:
    """Write an SR with one group: the image was not analysed, because."""
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking(source, context, "not analysed"),
        finding_type=concept(codes.NOT_ANALYSED),
        algorithm_id=algorithm("Discern", context, [], [refusal.detail.encode("ascii", "replace").decode()[:512]]),
        qualitative_evaluations=[
            QualitativeEvaluation(concept(codes.REASON_NOT_ANALYSED), concept(codes.reason_code(refusal.code)))
        ],
        source_images=[SourceImageForMeasurementGroup(source.sop_class_uid, source.sop_instance_uid)],
    )
    return report(source, study, context, ResultKind.NOT_ANALYSED, [group])
