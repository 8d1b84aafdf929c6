"""Audit events between the part that keeps them and the parts that send them on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from app.services.hospital.records import Job

EVENTS: Final = frozenset(
    {
        "started",
        "stopped",
        "configured",
        "received",
        "refused",
        "association_refused",
        "created",
        "sent",
        "accessed",
        "replayed",
        "cancelled",
        "queried",
        "exported",
        "purged",
        "audit_used",
    }
)
"""What can happen; PS3.15 A.5.3 has a message for each (`app.services.hospital.audit_terms`)."""

OUTCOMES: Final = {"success": 0, "minor_failure": 4, "serious_failure": 8, "major_failure": 12}
"""PS3.15 A.5.1, EventOutcomeIndicator."""

PARTICIPANTS: Final = frozenset(
    {
        "sender",
        "destination",
        "user",
        "address",
        "study_uid",
        "sop_class_uid",
        "sop_instance_uid",
        "patient_key",
        "patient_id",
        "job_id",
        "reason",
        "query",
        "count",
    }
)
"""Who and what may take part.

``patient_key`` is a keyed hash. ``patient_id`` is given only where a deployment wants its audit repository to name the
patient. ``reason`` is a problem code, or another word of a fixed vocabulary; ``address`` a peer's network address,
``query`` a query without patient data, ``count`` how often it happened where one record stands for several.
"""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One audit event as it is kept.

    Attributes
    ----------
    number
        1 for the first of a trail; no number is missing or comes twice.
    at
        Aware UTC.
    event, outcome
        Of `EVENTS` and `OUTCOMES`.
    participants
        Of `PARTICIPANTS`.
    digest
        Chained over all records up to this one, in hex.
    """

    number: int
    at: datetime
    event: str
    outcome: str
    participants: Mapping[str, str] = field(repr=False)
    digest: str = ""


class AuditSink(Protocol):
    """Where audit events are sent on to: a syslog receiver, a FHIR server. Blocking, with time limits of its own."""

    @property
    def name(self) -> str:
        """Scheme, host and port; for logs."""
        ...

    def send(self, records: Sequence[AuditRecord]) -> None:
        """Send records in order; when it returns, the receiver has read all of them.

        Raises
        ------
        DestinationError
            If it cannot be known that the receiver has read all of them; they are all sent again.
        """
        ...


def about(job: Job) -> dict[str, str]:
    """Name a job's film, study and patient as participants of an event."""
    is_dicom = not job.source_uid.startswith("sha256:")
    named = {
        "job_id": job.id,
        "study_uid": job.study_uid,
        "sop_instance_uid": job.source_uid if is_dicom else None,
        "patient_key": job.patient_key,
    }
    return {name: value for name, value in named.items() if value}


def checked(event: str, outcome: str, participants: Mapping[str, str]) -> dict[str, str]:
    """Hold an event to the vocabulary; empty participants are left out.

    Raises
    ------
    ValueError
        If the event, the outcome or a participant is none.
    """
    if event not in EVENTS:
        raise ValueError(f"{event!r} is no audit event")
    if outcome not in OUTCOMES:
        raise ValueError(f"{outcome!r} is no audit outcome")
    if unknown := sorted(participants.keys() - PARTICIPANTS):
        raise ValueError(f"no such participant of an audit event: {', '.join(unknown)}")
    return {name: value for name, value in participants.items() if value}
