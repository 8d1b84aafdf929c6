"""Audit events to a FHIR server (IHE BALP: the feed of AuditEvent resources)."""

import json
from collections.abc import Callable, Sequence

from app.domain.errors import DestinationError
from app.fhir.audit_event import audit_event
from app.fhir.client import FhirClient
from app.fhir.elements import Json
from app.services.hospital.audit_terms import AuditDescription
from app.services.hospital.auditing import AuditRecord


class FhirAuditSink:
    """Implements `app.services.hospital.auditing.AuditSink`.

    Every record is put under an id made of its number and digest: sent twice, it is there once.

    Parameters
    ----------
    client
        The audit repository.
    describe
        Puts a record into the standard's terms.
    batch
        Records in one transaction.
    """

    def __init__(
        self, client: FhirClient, describe: Callable[[AuditRecord], AuditDescription], batch: int = 50
    ) -> None:
        self._client, self._describe, self._batch = client, describe, batch

    @property
    def name(self) -> str:
        """Scheme, host and port."""
        return self._client.name

    def send(self, records: Sequence[AuditRecord]) -> None:
        """Send records in order; see `AuditSink`."""
        for first in range(0, len(records), self._batch):
            entries = [self._entry(record) for record in records[first : first + self._batch]]
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
            answer = self._client.transaction(json.dumps(bundle, ensure_ascii=False).encode())
            if answer.status not in (200, 201):
                raise DestinationError(f"{self.name} answered {answer.status}", reason=answer.issue or "refused")

    def _entry(self, record: AuditRecord) -> Json:
        resource = audit_event(self._describe(record), record.digest)
        return {"resource": resource, "request": {"method": "PUT", "url": f"AuditEvent/{resource['id']}"}}
