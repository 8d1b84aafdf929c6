"""Results and audit events at a FHIR server that is not ours, which checks every resource by the R4 definitions."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.result_identity import ResultKind
from app.fhir.audit_sink import FhirAuditSink
from app.fhir.bundle import FhirBundleBuilder
from app.fhir.client import FhirAddress, FhirClient
from app.fhir.destination import FhirDestination
from app.services.hospital.audit_terms import described
from app.services.hospital.records import Confirmation, Refusal
from tests.integration.fhir.medplum import Medplum, medplum, why_not
from tests.unit.fhir.screenings import CONTEXT, SOURCE, identified, screened
from tests.unit.pacs.audit_records import RECORDS
from tests.unit.pacs.audit_records import SOURCE as AUDIT_SOURCE

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]
KINDS = ("ImagingStudy", "Device", "Observation", "DiagnosticReport", "Provenance")


@pytest.fixture(scope="module")
def server() -> Iterator[Medplum]:
    with medplum() as running:
        yield running


@pytest.fixture
def client(server: Medplum) -> Iterator[FhirClient]:
    found = FhirClient(FhirAddress(server.url, timeout_s=30.0))
    yield found
    found.close()


def errors(server: Medplum) -> list[str]:
    """What is left of its validator's findings: that a bundle's own references are not yet of any type is no fault."""
    return [problem for problem in server.problems() if "urn:uuid:" not in problem]


def test_results_are_valid_are_there_once_and_a_refusal_is_found_too(
    server: Medplum, client: FhirClient, release: Path, film_png: bytes
) -> None:
    builder, wanted = FhirBundleBuilder(identified, "urn:oid:1.2.3"), frozenset({ResultKind.FHIR_BUNDLE})
    (answered,) = builder.answered(SOURCE, screened(release, film_png), CONTEXT, wanted)
    refusal = Refusal("lateral_view", "(0018,5101) is LL; a frontal view expected")
    (refused,) = builder.refused(replace(SOURCE, sop_instance_uid="1.2.3.4.9"), refusal, CONTEXT, wanted)
    destination = FhirDestination("medplum", client, one_by_one=True)

    assert destination.confirm([answered]) == {answered.sop_instance_uid: Confirmation.MISSING}
    assert destination.send([answered])[answered.sop_instance_uid].accepted
    held = {kind: len(found) for kind, found in server.held(*KINDS).items()}
    assert destination.send([answered])[answered.sop_instance_uid].accepted
    again = {kind: len(found) for kind, found in server.held(*KINDS).items()}
    client.transaction(answered.content)  # refused for its size, after it was validated
    client.transaction(refused.content)

    assert destination.confirm([answered]) == {answered.sop_instance_uid: Confirmation.HELD}
    assert again == held
    assert held["Observation"] == 17
    assert errors(server) == []


def test_a_small_transaction_is_done_as_one(server: Medplum, client: FhirClient) -> None:
    builder = FhirBundleBuilder(identified, "urn:oid:1.2.3")
    refusal = Refusal("no_pixels", "the object has no pixels")
    film = replace(SOURCE, sop_instance_uid="1.2.3.4.8")
    (refused,) = builder.refused(film, refusal, CONTEXT, frozenset({ResultKind.FHIR_BUNDLE}))
    destination = FhirDestination("medplum", client)

    for _ in range(2):
        assert destination.send([refused])[refused.sop_instance_uid].accepted
    assert destination.confirm([refused]) == {refused.sop_instance_uid: Confirmation.HELD}
    assert errors(server) == []


def test_audit_events_are_valid_and_there_once(server: Medplum, client: FhirClient) -> None:
    sink = FhirAuditSink(client, lambda record: described(record, AUDIT_SOURCE))

    sink.send(RECORDS)
    sink.send(RECORDS)

    assert len(server.held("AuditEvent")["AuditEvent"]) == len(RECORDS)
    assert errors(server) == []


def test_it_finds_what_is_wrong() -> None:
    broken = {"resourceType": "Observation", "status": "fine", "valueString": "x", "valueInteger": 1, "made_up": True}
    entry = {"resource": broken, "request": {"method": "POST", "url": "Observation"}}
    with medplum() as strict:
        client = FhirClient(FhirAddress(strict.url))
        client.transaction(json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": [entry]}).encode())
        client.close()

        assert any("code" in problem for problem in errors(strict))
        assert any("made_up" in problem for problem in errors(strict))
