"""A FHIR server as a destination of results."""

from collections.abc import Mapping, Sequence
from typing import Final

from app.domain.errors import DestinationError
from app.domain.result_identity import ResultKind
from app.fhir.client import FhirAnswer, FhirClient, issue_of
from app.fhir.elements import URI_SYSTEM
from app.fhir.known_resources import without_known
from app.fhir.one_by_one import SEVERAL, refused, send_one_by_one
from app.services.hospital.records import Confirmation, ResultObject, SendOutcome

_KINDS: Final = frozenset({ResultKind.FHIR_BUNDLE})


class FhirDestination:
    """Implements `app.services.hospital.ports.Destination`; takes `ResultKind.FHIR_BUNDLE` and nothing else.

    A bundle counts as held once the server finds the DiagnosticReport in it by its identifier.

    Parameters
    ----------
    name
        As in the settings.
    client
        The server.
    one_by_one
        Send the entries of a bundle one after the other, for servers that take no transactions, or none of this size.
    """

    def __init__(self, name: str, client: FhirClient, *, one_by_one: bool = False) -> None:
        self._name, self._client = name, client
        self._one_by_one = one_by_one

    @property
    def name(self) -> str:
        """As in the settings."""
        return self._name

    @property
    def kinds(self) -> frozenset[ResultKind]:
        """Bundles."""
        return _KINDS

    def send(self, objects: Sequence[ResultObject]) -> Mapping[str, SendOutcome]:
        """Post every bundle as a transaction; see `Destination`.

        Where the server fails in the middle, what it answered before counts.
        """
        outcomes: dict[str, SendOutcome] = {}
        for each in objects:
            if each.kind is not ResultKind.FHIR_BUNDLE:
                outcomes[each.sop_instance_uid] = SendOutcome(
                    accepted=False, code="not_a_bundle", detail="a FHIR server takes bundles only", permanent=True
                )
                continue
            try:
                outcomes[each.sop_instance_uid] = self._sent(each.content)
            except DestinationError:
                if not any(outcome.accepted for outcome in outcomes.values()):
                    raise
                break
        return outcomes

    def _sent(self, bundle: bytes) -> SendOutcome:
        if self._one_by_one:
            return send_one_by_one(self._client, bundle)
        answer = self._client.transaction(bundle)
        if answer.status == SEVERAL:
            answer = self._client.transaction(without_known(self._client, bundle))
        return _outcome(answer)

    def confirm(self, objects: Sequence[ResultObject]) -> Mapping[str, Confirmation]:
        """Look for the DiagnosticReport of every bundle; see `Destination`."""
        return {each.sop_instance_uid: self._confirmed(each.sop_instance_uid) for each in objects}

    def _confirmed(self, report_uid: str) -> Confirmation:
        query = {"identifier": f"{URI_SYSTEM}|urn:oid:{report_uid}"}
        answer = self._client.search("DiagnosticReport", query)
        if answer.status != 200 or answer.body.get("type") != "searchset":
            raise DestinationError(f"{self._client.name} answered {answer.status} to a search", reason="server_error")
        entries = answer.body.get("entry", [])
        found = isinstance(entries, list) and any(_is_report(entry, report_uid) for entry in entries)
        return Confirmation.HELD if found else Confirmation.MISSING


def _outcome(answer: FhirAnswer) -> SendOutcome:
    if answer.status not in (200, 201):
        return refused("the bundle", answer)
    entries = answer.body.get("entry")
    statuses = [_status(entry) for entry in entries] if isinstance(entries, list) else []
    if answer.body.get("type") != "transaction-response" or not statuses:
        return SendOutcome(accepted=False, code=str(answer.status), detail="the answer is no transaction response")
    for index, (status, issue) in enumerate(statuses):
        if not status.startswith("2"):
            detail = f"entry {index + 1} was refused{f': {issue}' if issue else ''}"
            return SendOutcome(accepted=False, code=status[:3], detail=detail)
    return SendOutcome(accepted=True, code=str(answer.status))


def _status(entry: object) -> tuple[str, str]:
    response = entry.get("response") if isinstance(entry, dict) else None
    if not isinstance(response, dict):
        return "", ""
    return str(response.get("status", "")), issue_of(response.get("outcome"))


def _is_report(entry: object, uid: str) -> bool:
    """Whether a hit is what was asked for: some servers ignore a parameter they do not know, and find everything."""
    resource = entry.get("resource") if isinstance(entry, dict) else None
    if not isinstance(resource, dict) or resource.get("resourceType") != "DiagnosticReport":
        return False
    identifiers = resource.get("identifier")
    return isinstance(identifiers, list) and any(
        isinstance(each, dict) and each.get("value") == f"urn:oid:{uid}" for each in identifiers
    )
