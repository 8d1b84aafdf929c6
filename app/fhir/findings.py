"""One Observation per finding (hl7.org/fhir/R4/observation.html)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from app.domain.codes import DECISIONS, FINDING, PRIVATE_SCHEME, PROBABILITY, Code, finding_code
from app.domain.directed_divergence import DirectedDivergence
from app.domain.ensemble import EnsembleResult, LabelFinding
from app.domain.multiclass import ClassesFinding
from app.domain.operating_point import OperatingPoint
from app.domain.regions import Region
from app.domain.screening import DivergenceFinding, ExpertFinding, ScreeningResult
from app.fhir.elements import UCUM, Json, concept

DIVERGENCE = Code("directed-divergence", PRIVATE_SCHEME, "Amplified directed divergence of two class activation maps")
AMPLIFICATION = Code("alpha", PRIVATE_SCHEME, "Amplification of the directed divergence")
THRESHOLD = Code("threshold", PRIVATE_SCHEME, "Operating point: threshold")
REGION = Code("region", PRIVATE_SCHEME, "Region where the map is at least half its maximum")
PREDICTED_CLASS = Code("predicted-class", PRIVATE_SCHEME, "Most probable of classes that exclude each other")


@dataclass(frozen=True, slots=True)
class Finding:
    """What an Observation of ours says, before it is put into its frame.

    Attributes
    ----------
    part
        Names it within the film and the model version, for its UID.
    model
        Name of the network that says it; None where several do.
    body
        ``code``, ``value[x]``, ``component``, ``method`` and ``note`` of the Observation.
    """

    part: str
    model: str | None
    body: Json


def findings(result: ScreeningResult) -> Iterator[Finding]:
    """Give every finding: experts, their divergence, labels of the ensemble, exclusive classes; in this order."""
    for expert in result.experts.values():
        yield _expert(expert)
    if result.divergence is not None:
        for index, found in enumerate(result.divergence.maps):
            regions = result.divergence.regions[index] if result.divergence.regions else ()
            yield _divergence(result.divergence, found, regions)
    if result.ensemble is not None:
        for label in result.ensemble.labels:
            yield _label(label, result.ensemble)
    for classes in result.multiclass or ():
        yield _classes(classes)


def _expert(expert: ExpertFinding) -> Finding:
    components = [_probability(expert.probability), _threshold(expert.operating_point)]
    notes = [*(f"Indeterminate because of: {doubt}" for doubt in expert.doubts), *_flagged(expert.flags)]
    body: Json = {
        "code": concept(finding_code(expert.name), text=expert.title),
        "valueCodeableConcept": concept(DECISIONS[expert.decision], text=expert.decision),
        "method": {"text": "expert network: one class against everything else, calibrated"},
        "component": components,
        "note": notes,
    }
    return Finding(f"fhir:expert:{expert.name}", expert.name, body)


def _divergence(finding: DivergenceFinding, found: DirectedDivergence, regions: tuple[Region, ...]) -> Finding:
    where = [{"code": concept(REGION), "valueString": _region_in_words(region)} for region in regions] or [
        {"code": concept(REGION), "valueString": "none"}
    ]
    reason = f": {finding.reason}" if finding.reason else ""
    intended = (
        "Used as intended: both experts are positive" if finding.intended_use else f"Outside intended use{reason}"
    )
    body: Json = {
        "code": concept(DIVERGENCE, text=f"What tells {finding.interest} from {finding.overlap}"),
        "valueString": f"{len(regions)} regions of {finding.interest} against {finding.overlap}",
        "method": {"text": "amplified directed divergence of two class activation maps, in the log domain"},
        "component": [{"code": concept(AMPLIFICATION), "valueQuantity": _number(found.alpha)}, *where],
        "note": [intended, *_flagged(found.flags)],
    }
    return Finding(f"fhir:divergence:{finding.interest}:{finding.overlap}:{found.alpha:g}", None, body)


def _label(label: LabelFinding, ensemble: EnsembleResult) -> Finding:
    notes = [] if label.evaluated else ["Not evaluated: too few films of this label to measure anything"]
    body: Json = {
        "code": concept(finding_code(label.name)),
        "valueCodeableConcept": concept(DECISIONS[label.decision], text=label.decision),
        "method": {"text": f"ensemble of {len(label.members)} multi-label networks"},
        "component": [_probability(label.probability), _threshold(label.operating_point)],
        "note": [*notes, *_flagged(ensemble.flags)],
    }
    return Finding(f"fhir:label:{label.name}", None, body)


def _classes(classes: ClassesFinding) -> Finding:
    body: Json = {
        "code": concept(PREDICTED_CLASS, text=classes.title),
        "valueCodeableConcept": concept(finding_code(classes.predicted)),
        "method": {"text": "network of exclusive classes; its shares sum to one and are no expert's probabilities"},
        "component": [_share(name, share) for name, share in classes.probabilities.items()],
        "note": [*_flagged(classes.flags), *_flagged(classes.map_flags)],
    }
    return Finding(f"fhir:classes:{classes.name}", classes.name, body)


def not_analysed(code: str, detail: str) -> Finding:
    """Give the Observation that was not made, and why; it has no value and can be taken for no normal film."""
    reason = concept(Code(code, PRIVATE_SCHEME, code.replace("_", " ")), text=detail)
    absent: Json = {
        "system": "http://terminology.hl7.org/CodeSystem/data-absent-reason",
        "code": "not-performed",
        "display": "Not Performed",
    }
    body: Json = {
        "code": concept(FINDING, text="Chest radiograph screening"),
        "dataAbsentReason": {"coding": [absent, *_codings(reason)], "text": f"Not analysed: {detail}"},
        "note": [f"Not analysed: {detail}"],
    }
    return Finding("fhir:not-analysed", None, body)


def _codings(of: Mapping[str, object]) -> list[object]:
    found = of["coding"]
    assert isinstance(found, list)
    return found


def _flagged(flags: tuple[str, ...]) -> list[str]:
    return [f"Flag: {flag}" for flag in flags]


def _probability(value: float) -> Json:
    return {"code": concept(PROBABILITY), "valueQuantity": _number(value)}


def _share(name: str, value: float) -> Json:
    return {"code": concept(finding_code(name)), "valueQuantity": _number(value)}


def _threshold(point: OperatingPoint) -> Json:
    return {"code": concept(THRESHOLD, text=point.name), "valueQuantity": _number(point.threshold)}


def _number(value: float) -> Json:
    return {"value": round(float(value), 6), "system": UCUM, "code": "1"}


def _region_in_words(region: Region) -> str:
    box = ", ".join(str(int(edge)) for edge in region.box)
    zone = f"; {region.zone}" if region.zone else ""
    return f"pixels [{box}] of the film; {region.share:.2f} of the map's heat{zone}"
