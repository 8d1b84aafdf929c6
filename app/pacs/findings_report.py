"""Everything an answer says, for machines: Comprehensive 3D SR, a group (TID 1501) per expert and per label."""

from highdicom.sr import (
    FindingSite,
    MeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    SourceImageForMeasurementGroup,
)
from pydicom import Dataset

from app.domain import codes
from app.domain.result_identity import ResultKind
from app.domain.source_image import SourceImage
from app.pacs.report_parts import algorithm, concept, number, report, tracking
from app.services.hospital.records import ResultContext, ResultObject
from app.services.screening import Screening


def findings_report(source: SourceImage, study: Dataset, screening: Screening, context: ResultContext) -> ResultObject:
    """Write probability, threshold and decision of both experts and of every label of the ensemble."""
    result = screening.result
    groups = []
    experts = [model for model in result.models if model.name in result.experts]
    for expert in result.experts.values():
        evaluations = [QualitativeEvaluation(concept(codes.FINDING), concept(codes.DECISIONS[expert.decision]))]
        groups.append(
            MeasurementsAndQualitativeEvaluations(
                tracking_identifier=tracking(source, context, f"expert {expert.title}"),
                finding_type=concept(codes.finding_code(expert.name)),
                method=concept(codes.CLASS_ACTIVATION),
                algorithm_id=algorithm(
                    f"Discern {expert.title}",
                    context,
                    [model for model in experts if model.name == expert.name],
                    [f"alpha {each.alpha:g}" for each in (result.divergence.maps if result.divergence else ())],
                ),
                finding_sites=[FindingSite(concept(codes.LUNG))],
                measurements=[
                    number(expert.probability),
                    number(expert.operating_point.threshold, codes.THRESHOLD),
                ],
                qualitative_evaluations=evaluations,
                source_images=[SourceImageForMeasurementGroup(source.sop_class_uid, source.sop_instance_uid)],
            )
        )
    if result.ensemble is not None:
        for label in result.ensemble.labels:
            decision = concept(codes.DECISIONS[label.decision] if label.evaluated else codes.NOT_EVALUATED)
            groups.append(
                MeasurementsAndQualitativeEvaluations(
                    tracking_identifier=tracking(source, context, f"ensemble {label.name}"),
                    finding_type=concept(codes.finding_code(label.name)),
                    algorithm_id=algorithm(
                        "Discern ensemble",
                        context,
                        [model for model in result.models if model.name in label.members],
                        [],
                    ),
                    finding_sites=[FindingSite(concept(codes.LUNG))],
                    measurements=[
                        number(label.probability),
                        number(label.operating_point.threshold, codes.THRESHOLD),
                    ],
                    qualitative_evaluations=[QualitativeEvaluation(concept(codes.FINDING), decision)],
                    source_images=[SourceImageForMeasurementGroup(source.sop_class_uid, source.sop_instance_uid)],
                )
            )
    return report(source, study, context, ResultKind.FINDINGS_REPORT, groups)
