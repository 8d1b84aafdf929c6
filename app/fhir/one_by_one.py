"""A bundle's entries sent one after the other, for servers that take no transactions, or none of this size.

The order of the entries is that of their references. A repeat finds what is there, so what was cut off is finished by
the next attempt; until then the server holds a part, without the DiagnosticReport that makes it a result.
"""

import json
import re
from typing import Final

from app.fhir.client import FhirAnswer, FhirClient
from app.fhir.known_resources import known_place, resolved
from app.services.hospital.records import SendOutcome

SEVERAL: Final = 412
"""Answer to a conditional create of what the server holds several times."""
_LOCATION: Final = re.compile(r"(?:.*/)?([A-Za-z]+/[A-Za-z0-9.-]{1,64})(?:/_history/.*)?")


def send_one_by_one(client: FhirClient, bundle: bytes) -> SendOutcome:
    """Send a transaction of ours without a transaction.

    Raises
    ------
    DestinationError
        As `FhirClient.transaction`; what was sent before stays, and is found by the next attempt.
    """
    where: dict[str, str] = {}
    for entry in json.loads(bundle)["entry"]:
        request, resource = entry["request"], entry["resource"]
        kind = str(resource["resourceType"])
        content = json.dumps(resolved(resource, where), ensure_ascii=False).encode()
        if request["method"] == "PUT":
            answer = client.put(request["url"], content)
        else:
            answer = client.create(kind, content, request["ifNoneExist"])
        if answer.status == SEVERAL:
            place = known_place(client, kind, request["ifNoneExist"])
        elif answer.status not in (200, 201):
            return refused(kind, answer)
        else:
            place = request["url"] if request["method"] == "PUT" else _place(kind, answer)
        if place is None:
            return SendOutcome(accepted=False, code=str(answer.status), detail=f"nothing says where {kind} is now")
        where[entry["fullUrl"]] = place
    return SendOutcome(accepted=True, code="200")


def refused(what: str, answer: FhirAnswer) -> SendOutcome:
    """What a refusal means: 409 is a conflict of versions or of two senders, and worth another try."""
    reason = f": {answer.issue}" if answer.issue else ""
    detail = f"{what} was refused{reason}"
    return SendOutcome(accepted=False, code=str(answer.status), detail=detail, permanent=answer.status != 409)


def _place(kind: str, answer: FhirAnswer) -> str | None:
    """Where a created or found resource is: by its own id, else by the header."""
    if answer.body.get("resourceType") == kind and isinstance(answer.body.get("id"), str):
        return f"{kind}/{answer.body['id']}"
    found = _LOCATION.fullmatch(answer.location)
    return found[1] if found and found[1].startswith(f"{kind}/") else None
