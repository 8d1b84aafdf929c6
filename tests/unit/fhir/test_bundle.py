import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle

from app.domain.codes import PRIVATE_SCHEME
from app.domain.result_identity import ResultKind, result_uid
from app.domain.screening import NOTICE
from app.fhir.bundle import FhirBundleBuilder
from app.services.hospital.records import Refusal, ResultObject
from app.services.screening import Screening
from tests.unit.fhir.screenings import CONTEXT, IDENTITY, SOURCE, anonymous, identified, screened

KINDS = frozenset({ResultKind.FHIR_BUNDLE})
REFUSAL = Refusal("lateral_view", "(0018,5101) is LL; a frontal view expected")
Json = dict[str, Any]  # Any: JSON


@pytest.fixture(scope="module")
def screening(release: Path, film_png: bytes) -> Screening:
    return screened(release, film_png)


@pytest.fixture(scope="module")
def answered(screening: Screening) -> ResultObject:
    (found,) = FhirBundleBuilder(identified, "urn:oid:1.2.3").answered(SOURCE, screening, CONTEXT, KINDS)
    return found


@pytest.fixture(scope="module")
def refused() -> ResultObject:
    (found,) = FhirBundleBuilder(identified).refused(SOURCE, REFUSAL, CONTEXT, KINDS)
    return found


def resources(result: ResultObject, kind: str) -> list[Json]:
    entries = json.loads(result.content)["entry"]
    return [entry["resource"] for entry in entries if entry["resource"]["resourceType"] == kind]


def test_both_are_valid_by_an_independent_reader(answered: ResultObject, refused: ResultObject) -> None:
    for result in (answered, refused):
        bundle = Bundle.model_validate_json(result.content)
        again = json.loads(bundle.model_dump_json())
        assert again == json.loads(result.content.replace(b".000Z", b"Z")), "it understood all of it"

    wrong = json.loads(answered.content)
    del wrong["entry"][-2]["resource"]["status"]
    with pytest.raises(ValueError, match="status"):
        Bundle.model_validate(wrong)


def test_every_finding_is_a_preliminary_observation_with_its_probability(
    answered: ResultObject, screening: Screening
) -> None:
    observations = resources(answered, "Observation")
    result = screening.result
    assert result.ensemble is not None
    assert result.divergence is not None

    assert len(observations) == len(result.experts) + len(result.ensemble.labels) + len(result.divergence.maps)
    assert {observation["status"] for observation in observations} == {"preliminary"}
    assert all(observation["note"][0]["text"] == NOTICE for observation in observations)
    covid = observations[0]
    expert = result.experts["covid19"]
    assert covid["code"]["coding"][0]["code"] == "840539006"
    assert covid["component"][0]["code"]["coding"][0] == {
        "system": "http://dicom.nema.org/resources/ontology/DCM", "code": "122157", "display": "Probability",
    }  # fmt: skip
    assert covid["component"][0]["valueQuantity"]["value"] == pytest.approx(expert.probability, abs=1e-6)
    assert covid["valueCodeableConcept"]["text"] == expert.decision
    assert [report["status"] for report in resources(answered, "DiagnosticReport")] == ["preliminary"]


def test_the_divergence_names_its_regions_and_its_amplification(answered: ResultObject, screening: Screening) -> None:
    divergence = next(
        observation
        for observation in resources(answered, "Observation")
        if observation["code"]["coding"][0]["code"] == "directed-divergence"
    )
    found = screening.result.divergence
    assert found is not None

    where = [each["valueString"] for each in divergence["component"][1:]]
    assert divergence["component"][0]["valueQuantity"]["value"] == found.maps[0].alpha
    assert len(where) == max(1, len(found.regions[0]))
    for region, text in zip(found.regions[0], where, strict=False):
        assert str(list(region.box)) in text


def test_every_reference_leads_to_an_entry_and_every_finding_to_its_film_and_device(answered: ResultObject) -> None:
    bundle = json.loads(answered.content)
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    kinds = {entry["fullUrl"]: entry["resource"]["resourceType"] for entry in bundle["entry"]}

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["reference"]] if "reference" in value else []
            return own + [found for each in value.values() for found in references(each)]
        return [found for each in value for found in references(each)] if isinstance(value, list) else []

    assert len(urls) == len(set(urls))
    assert all(url == f"urn:uuid:{uuid.UUID(url.removeprefix('urn:uuid:'))}" for url in urls)
    assert set(references(bundle)) <= set(urls)
    for observation in resources(answered, "Observation"):
        assert kinds[observation["device"]["reference"]] == "Device"
        assert kinds[observation["derivedFrom"][0]["reference"]] == "ImagingStudy"
    (report,) = resources(answered, "DiagnosticReport")
    assert [kinds[result["reference"]] for result in report["result"]] == ["Observation"] * len(report["result"])
    (provenance,) = resources(answered, "Provenance")
    assert {kinds[target["reference"]] for target in provenance["target"]} == {"DiagnosticReport", "Observation"}


def test_devices_are_the_weights_by_name_version_and_hash(answered: ResultObject, screening: Screening) -> None:
    named = {
        device["modelNumber"]: (device["version"][0]["value"], device["property"][0]["valueCode"][0]["text"])
        for device in resources(answered, "Device")
        if "modelNumber" in device
    }

    assert named == {model.name: (model.version, model.sha256) for model in screening.result.models}


def test_the_same_film_and_version_give_the_same_bytes_and_another_version_other_identifiers(
    screening: Screening, answered: ResultObject
) -> None:
    builder = FhirBundleBuilder(identified, "urn:oid:1.2.3")
    (again,) = builder.answered(SOURCE, screening, CONTEXT, KINDS)
    earlier = ("", answered.sop_instance_uid, "", "1.2.3")
    newer_context = replace(CONTEXT, model_version="covid19 2.0.0", predecessors={ResultKind.FHIR_BUNDLE: earlier})
    (newer,) = builder.answered(SOURCE, screening, newer_context, KINDS)

    assert again.content == answered.content
    assert answered.sop_instance_uid == result_uid("1.2.3.4.5", CONTEXT.model_version, "fhir")
    for kind in ("Observation", "DiagnosticReport"):
        old, new = ({each["identifier"][0]["value"] for each in resources(of, kind)} for of in (answered, newer))
        assert not old & new
    (provenance,) = resources(newer, "Provenance")
    assert provenance["entity"][-1]["what"]["identifier"]["value"] == f"urn:oid:{answered.sop_instance_uid}"


def test_a_refusal_has_no_value_and_says_why_in_code_and_words(refused: ResultObject) -> None:
    (observation,), (report,) = resources(refused, "Observation"), resources(refused, "DiagnosticReport")

    assert (observation["status"], report["status"]) == ("cancelled", "cancelled")
    assert not [name for name in observation if name.startswith("value")]
    codes = [coding["code"] for coding in observation["dataAbsentReason"]["coding"]]
    assert codes == ["not-performed", "lateral_view"]
    assert "NOT ANALYSED" in report["conclusion"]
    assert REFUSAL.detail in report["conclusion"]
    assert PRIVATE_SCHEME not in refused.content.decode()


def test_the_patient_is_referred_to_by_identifier_and_a_film_without_one_still_has_a_bundle(
    answered: ResultObject, screening: Screening
) -> None:
    (unknown,) = FhirBundleBuilder(anonymous).answered(SOURCE, screening, CONTEXT, KINDS)

    expected = {"value": IDENTITY.patient_id, "system": "urn:oid:1.2.3", "assigner": {"display": IDENTITY.issuer}}
    assert resources(answered, "DiagnosticReport")[0]["subject"]["identifier"] == expected
    assert resources(answered, "Patient") == []
    assert "identifier" not in resources(unknown, "DiagnosticReport")[0]["subject"]
    Bundle.model_validate_json(unknown.content)


def test_nothing_is_built_that_was_not_asked_for(screening: Screening) -> None:
    builder = FhirBundleBuilder(identified)

    assert builder.answered(SOURCE, screening, CONTEXT, frozenset({ResultKind.SECONDARY_CAPTURE})) == ()
    assert builder.refused(SOURCE, REFUSAL, CONTEXT, frozenset()) == ()
    assert not builder.is_own(SOURCE)


def test_what_holds_a_patient_does_not_show_when_printed(answered: ResultObject) -> None:
    assert "CANARY" not in repr(answered) + repr(IDENTITY)
