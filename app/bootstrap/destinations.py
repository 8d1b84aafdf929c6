"""Joins the ways out: a destination of the settings as the object that sends there."""

from app.domain.result_identity import ResultKind
from app.fhir.client import FhirAddress, FhirClient
from app.fhir.destination import FhirDestination
from app.pacs.destinations import StowDestination
from app.pacs.dicomweb_client import DicomWebClient
from app.pacs.http_access import Access
from app.pacs.tls import client_context
from app.services.hospital.ports import Destination
from app.settings.hospital import Credentials, DestinationSettings


def access_of(url: str, credentials: Credentials, timeout_s: float) -> Access:
    """Give how a server is reached."""
    secret = credentials.password.get_secret_value() if credentials.password else None
    token = credentials.token.get_secret_value() if credentials.token else None
    return Access(
        url, credentials.user, secret, token, credentials.client_certificate, credentials.client_key, credentials.ca,
        timeout_s,
    )  # fmt: skip


def destination_of(settings: DestinationSettings) -> Destination:
    """Make a destination.

    Raises
    ------
    DestinationError
        ``configuration`` where a certificate cannot be read.
    """
    if settings.kind == "fhir":
        return FhirDestination(settings.name, _fhir_client(settings))
    kinds = frozenset(map(ResultKind, settings.objects))
    assert settings.url is not None
    client = DicomWebClient(access_of(settings.url, settings, settings.timeout_s))
    confirm = settings.confirm if settings.confirm in {"qido", "content", "none"} else "qido"
    return StowDestination(settings.name, kinds, client, confirm)


def _fhir_client(settings: DestinationSettings) -> FhirClient:
    assert settings.url is not None
    token = settings.token.get_secret_value() if settings.token else ""
    password = settings.password.get_secret_value() if settings.password else ""
    tls = None
    if settings.url.startswith("https:"):
        tls = client_context(settings.ca, settings.client_certificate, settings.client_key)
    return FhirClient(FhirAddress(settings.url, token, settings.user or "", password, settings.timeout_s), tls)
