"""The data types of FHIR R4 that our resources are made of, as plain values (hl7.org/fhir/R4/datatypes.html)."""

import re
import uuid
from collections.abc import Mapping
from typing import Final, TypeAlias

from app.domain.codes import Code
from app.services.hospital.audit_terms import Term

Json: TypeAlias = dict[str, object]
"""A resource or element: strings, numbers, booleans, lists and elements again."""

DICOM_UID_SYSTEM: Final = "urn:dicom:uid"
URI_SYSTEM: Final = "urn:ietf:rfc:3986"
UCUM: Final = "http://unitsofmeasure.org"
PRIVATE_SYSTEM: Final = "urn:oid:2.25.167659042323538236557748622455041441276"
"""Stands for the private coding scheme 99DISCERN, by the UUIDv5 of that name in the namespace of our results."""

_SYSTEMS: Final[Mapping[str, str]] = {
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "SCT": "http://snomed.info/sct",
    "LN": "http://loinc.org",
    "UCUM": UCUM,
    "99DISCERN": PRIVATE_SYSTEM,
    "RFC-3881": "http://dicom.nema.org/resources/ontology/DCM",
}


_NO_STRING: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")


def plain(text: str) -> str:
    """A string as FHIR allows it: control characters, which a peer's name may hold, are replaced."""
    return _NO_STRING.sub("\ufffd", text)


def system_of(scheme: str) -> str:
    """Give the URI of a DICOM coding scheme designator.

    Raises
    ------
    KeyError
        If it is none that this service uses.
    """
    return _SYSTEMS[scheme]


def coding(code: Code | Term) -> Json:
    """A Coding."""
    value = code.value if isinstance(code, Code) else code.code
    return {"system": system_of(code.scheme), "code": value, "display": code.meaning}


def concept(*codes: Code | Term, text: str = "") -> Json:
    """A CodeableConcept."""
    found: Json = {"coding": [coding(code) for code in codes]} if codes else {}
    return found | ({"text": text} if text else {})


def hl7_concept(system: str, code: str, display: str) -> Json:
    """A CodeableConcept of one of HL7's own code systems."""
    return {"coding": [{"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": code, "display": display}]}


def uid_identifier(uid: str) -> Json:
    """The Identifier that is a result's UID."""
    return {"system": URI_SYSTEM, "value": f"urn:oid:{uid}"}


def dicom_identifier(uid: str) -> Json:
    """The Identifier of a study or an instance (hl7.org/fhir/R4/imagingstudy.html)."""
    return {"system": DICOM_UID_SYSTEM, "value": f"urn:oid:{uid}"}


def accession(number: str) -> Json:
    """The Identifier that is an accession number."""
    kind = hl7_concept("v2-0203", "ACSN", "Accession ID")
    return {"type": kind, "value": plain(number)}


def resource_id(uid: str) -> str:
    """Give the UUID that a ``2.25.`` UID stands for (PS3.5, B.2).

    Raises
    ------
    ValueError
        If it is another kind of UID.
    """
    if not uid.startswith("2.25."):
        raise ValueError(f"{uid} stands for no UUID")
    return str(uuid.UUID(int=int(uid.removeprefix("2.25."))))


def full_url(uid: str) -> str:
    """Where a resource of a bundle is for the others in it."""
    return f"urn:uuid:{resource_id(uid)}"
