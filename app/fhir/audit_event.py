"""Audit events as FHIR R4 AuditEvent resources (hl7.org/fhir/R4/auditevent.html)."""

import base64
import re
import uuid
from datetime import UTC
from typing import Final

from app.fhir.elements import Json, coding, concept, dicom_identifier, plain
from app.services.hospital.audit_terms import Actor, AuditDescription, AuditObject

_NAMESPACE: Final = uuid.UUID("1e5ab0a4-7c2f-5e53-8d0b-5a3a86f4f7c1")
_IP_ADDRESS: Final = re.compile(r"[0-9.]{7,15}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_HL7: Final = "http://terminology.hl7.org/CodeSystem"
_PERSON_OR_SYSTEM: Final = {1: ("1", "Person"), 2: ("2", "System Object")}
_ROLES: Final = {
    1: "Patient",
    3: "Report",
    13: "Security Resource",
    20: "Job",
}


def audit_event_id(number: int, digest: str) -> str:
    """Give the id of a record's resource: the same each time it is sent."""
    return str(uuid.uuid5(_NAMESPACE, f"{number}:{digest}"))


def audit_event(event: AuditDescription, digest: str) -> Json:
    """Write one audit event.

    Parameters
    ----------
    event
        In the standard's terms.
    digest
        Of its record; with the number it makes the resource's id.
    """
    resource: Json = {
        "resourceType": "AuditEvent",
        "id": audit_event_id(event.number, digest),
        "type": coding(event.event),
        "action": event.action,
        "recorded": event.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "outcome": str(event.outcome),
        "agent": [_agent(actor) for actor in event.actors],
        "source": _source(event),
    }
    if event.event_type is not None:
        resource["subtype"] = [coding(event.event_type)]
    if event.outcome_description:
        resource["outcomeDesc"] = plain(event.outcome_description)
    if event.objects:
        resource["entity"] = [_entity(about) for about in event.objects]
    return resource


def _agent(actor: Actor) -> Json:
    agent: Json = {"requestor": actor.requestor, "who": {"identifier": {"value": plain(actor.user_id)}}}
    if actor.roles:
        agent["type"] = concept(actor.roles[0])
    if actor.alternative_id:
        agent["altId"] = plain(actor.alternative_id)
    if actor.user_name:
        agent["name"] = plain(actor.user_name)
    if actor.address:
        agent["network"] = {
            "address": plain(actor.address),
            "type": "2" if _IP_ADDRESS.fullmatch(actor.address) else "1",
        }
    return agent


def _source(event: AuditDescription) -> Json:
    source: Json = {
        "observer": {"type": "Device", "identifier": {"value": event.source.source_id}},
        "type": [{"system": f"{_HL7}/security-source-type", "code": "4", "display": "Application Server"}],
    }
    return source | ({"site": event.source.site_id} if event.source.site_id else {})


def _entity(about: AuditObject) -> Json:
    code, display = _PERSON_OR_SYSTEM[about.type_code]
    role = {"system": f"{_HL7}/object-role", "code": str(about.role_code), "display": _ROLES[about.role_code]}
    entity: Json = {
        "type": {"system": f"{_HL7}/audit-entity-type", "code": code, "display": display},
        "role": role,
    }
    is_study = about.kind_of_identifier.code == "110180"
    entity["what"] = {
        "identifier": dicom_identifier(about.identifier) if is_study else {"value": plain(about.identifier)}
    }
    if about.life_cycle:
        entity["lifecycle"] = {"system": f"{_HL7}/dicom-audit-lifecycle", "code": str(about.life_cycle)}
    if about.query:
        entity["query"] = base64.b64encode(about.query.encode(errors="replace")).decode()
    else:
        entity["name"] = about.name
    if about.sop_instance_uid:
        entity["detail"] = [{"type": "SOPInstanceUID", "valueString": about.sop_instance_uid}]
    return entity
