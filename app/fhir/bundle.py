"""An answer as a FHIR R4 transaction: ImagingStudy, Devices, an Observation per finding, DiagnosticReport, Provenance.

A repeat changes nothing: what has an identifier is created only if there is none of it yet (conditional create), and
the Provenance, which can have none in R4, is put under an id made of the result's UID. Nothing is ever updated; a later
model version has other identifiers, and its Provenance names what it revises.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from app.domain.codes import Code
from app.domain.result_identity import ResultKind, result_uid
from app.domain.screening import NOTICE, ModelIdentity
from app.domain.source_image import SourceImage
from app.fhir.elements import (
    DICOM_UID_SYSTEM,
    Json,
    accession,
    concept,
    dicom_identifier,
    full_url,
    hl7_concept,
    plain,
    resource_id,
    uid_identifier,
)
from app.fhir.findings import Finding, findings, not_analysed
from app.services.hospital.records import Refusal, ResultContext, ResultObject
from app.services.hospital.study_identity import StudyIdentifier, StudyIdentity
from app.services.screening import Screening

CONTENT_TYPE = "application/fhir+json"
_IMAGING = hl7_concept("observation-category", "imaging", "Imaging")
_RADIOLOGY = hl7_concept("v2-0074", "RAD", "Radiology")
_REPORT = Code("18748-4", "LN", "Diagnostic imaging study")


@dataclass(frozen=True, slots=True)
class _Frame:
    """What all resources of one bundle share."""

    source: SourceImage
    study: StudyIdentity
    context: ResultContext
    patient_system: str

    def uid(self, part: str) -> str:
        return result_uid(self.source.sop_instance_uid, self.context.model_version, part)

    @property
    def report_uid(self) -> str:
        return self.uid(ResultKind.FHIR_BUNDLE)

    @property
    def study_url(self) -> str:
        return full_url(result_uid(self.source.study_instance_uid, "study", "fhir"))

    @property
    def software_uid(self) -> str:
        return result_uid("discern", self.context.model_version, "fhir:device")

    @property
    def subject(self) -> Json:
        """The patient by identifier: which resource that is, the server knows."""
        if not self.study.patient_id:
            return {"type": "Patient", "display": "no patient ID in the film's header"}
        identifier: Json = {"value": plain(self.study.patient_id)}
        if self.patient_system:
            identifier["system"] = self.patient_system
        if self.study.issuer:
            identifier["assigner"] = {"display": plain(self.study.issuer)}
        return {"type": "Patient", "identifier": identifier}

    @property
    def when(self) -> Json:
        issued: Json = {"issued": _instant(self.context.created)}
        return issued | ({"effectiveDateTime": self.study.study_date} if self.study.study_date else {})


class FhirBundleBuilder:
    """Implements `app.services.hospital.ports.ResultBuilder` for `ResultKind.FHIR_BUNDLE`.

    Parameters
    ----------
    identify_study
        Reads patient and study from a film's header.
    patient_system
        URI of the namespace of the hospital's patient IDs; empty where the server matches them without.
    """

    def __init__(self, identify_study: StudyIdentifier, patient_system: str = "") -> None:
        self._identify_study, self._patient_system = identify_study, patient_system

    def answered(
        self, source: SourceImage, screening: Screening, context: ResultContext, kinds: Collection[ResultKind]
    ) -> tuple[ResultObject, ...]:
        """Build the transaction of a screening."""
        if ResultKind.FHIR_BUNDLE not in kinds:
            return ()
        frame = self._frame(source, context)
        models = screening.result.models
        found = tuple(findings(screening.result))
        conclusion = f"AI result. {NOTICE} {_in_words(screening)}"
        return (_object(frame, _bundle(frame, models, found, "preliminary", conclusion)),)

    def refused(
        self, source: SourceImage, refusal: Refusal, context: ResultContext, kinds: Collection[ResultKind]
    ) -> tuple[ResultObject, ...]:
        """Build the transaction that says that, and why, a film was not analysed."""
        if ResultKind.FHIR_BUNDLE not in kinds:
            return ()
        frame = self._frame(source, context)
        conclusion = f"NOT ANALYSED: {refusal.detail} ({refusal.code}). This says nothing about the film."
        finding = not_analysed(refusal.code, refusal.detail)
        return (_object(frame, _bundle(frame, (), (finding,), "cancelled", conclusion)),)

    def is_own(self, source: SourceImage) -> bool:  # noqa: ARG002 - a port's parameter
        """No DICOM object is a bundle of ours."""
        return False

    def _frame(self, source: SourceImage, context: ResultContext) -> _Frame:
        return _Frame(source, self._identify_study(source), context, self._patient_system)


def _object(frame: _Frame, bundle: Json) -> ResultObject:
    content = json.dumps(bundle, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    return ResultObject(ResultKind.FHIR_BUNDLE, "", frame.report_uid, "", frame.source.study_instance_uid, content)


def _bundle(
    frame: _Frame, models: Sequence[ModelIdentity], found: Sequence[Finding], status: str, conclusion: str
) -> Json:
    observations = [(frame.uid(finding.part), _observation(frame, finding, models, status)) for finding in found]
    devices = [(_device_uid(model), _device(model)) for model in models]
    devices.append((frame.software_uid, _software(frame)))
    report = _report(frame, [uid for uid, _ in observations], status, conclusion)
    created = [*devices, *observations, (frame.report_uid, report)]
    study_query = f"identifier={quote(DICOM_UID_SYSTEM, safe='')}%7Curn%3Aoid%3A{frame.source.study_instance_uid}"
    study: Json = {
        "fullUrl": frame.study_url,
        "resource": _study(frame),
        "request": {"method": "POST", "url": "ImagingStudy", "ifNoneExist": study_query},
    }
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            study,
            *(_created(uid, resource) for uid, resource in created),
            _provenance_entry(frame, observations),
        ],
    }


def _created(uid: str, resource: Json) -> Json:
    query = f"identifier=urn%3Aietf%3Arfc%3A3986%7Curn%3Aoid%3A{uid}"
    request: Json = {"method": "POST", "url": resource["resourceType"], "ifNoneExist": query}
    return {"fullUrl": full_url(uid), "resource": resource, "request": request}


def _study(frame: _Frame) -> Json:
    source = frame.source
    identifiers = [dicom_identifier(source.study_instance_uid)]
    if frame.study.accession_number:
        identifiers.append(accession(frame.study.accession_number))
    instance: Json = {
        "uid": source.sop_instance_uid,
        "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{source.sop_class_uid}"},
    }
    modality: Json = {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": source.modality or "OT"}
    return {
        "resourceType": "ImagingStudy",
        "identifier": identifiers,
        "status": "available",
        "subject": frame.subject,
        **({"started": frame.study.study_date} if frame.study.study_date else {}),
        "series": [{"uid": source.series_instance_uid, "modality": modality, "instance": [instance]}],
    }


def _device_uid(model: ModelIdentity) -> str:
    return result_uid(model.name, f"{model.version} {model.sha256}", "fhir:device")


def _device(model: ModelIdentity) -> Json:
    return {
        "resourceType": "Device",
        "identifier": [uid_identifier(_device_uid(model))],
        "status": "active",
        "manufacturer": "Discern",
        "deviceName": [{"name": model.name, "type": "model-name"}],
        "modelNumber": model.name,
        "type": {"text": "machine-learning model"},
        "version": [{"type": {"text": "release"}, "value": model.version}],
        "property": [
            {"type": {"text": "SHA-256 of the weights"}, "valueCode": [{"text": model.sha256}]},
            {"type": {"text": "precision"}, "valueCode": [{"text": model.precision}]},
        ],
    }


def _software(frame: _Frame) -> Json:
    return {
        "resourceType": "Device",
        "identifier": [uid_identifier(frame.software_uid)],
        "status": "active",
        "manufacturer": "Discern",
        "deviceName": [{"name": "Discern", "type": "manufacturer-name"}],
        "type": {"text": "chest radiograph screening software"},
        "version": [{"type": {"text": "everything that answers"}, "value": frame.context.model_version}],
        "note": [{"text": NOTICE}],
    }


def _observation(frame: _Frame, finding: Finding, models: Sequence[ModelIdentity], status: str) -> Json:
    by_name = {model.name: model for model in models}
    model = by_name.get(finding.model) if finding.model is not None else None
    device = full_url(_device_uid(model)) if model is not None else full_url(frame.software_uid)
    notes = finding.body.get("note", [])
    assert isinstance(notes, list)
    return finding.body | {
        "resourceType": "Observation",
        "identifier": [uid_identifier(frame.uid(finding.part))],
        "status": status,
        "category": [_IMAGING],
        "subject": frame.subject,
        **frame.when,
        "device": {"reference": device},
        "derivedFrom": [{"reference": frame.study_url}],
        "note": [{"text": text} for text in (NOTICE, *notes)],
    }


def _report(frame: _Frame, observations: Sequence[str], status: str, conclusion: str) -> Json:
    number = frame.study.accession_number
    order: Json = {"basedOn": [{"type": "ServiceRequest", "identifier": accession(number)}]} if number else {}
    return {
        "resourceType": "DiagnosticReport",
        "identifier": [uid_identifier(frame.report_uid)],
        **order,
        "status": status,
        "category": [_RADIOLOGY],
        "code": concept(_REPORT, text="Chest radiograph screening by Discern"),
        "subject": frame.subject,
        **frame.when,
        "result": [{"reference": full_url(uid)} for uid in observations],
        "imagingStudy": [{"reference": frame.study_url}],
        "conclusion": conclusion,
    }


def _provenance_entry(frame: _Frame, observations: Sequence[tuple[str, Json]]) -> Json:
    uid = frame.uid("fhir:provenance")
    film: Json = {"identifier": dicom_identifier(frame.source.sop_instance_uid), "display": "the film"}
    entities: list[Json] = [
        {"role": "source", "what": {"reference": frame.study_url}},
        {"role": "source", "what": film},
    ]
    earlier = frame.context.predecessors.get(ResultKind.FHIR_BUNDLE)
    if earlier is not None:
        revised: Json = {"type": "DiagnosticReport", "identifier": uid_identifier(earlier[1])}
        entities.append({"role": "revision", "what": revised})
    targets = [frame.report_uid, *(observation for observation, _ in observations)]
    resource: Json = {
        "resourceType": "Provenance",
        "id": resource_id(uid),
        "target": [{"reference": full_url(target)} for target in targets],
        "recorded": _instant(frame.context.created),
        "activity": hl7_concept("v3-DataOperation", "CREATE", "create"),
        "agent": [
            {
                "type": hl7_concept("provenance-participant-type", "assembler", "Assembler"),
                "who": {"reference": full_url(frame.software_uid)},
            }
        ],
        "entity": entities,
    }
    request: Json = {"method": "PUT", "url": f"Provenance/{resource_id(uid)}"}
    return {"fullUrl": full_url(uid), "resource": resource, "request": request}


def _in_words(screening: Screening) -> str:
    said = [
        f"{expert.title}: {expert.decision} (probability {expert.probability:.3f})."
        for expert in screening.result.experts.values()
    ]
    return " ".join(said)


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
