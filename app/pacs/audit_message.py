"""The DICOM audit message: XML in the schema of PS3.15 A.5.1."""

import base64
import re
from datetime import UTC
from typing import Final
from xml.etree import ElementTree as ET

from app.services.hospital.audit_terms import Actor, AuditDescription, AuditObject, Term

_NO_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot carry; a peer's name may hold it."""
_IP_ADDRESS: Final = re.compile(r"[0-9.]{7,15}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")


def audit_message(event: AuditDescription) -> bytes:
    """Write one audit message.

    Parameters
    ----------
    event
        In the standard's terms.

    Returns
    -------
    bytes
        UTF-8 XML, one line.
    """
    root = ET.Element("AuditMessage")
    at = event.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    identification = ET.SubElement(
        root,
        "EventIdentification",
        {"EventActionCode": event.action, "EventDateTime": at, "EventOutcomeIndicator": str(event.outcome)},
    )
    _coded(identification, "EventID", event.event)
    if event.event_type is not None:
        _coded(identification, "EventTypeCode", event.event_type)
    if event.outcome_description:
        ET.SubElement(identification, "EventOutcomeDescription").text = _text(event.outcome_description)
    for actor in event.actors:
        _participant(root, actor)
    source = ET.SubElement(root, "AuditSourceIdentification", {"AuditSourceID": _text(event.source.source_id)})
    if event.source.site_id:
        source.set("AuditEnterpriseSiteID", _text(event.source.site_id))
    ET.SubElement(source, "AuditSourceTypeCode", {"csd-code": "4"})  # application server process
    for about in event.objects:
        _object(root, about)
    return b'<?xml version="1.0" encoding="UTF-8"?>' + ET.tostring(root, encoding="unicode").encode()


def _participant(root: ET.Element, actor: Actor) -> None:
    requestor = "true" if actor.requestor else "false"
    element = ET.SubElement(root, "ActiveParticipant", {"UserID": _text(actor.user_id), "UserIsRequestor": requestor})
    if actor.alternative_id:
        element.set("AlternativeUserID", _text(actor.alternative_id))
    if actor.user_name:
        element.set("UserName", _text(actor.user_name))
    if actor.address:
        element.set("NetworkAccessPointID", _text(actor.address))
        element.set("NetworkAccessPointTypeCode", "2" if _IP_ADDRESS.fullmatch(actor.address) else "1")
    for role in actor.roles:
        _coded(element, "RoleIDCode", role)


def _object(root: ET.Element, about: AuditObject) -> None:
    element = ET.SubElement(
        root,
        "ParticipantObjectIdentification",
        {
            "ParticipantObjectID": _text(about.identifier),
            "ParticipantObjectTypeCode": str(about.type_code),
            "ParticipantObjectTypeCodeRole": str(about.role_code),
        },
    )
    if about.life_cycle:
        element.set("ParticipantObjectDataLifeCycle", str(about.life_cycle))
    _coded(element, "ParticipantObjectIDTypeCode", about.kind_of_identifier)
    if about.query:
        ET.SubElement(element, "ParticipantObjectQuery").text = base64.b64encode(
            about.query.encode(errors="replace")
        ).decode()
    else:
        ET.SubElement(element, "ParticipantObjectName").text = _text(about.name)
    if about.sop_instance_uid:
        description = ET.SubElement(element, "ParticipantObjectDescription")
        sop_class = ET.SubElement(description, "SOPClass", {"NumberOfInstances": "1"})
        if about.sop_class_uid:
            sop_class.set("UID", _text(about.sop_class_uid))
        ET.SubElement(sop_class, "Instance", {"UID": _text(about.sop_instance_uid)})


def _coded(parent: ET.Element, name: str, term: Term) -> None:
    ET.SubElement(parent, name, {"csd-code": term.code, "codeSystemName": term.scheme, "originalText": term.meaning})


def _text(value: str) -> str:
    return _NO_XML.sub("\ufffd", value)
