import json

import pytest
from fhir.resources.R4B.auditevent import AuditEvent

from app.domain.errors import DestinationError
from app.fhir.audit_event import audit_event
from app.fhir.audit_sink import FhirAuditSink
from app.fhir.client import FhirAddress, FhirClient
from app.services.hospital.audit_terms import AuditDescription, described
from app.services.hospital.auditing import AuditRecord
from tests.unit.fhir.fhir_server import fhir_server
from tests.unit.pacs.audit_records import RECORDS, SOURCE


def describe(record: AuditRecord) -> AuditDescription:
    return described(record, SOURCE)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: f"{record.number}-{record.event}")
def test_every_event_is_valid_by_an_independent_reader(record: AuditRecord) -> None:
    resource = audit_event(describe(record), record.digest)

    read = AuditEvent.model_validate(resource)
    assert json.loads(read.model_dump_json())["id"] == resource["id"]


def test_records_arrive_once_however_often_they_are_sent() -> None:
    with fhir_server() as server:
        client = FhirClient(FhirAddress(server.url, timeout_s=2.0))
        sink = FhirAuditSink(client, describe, batch=4)
        sink.send(RECORDS)
        sink.send(RECORDS)
        client.close()

        events = server.store.of("AuditEvent")
        assert len(events) == len(RECORDS)
        assert [event["type"]["code"] for event in events] == [describe(record).event.code for record in RECORDS]


def test_a_repository_that_refuses_is_said() -> None:
    with fhir_server() as server:
        server.conduct.always = (422, "application/fhir+json", b'{"resourceType":"OperationOutcome","issue":[]}')
        client = FhirClient(FhirAddress(server.url, timeout_s=2.0))
        with pytest.raises(DestinationError, match="422"):
            FhirAuditSink(client, describe).send(RECORDS[:1])
        client.close()
