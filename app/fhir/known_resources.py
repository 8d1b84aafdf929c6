"""Resources that a server holds already, several times perhaps, and references that lead to them.

Servers are to make one resource of two conditional creates at once; some make two. From then on every create of it is
refused (hl7.org/fhir/R4/http.html#ccreate: 412), and a Device is in the bundles of all films: the first of several is
taken instead.
"""

import json
from typing import Any
from urllib.parse import parse_qsl

from app.fhir.client import FhirClient


def without_known(client: FhirClient, bundle: bytes) -> bytes:
    """Leave out of a transaction of ours what the server holds; references lead there.

    Parameters
    ----------
    client
        The server.
    bundle
        Its conditional creates are by one identifier each.

    Returns
    -------
    bytes
        Another transaction, which adds what is missing.

    Raises
    ------
    DestinationError
        As `FhirClient.search`.
    """
    transaction = json.loads(bundle)
    where: dict[str, str] = {}
    for entry in transaction["entry"]:
        if "ifNoneExist" not in entry["request"]:
            continue
        place = known_place(client, entry["request"]["url"], entry["request"]["ifNoneExist"])
        if place is not None:
            where[entry["fullUrl"]] = place
    missing = [entry for entry in transaction["entry"] if entry["fullUrl"] not in where]
    transaction["entry"] = [entry | {"resource": resolved(entry["resource"], where)} for entry in missing]
    return json.dumps(transaction, ensure_ascii=False).encode()


def known_place(client: FhirClient, kind: str, if_none_exist: str) -> str | None:
    """Give type and id of the resource with an identifier; of several the one whose id is the least.

    Raises
    ------
    DestinationError
        As `FhirClient.search`.
    """
    query = dict(parse_qsl(if_none_exist))
    system, _, value = query["identifier"].partition("|")
    entries = client.search(kind, query).body.get("entry")
    found = [
        str(resource["id"])
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict)
        and isinstance(resource := entry.get("resource"), dict)
        and resource.get("resourceType") == kind
        and isinstance(resource.get("id"), str)
        and _is_identified(resource, system, value)
    ]
    return f"{kind}/{min(found)}" if found else None


def _is_identified(resource: dict[str, Any], system: str, value: str) -> bool:  # Any: JSON of any shape
    """Whether a hit is what was asked for: some servers ignore a parameter they do not know, and find everything."""
    identifiers = resource.get("identifier")
    return isinstance(identifiers, list) and any(
        isinstance(each, dict) and (each.get("system"), each.get("value")) == (system, value) for each in identifiers
    )


def resolved(value: Any, where: dict[str, str]) -> Any:  # Any: JSON of any shape
    """Lead references to the places where their targets are."""
    if isinstance(value, dict):
        found = {name: resolved(each, where) for name, each in value.items()}
        if isinstance(found.get("reference"), str):
            found["reference"] = where.get(found["reference"], found["reference"])
        return found
    return [resolved(each, where) for each in value] if isinstance(value, list) else value
