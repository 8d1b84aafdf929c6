"""An answer in sentences, for viewers that show no measurements: Basic Text SR (PS3.3, A.35.1)."""

from pydicom import Dataset
from pydicom.uid import BasicTextSRStorage

from app.domain import codes
from app.domain.codes import Code
from app.domain.label_hierarchy import DISPLAY_NAMES
from app.domain.result_identity import ResultKind
from app.domain.source_image import SourceImage
from app.pacs.own_objects import NOTICE, finished
from app.pacs.report_parts import concept, document_of, name_predecessor
from app.services.hospital.records import ResultContext, ResultObject
from app.services.screening import Screening


def text_report(source: SourceImage, study: Dataset, screening: Screening, context: ResultContext) -> ResultObject:
    """Write what both experts, the divergence and the ensemble say, a sentence each, behind the disclaimer."""
    findings = _item("CONTAINER", codes.FINDINGS)
    findings.ContinuityOfContent = "SEPARATE"
    findings.ContentSequence = [_sentence(text) for text in _sentences(screening, context)]
    root = _item("CONTAINER", codes.DIAGNOSTIC_REPORT)
    del root.RelationshipType
    root.ContinuityOfContent = "SEPARATE"
    root.ContentSequence = [findings]
    document = document_of(source, root, BasicTextSRStorage)
    name_predecessor(document, source, context, ResultKind.TEXT_REPORT)
    return finished(document, source, study, context, ResultKind.TEXT_REPORT)


def _sentences(screening: Screening, context: ResultContext) -> list[str]:
    result = screening.result
    said = [f"{NOTICE} {context.model_version}."]
    for expert in result.experts.values():
        doubts = f" Doubts: {', '.join(expert.doubts).replace('_', ' ')}." if expert.doubts else ""
        said.append(
            f"{DISPLAY_NAMES.get(expert.name, expert.name)}: {expert.decision}, probability {expert.probability:.3f}, "
            f"threshold {expert.operating_point.threshold:.3f}.{doubts}"
        )
    divergence = result.divergence
    if divergence is not None:
        if divergence.reason:
            said.append(divergence.reason)
        zones = [region.zone or "outside the lungs" for region in (divergence.regions or ((),))[0]]
        if zones:
            first = DISPLAY_NAMES.get(divergence.interest, divergence.interest)
            said.append(f"What speaks most for {first} lies: {', '.join(dict.fromkeys(zones))}.")
    if result.ensemble is not None:
        likely = sorted((each for each in result.ensemble.labels if each.evaluated), key=lambda each: -each.probability)
        named = ", ".join(f"{DISPLAY_NAMES.get(each.name, each.name)} {each.probability:.3f}" for each in likely)
        said.append(f"Ensemble: {named}.")
    return [text.encode("ascii", "replace").decode() for text in said]


def _sentence(text: str) -> Dataset:
    item = _item("TEXT", codes.FINDING)
    item.TextValue = text
    return item


def _item(kind: str, name: Code) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", kind
    item.ConceptNameCodeSequence = [concept(name)]
    return item
