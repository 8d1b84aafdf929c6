"""Parts of structured reports: who observed, by which algorithm, with which parameters (PS3.16, TID 1500 and below)."""

from collections.abc import Sequence
from typing import Final

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    DeviceObserverIdentifyingAttributes,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    TrackingIdentifier,
)
from pydicom import Dataset
from pydicom.uid import UID, Comprehensive3DSRStorage

from app.domain import codes
from app.domain.codes import Code
from app.domain.result_identity import ResultKind, result_uid
from app.domain.screening import ModelIdentity
from app.domain.source_image import SourceImage
from app.pacs.own_objects import MANUFACTURER, MODEL_NAME, finished
from app.services.hospital.records import ResultContext, ResultObject

Group = PlanarROIMeasurementsAndQualitativeEvaluations | MeasurementsAndQualitativeEvaluations
_DEVICE_OBSERVER: Final = CodedConcept("121007", "DCM", "Device")
_METHOD: Final = "370129005"
_TITLE: Final = CodedConcept("126000", "DCM", "Imaging Measurement Report")


def concept(code: Code) -> CodedConcept:
    """Turn a triple into a coded concept."""
    return CodedConcept(code.value, code.scheme, code.meaning)


def algorithm(
    name: str, context: ResultContext, models: Sequence[ModelIdentity], parameters: Sequence[str]
) -> AlgorithmIdentification:
    """Identify what measured: name, version, parameters and the hash of every network's weights (TID 4019)."""
    return AlgorithmIdentification(
        name=name[:64],
        version=context.model_version,
        parameters=[*parameters, *weights(models)],
        family=concept(codes.ARTIFICIAL_INTELLIGENCE),
    )


def weights(models: Sequence[ModelIdentity]) -> list[str]:
    """Name networks and the hashes of their weights, a line each."""
    return [f"{model.name} {model.version} {model.precision} sha256 {model.sha256}" for model in models]


def tracking(source: SourceImage, context: ResultContext, name: str) -> TrackingIdentifier:
    """Name a group, the same every time it is built."""
    return TrackingIdentifier(uid=tracking_uid(source, context, name), identifier=name)


def tracking_uid(source: SourceImage, context: ResultContext, name: str) -> str:
    """Give the UID that everything which is said of one thing on one film is tracked by, in every object."""
    return result_uid(source.sop_instance_uid, context.model_version, f"tracking:{name}")


def number(value: float, name: Code = codes.PROBABILITY) -> Measurement:
    """Give a number without unit, in 0..1."""
    return Measurement(name=concept(name), value=round(value, 6), unit=concept(codes.UNITY))


def report(
    source: SourceImage, study: Dataset, context: ResultContext, kind: ResultKind, groups: Sequence[Group]
) -> ResultObject:
    """Put groups into a Comprehensive 3D SR that refers to the film (PS3.16, TID 1500; PS3.3, A.35.13)."""
    observer = ObserverContext(
        observer_type=_DEVICE_OBSERVER,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=result_uid("device", context.model_version, "device"),
            name=MODEL_NAME,
            manufacturer_name=MANUFACTURER,
            model_name=MODEL_NAME,
            serial_number=context.model_version,
        ),
    )
    content = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer),
        procedure_reported=concept(codes.IMAGING_PROCEDURE),
        imaging_measurements=list(groups),
        title=_TITLE,
        referenced_images=None,
    )
    document = document_of(source, content[0])
    _settle(document, context)
    name_predecessor(document, source, context, kind)
    return finished(document, source, study, context, kind)


def document_of(source: SourceImage, content: Dataset, sop_class: UID = Comprehensive3DSRStorage) -> Dataset:
    """Put a container into a document that refers to the film as its evidence (PS3.3, A.35.13.3).

    As highdicom's `Comprehensive3DSR` would, which copies and searches the whole content several times: half the time
    that answering a film took. `finished` writes patient, study, equipment and dates.
    """
    document = Dataset()
    document.SOPClassUID, document.Modality = sop_class, "SR"
    document.CompletionFlag, document.VerificationFlag, document.PreliminaryFlag = (
        "COMPLETE", "UNVERIFIED", "PRELIMINARY",
    )  # fmt: skip
    document.ReferencedPerformedProcedureStepSequence, document.PerformedProcedureCodeSequence = [], []
    document.CurrentRequestedProcedureEvidenceSequence = [
        _reference(source.sop_class_uid, source.sop_instance_uid, source.series_instance_uid, source.study_instance_uid)
    ]
    for element in content:
        document.add(element)
    return document


def _reference(sop_class: str, instance: str, series: str, study: str) -> Dataset:
    """Refer to one instance, by its study and series (PS3.3, C.17.2.1: Hierarchical SOP Instance Reference Macro)."""
    referenced, of_series, of_study = Dataset(), Dataset(), Dataset()
    referenced.ReferencedSOPClassUID, referenced.ReferencedSOPInstanceUID = sop_class, instance
    of_series.SeriesInstanceUID, of_series.ReferencedSOPSequence = series, [referenced]
    of_study.StudyInstanceUID, of_study.ReferencedSeriesSequence = study, [of_series]
    return of_study


def _settle(document: Dataset, context: ResultContext) -> None:
    """Give every observation the answer's own time, so that the same answer built twice is the same bytes.

    A method modifies its group (PS3.16, TID 1410 and 1501: HAS CONCEPT MOD); the library writes CONTAINS.
    """
    moment = context.created.strftime("%Y%m%d%H%M%S")
    waiting: list[Dataset] = [document]
    while waiting:
        item = waiting.pop()
        if "ObservationDateTime" in item:
            item.ObservationDateTime = moment
        if "ConceptNameCodeSequence" in item and item.ConceptNameCodeSequence[0].CodeValue == _METHOD:
            item.RelationshipType = "HAS CONCEPT MOD"
        for element in item:
            if element.VR == "SQ":
                waiting.extend(element.value)


def name_predecessor(document: Dataset, source: SourceImage, context: ResultContext, kind: ResultKind) -> None:
    """Refer to the report of an earlier model version that this one supersedes, never overwrites (PS3.3, C.17.2)."""
    if kind not in context.predecessors:
        return
    sop_class, instance, series, study = context.predecessors[kind]
    document.PredecessorDocumentsSequence = [
        _reference(sop_class, instance, series, study or source.study_instance_uid)
    ]
