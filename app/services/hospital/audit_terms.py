"""Audit events in the terms of PS3.15 A.5: what happened, who took part, and which objects it was about.

A syslog message (`app.pacs.audit_message`) and a FHIR AuditEvent (`app.fhir.audit_event`) are two ways to write it.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from app.services.hospital.auditing import OUTCOMES, AuditRecord


@dataclass(frozen=True, slots=True)
class Term:
    """A coded value."""

    code: str
    scheme: str
    meaning: str


def _dcm(code: str, meaning: str) -> Term:
    return Term(code, "DCM", meaning)


APPLICATION_ACTIVITY: Final = _dcm("110100", "Application Activity")
AUDIT_LOG_USED: Final = _dcm("110101", "Audit Log Used")
INSTANCES_ACCESSED: Final = _dcm("110103", "DICOM Instances Accessed")
INSTANCES_TRANSFERRED: Final = _dcm("110104", "DICOM Instances Transferred")
STUDY_DELETED: Final = _dcm("110105", "DICOM Study Deleted")
EXPORT: Final = _dcm("110106", "Export")
QUERY: Final = _dcm("110112", "Query")
SECURITY_ALERT: Final = _dcm("110113", "Security Alert")
APPLICATION_START: Final = _dcm("110120", "Application Start")
APPLICATION_STOP: Final = _dcm("110121", "Application Stop")
NODE_AUTHENTICATION: Final = _dcm("110126", "Node Authentication")
SOFTWARE_CONFIGURATION: Final = _dcm("110131", "Software Configuration")
APPLICATION: Final = _dcm("110150", "Application")
APPLICATION_LAUNCHER: Final = _dcm("110151", "Application Launcher")
DESTINATION: Final = _dcm("110152", "Destination Role ID")
SOURCE: Final = _dcm("110153", "Source Role ID")
DESTINATION_MEDIA: Final = _dcm("110154", "Destination Media")
STUDY_INSTANCE_UID: Final = _dcm("110180", "Study Instance UID")
SOP_CLASS_UID: Final = _dcm("110181", "SOP Class UID")
PATIENT_NUMBER: Final = Term("2", "RFC-3881", "Patient Number")
URI: Final = Term("12", "RFC-3881", "URI")
PATIENT_KEY: Final = Term("patient-key", "99DISCERN", "Keyed hash of issuer and patient ID")
JOB: Final = Term("job", "99DISCERN", "Job of Discern")

Action = Literal["C", "R", "U", "D", "E"]


@dataclass(frozen=True, slots=True)
class AuditSource:
    """Who reports.

    Attributes
    ----------
    source_id
        Unique within the site, e.g. the AE title.
    site_id
        The enterprise site; empty where there is none.
    host
        Name or address of the machine.
    ae_title
        Ours; empty where the process has none.
    process_id
        Of the operating system.
    software
        Name and version.
    """

    source_id: str
    site_id: str = ""
    host: str = ""
    ae_title: str = ""
    process_id: str = ""
    software: str = "Discern"


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody or something that took part."""

    user_id: str
    roles: tuple[Term, ...]
    requestor: bool
    alternative_id: str = ""
    address: str = ""
    user_name: str = ""


@dataclass(frozen=True, slots=True)
class AuditObject:
    """What it was about.

    Attributes
    ----------
    identifier, kind_of_identifier
        The object.
    type_code, role_code
        PS3.15 A.5.1: 1 person, 2 system object; and 1 patient, 3 report, 13 security resource, 20 job, …
    name
        Of the kind of object, never a patient's.
    life_cycle
        PS3.15 A.5.1.2.3; 0 where it is not said.
    sop_class_uid, sop_instance_uid
        Of one instance within a study.
    query
        Instead of a name: the query in words.
    """

    identifier: str = field(repr=False)
    kind_of_identifier: Term
    type_code: int
    role_code: int
    name: str
    life_cycle: int = 0
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    query: str = ""


@dataclass(frozen=True, slots=True)
class AuditDescription:
    """An audit event in the standard's terms."""

    number: int
    at: datetime
    event: Term
    event_type: Term | None
    action: Action
    outcome: int
    outcome_description: str
    actors: tuple[Actor, ...]
    objects: tuple[AuditObject, ...]
    source: AuditSource


_EVENTS: Final[dict[str, tuple[Term, Term | None, Action, int]]] = {
    "started": (APPLICATION_ACTIVITY, APPLICATION_START, "E", 0),
    "stopped": (APPLICATION_ACTIVITY, APPLICATION_STOP, "E", 0),
    "configured": (SECURITY_ALERT, SOFTWARE_CONFIGURATION, "E", 0),
    "association_refused": (SECURITY_ALERT, NODE_AUTHENTICATION, "E", 0),
    "received": (INSTANCES_TRANSFERRED, None, "C", 2),
    "refused": (INSTANCES_TRANSFERRED, None, "C", 0),
    "created": (INSTANCES_ACCESSED, None, "C", 1),
    "sent": (INSTANCES_TRANSFERRED, None, "C", 10),
    "accessed": (INSTANCES_ACCESSED, None, "R", 6),
    "replayed": (INSTANCES_ACCESSED, None, "U", 6),
    "cancelled": (INSTANCES_ACCESSED, None, "E", 6),
    "queried": (QUERY, None, "E", 0),
    "exported": (EXPORT, None, "R", 10),
    "audit_used": (AUDIT_LOG_USED, None, "R", 6),
}


def described(record: AuditRecord, source: AuditSource) -> AuditDescription:
    """Put a record into the standard's terms.

    Raises
    ------
    ValueError
        If the event is none.
    """
    event, event_type, action, life_cycle = _event(record)
    outcome = OUTCOMES[record.outcome]
    if record.event in {"refused", "association_refused"}:
        outcome = outcome or OUTCOMES["minor_failure"]
    actors = _actors(record, source)
    return AuditDescription(
        record.number, record.at, event, event_type, action, outcome, _description(record), actors,
        _objects(record, life_cycle), source,
    )  # fmt: skip


def _description(record: AuditRecord) -> str:
    """Say why, and how often where one record stands for several."""
    reason, count = record.participants.get("reason", ""), record.participants.get("count", "")
    return f"{reason} ({count} times)".strip() if count else reason


def _event(record: AuditRecord) -> tuple[Term, Term | None, Action, int]:
    who = record.participants
    if record.event == "purged":
        whole_study = who.get("study_uid") and not who.get("sop_instance_uid")
        return (STUDY_DELETED if whole_study else INSTANCES_ACCESSED), None, "D", 15
    if record.event not in _EVENTS:
        raise ValueError(f"{record.event!r} is no audit event")
    return _EVENTS[record.event]


def _actors(record: AuditRecord, source: AuditSource) -> tuple[Actor, ...]:
    who = record.participants
    address = who.get("address", "")

    def ours(*roles: Term, requestor: bool) -> Actor:
        titles = f"AETITLES={source.ae_title}" if source.ae_title else source.process_id
        return Actor(source.process_id or source.source_id, roles, requestor, titles, source.host, source.software)

    def peer(name: str, *roles: Term, requestor: bool) -> Actor:
        return Actor(who.get(name) or address or "unknown", roles, requestor, address=address)

    user = (peer("user", requestor=True),) if who.get("user") else ()
    by_ourselves = not user
    match record.event:
        case "started" | "stopped":
            launcher = (peer("user", APPLICATION_LAUNCHER, requestor=True),) if user else ()
            return (ours(APPLICATION, requestor=False), *launcher)
        case "received" | "refused" | "association_refused":
            return (peer("sender", SOURCE, requestor=True), ours(DESTINATION, requestor=False), *user)
        case "sent" | "queried":
            return (ours(SOURCE, requestor=by_ourselves), peer("destination", DESTINATION, requestor=False), *user)
        case "exported":
            return (
                *user,
                ours(SOURCE, requestor=by_ourselves),
                peer("destination", DESTINATION_MEDIA, requestor=False),
            )
        case _:
            return (*user, ours(requestor=by_ourselves))


def _objects(record: AuditRecord, life_cycle: int) -> tuple[AuditObject, ...]:
    who = record.participants
    found: list[AuditObject] = []
    study, instance = who.get("study_uid", ""), who.get("sop_instance_uid", "")
    if record.event == "queried":
        query = who.get("query", "")
        found.append(AuditObject(who.get("sop_class_uid") or "query", SOP_CLASS_UID, 2, 3, "Query", query=query))
    elif record.event == "audit_used":
        found.append(AuditObject("urn:discern:audit", URI, 2, 13, "Security Audit Log"))
    elif study or instance or record.event == "refused":  # a transfer names a study (PS3.15, A.5.3.7)
        class_uid = who.get("sop_class_uid", "")
        found.append(
            AuditObject(study or "unknown", STUDY_INSTANCE_UID, 2, 3, "Study", life_cycle, class_uid, instance)
        )
    if who.get("patient_id"):
        found.append(AuditObject(who["patient_id"], PATIENT_NUMBER, 1, 1, "Patient"))
    elif who.get("patient_key"):
        found.append(AuditObject(who["patient_key"], PATIENT_KEY, 1, 1, "Patient"))
    if who.get("job_id"):
        found.append(AuditObject(who["job_id"], JOB, 2, 20, "Job"))
    return tuple(found)
