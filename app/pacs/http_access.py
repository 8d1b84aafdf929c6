"""HTTP to a PACS: who we are, how long we wait, how much we take, and every failure in one class."""

import contextlib
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final

import httpx2

from app.domain.errors import DestinationError, TooLargeError
from app.pacs.tls import client_context
from app.services.hospital.tls_failure import tls_failure


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach one server.

    Attributes
    ----------
    url
        Base address, e.g. ``https://pacs.example/dicom-web``.
    user, password, token
        HTTP basic, or a bearer token.
    client_certificate, client_key, ca
        PEM files; without ``ca`` the system's authorities.
    timeout_s
        Of every phase: connecting, sending, the next bytes of an answer.
    whole_s
        Of an answer as a whole: one that trickles holds nobody for longer.
    """

    url: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    client_certificate: Path | None = None
    client_key: Path | None = None
    ca: Path | None = None
    timeout_s: float = 30.0
    whole_s: float = 300.0


def open_client(access: Access) -> httpx2.Client:
    """Make a client; it follows no redirect and reads no proxy or credentials from the environment.

    Raises
    ------
    DestinationError
        ``configuration`` where a certificate cannot be read.
    """
    verify: ssl.SSLContext | bool = True
    if access.url.startswith("https:"):
        verify = client_context(access.ca, access.client_certificate, access.client_key)
    headers = {"Accept-Encoding": "identity"}
    if access.token:
        headers["Authorization"] = f"Bearer {access.token}"
    return httpx2.Client(
        auth=(access.user, access.password or "") if access.user else None,
        headers=headers,
        verify=verify,
        timeout=access.timeout_s,
        trust_env=False,
        limits=httpx2.Limits(max_connections=8, max_keepalive_connections=4, keepalive_expiry=5.0),
    )


_REASONS: Final[Mapping[int, str]] = {
    401: "unauthorised",
    403: "unauthorised",
    404: "not_found",
    410: "not_found",
    413: "too_large",
    429: "busy",
    502: "unavailable",
    503: "busy",
    504: "unavailable",
    507: "full",
}


def host_of(url: str) -> str:
    """Give host and port of an address, which is all that is ever said of it."""
    parsed = httpx2.URL(url)
    return parsed.netloc.decode("ascii", "replace").rpartition("@")[2]


@contextlib.contextmanager
def answer_of(
    client: httpx2.Client,
    method: str,
    url: str,
    *,
    content: bytes | None = None,
    headers: dict[str, str] | None = None,
    params: list[tuple[str, str | int | float | bool | None]] | None = None,
) -> Iterator[httpx2.Response]:
    """Send a request and give its answer, the body still to be read.

    Raises
    ------
    DestinationError
        If no answer comes: ``unreachable``, ``timeout``, ``tls``, ``protocol``.
    """
    host = host_of(url)
    try:
        with client.stream(method, url, content=content, headers=headers, params=params) as response:
            yield response
    except httpx2.TimeoutException as error:
        raise DestinationError(f"{host} did not answer in time", reason="timeout") from error
    except httpx2.ConnectError as error:
        raise _unconnected(host, error) from error
    except (httpx2.NetworkError, httpx2.ProtocolError) as error:
        raise DestinationError(f"{host} broke the connection off", reason="connection_lost") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
        raise DestinationError(f"{host}: {type(error).__name__}", reason="protocol") from error


def _unconnected(host: str, error: BaseException) -> DestinationError:
    """Say why there was no connection: what was wrong with a certificate, in OpenSSL's words."""
    if why := tls_failure(error):
        return DestinationError(f"{host}: TLS: {why}", reason="tls")
    return DestinationError(f"{host} cannot be reached", reason="unreachable")


def body_of(response: httpx2.Response, most_bytes: int, most_s: float) -> bytes:
    """Read a body, at most so many bytes of it, for at most so long.

    Raises
    ------
    TooLargeError
        If there are more.
    DestinationError
        ``timeout`` where it takes longer.
    """
    found, limit = bytearray(), time.monotonic() + most_s
    for piece in response.iter_bytes():
        found += piece
        if len(found) > most_bytes:
            raise TooLargeError(f"an answer of {response.url.host} exceeds {most_bytes} bytes")
        if time.monotonic() > limit:
            raise DestinationError(f"an answer of {response.url.host} took longer than {most_s:g} s", reason="timeout")
    return bytes(found)


def refuse_status(response: httpx2.Response) -> None:
    """Raise for an answer that is no success.

    Raises
    ------
    DestinationError
        ``unauthorised`` (401, 403), ``not_found`` (404, 410), ``too_large`` (413), ``full`` (507), ``busy`` (429,
        503), ``unavailable`` (502, 504: a gateway before it), ``refused`` (other 3xx and 4xx, permanent),
        ``server_error`` (other 5xx).
    """
    if response.is_success:
        return
    status = response.status_code
    host = host_of(str(response.url))
    reason = _REASONS.get(status, "refused" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error")
    raise DestinationError(f"{host} answered {status}", reason=reason, permanent=reason == "refused")
