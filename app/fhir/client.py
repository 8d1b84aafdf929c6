"""A FHIR server over REST, as little of it as results and audit events need (hl7.org/fhir/R4/http.html).

Answers are read within bounds. What a server says of an error may repeat what it was sent, the patient included: of an
OperationOutcome only its coded type is kept.
"""

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import httpx2

from app.domain.errors import DestinationError
from app.fhir.elements import Json
from app.services.hospital.tls_failure import tls_failure

_CONTENT_TYPE: Final = "application/fhir+json"
_SENT: Final = {"Content-Type": f"{_CONTENT_TYPE}; charset=utf-8"}
_MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
_ISSUE_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz-")


@dataclass(frozen=True, slots=True)
class FhirAddress:
    """Where the server is and how we come in.

    Attributes
    ----------
    base_url
        ``https://…``, without a query.
    token
        Bearer token; empty for none.
    user, password
        HTTP Basic; empty for none.
    timeout_s
        For the connection and for every read and write.
    """

    base_url: str
    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class FhirAnswer:
    """What a server said.

    Attributes
    ----------
    status
        Of HTTP.
    body
        Empty where it is no resource.
    issue
        The coded type of the first issue where the body is an OperationOutcome.
    location
        The header, where there is one.
    """

    status: int
    body: Json = field(repr=False)
    issue: str = ""
    location: str = ""


class FhirClient:
    """One server.

    Parameters
    ----------
    address
        Where and how.
    tls
        The server's authority and our certificate; None takes the system's authorities.
    """

    def __init__(self, address: FhirAddress, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(address.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise ValueError("a FHIR server's address is http(s)://host/path, without credentials and query")
        headers = {"Accept": _CONTENT_TYPE}
        if address.token:
            headers["Authorization"] = f"Bearer {address.token}"
        self._name = f"{parts.scheme}://{parts.netloc}"
        self._base = address.base_url.rstrip("/")
        self._client = httpx2.Client(
            headers=headers,
            auth=httpx2.BasicAuth(address.user, address.password) if address.user else None,
            timeout=address.timeout_s,
            verify=tls if tls is not None else True,
            trust_env=False,
            follow_redirects=False,
        )

    @property
    def name(self) -> str:
        """Scheme, host and port."""
        return self._name

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def transaction(self, bundle: bytes) -> FhirAnswer:
        """Post a transaction.

        Raises
        ------
        DestinationError
            If there is no answer, or one that is not about the bundle: credentials, an overloaded server, no FHIR
            server.
        """
        return self._asked("POST", self._base, content=bundle, headers=_SENT)

    def create(self, kind: str, resource: bytes, if_none_exist: str) -> FhirAnswer:
        """Create a resource unless a search finds one already; same errors as `transaction`."""
        headers = _SENT | {"If-None-Exist": if_none_exist}
        return self._asked("POST", f"{self._base}/{kind}", content=resource, headers=headers, empty=True)

    def put(self, path: str, resource: bytes) -> FhirAnswer:
        """Put a resource under an id of ours; same errors as `transaction`."""
        return self._asked("PUT", f"{self._base}/{path}", content=resource, headers=_SENT, empty=True)

    def search(self, kind: str, parameters: Mapping[str, str]) -> FhirAnswer:
        """Search resources of a type; same errors as `transaction`."""
        return self._asked("GET", f"{self._base}/{kind}", params=parameters)

    def _asked(
        self,
        method: str,
        url: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        empty: bool = False,
    ) -> FhirAnswer:
        """Ask; an ``empty`` answer says enough where only the status and the location matter."""
        try:
            with self._client.stream(method, url, content=content, headers=headers, params=params) as response:
                received = bytearray()
                for piece in response.iter_bytes():
                    received += piece
                    if len(received) > _MAX_ANSWER_BYTES:
                        raise DestinationError(f"{self._name}: the answer exceeds {_MAX_ANSWER_BYTES} bytes")
                location = response.headers.get("Location", "")
                return self._judged(response.status_code, bytes(received), location, empty=empty)
        except httpx2.TimeoutException as error:
            raise DestinationError(f"{self._name}: no answer in time", reason="timeout") from error
        except (httpx2.TransportError, httpx2.DecodingError, httpx2.StreamError) as error:
            why = tls_failure(error)
            raise DestinationError(f"{self._name}: {f'TLS: {why}' if why else type(error).__name__}") from error

    def _judged(self, status: int, content: bytes, location: str, *, empty: bool) -> FhirAnswer:
        body, issue = _resource(content)
        if status in (401, 403):
            raise DestinationError(f"{self._name} answered {status}", reason="unauthorized", permanent=True)
        if status == 429 or status >= 500 or status in (408, 425):
            raise DestinationError(f"{self._name} answered {status}", reason="server_error")
        if 300 <= status < 400 or status in (404, 405, 410, 415) or (status < 300 and not body and not empty):
            raise DestinationError(
                f"{self._name} answered {status}: there is no FHIR server at this address",
                reason="not_a_fhir_server",
                permanent=True,
            )
        return FhirAnswer(status, body, issue, location)


def _resource(content: bytes) -> tuple[Json, str]:
    """Give a resource, empty where it is none, and its first issue's coded type."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return {}, ""
    if not isinstance(body, dict) or not isinstance(body.get("resourceType"), str):
        return {}, ""
    return body, issue_of(body) if body["resourceType"] == "OperationOutcome" else ""


def issue_of(outcome: object) -> str:
    """Give the coded type of an OperationOutcome's first issue, e.g. ``"invalid"``; empty where there is none."""
    issues = outcome.get("issue") if isinstance(outcome, dict) else None
    first = issues[0] if isinstance(issues, list) and issues else None
    code = first.get("code") if isinstance(first, dict) else None
    return code if isinstance(code, str) and len(code) <= 32 and _ISSUE_LETTERS.issuperset(code) else ""
