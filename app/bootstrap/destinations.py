"""Joins the ways out: a destination of the settings as the object that sends there."""

from app.domain.result_identity import ResultKind
from app.pacs.destinations import StowDestination
from app.pacs.dicomweb_client import DicomWebClient
from app.pacs.http_access import Access
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
    kinds = frozenset(map(ResultKind, settings.objects))
    assert settings.url is not None
    client = DicomWebClient(access_of(settings.url, settings, settings.timeout_s))
    confirm = settings.confirm if settings.confirm in {"qido", "content", "none"} else "qido"
    return StowDestination(settings.name, kinds, client, confirm)
