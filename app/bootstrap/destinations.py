"""Joins the ways out: a destination of the settings as the object that sends there."""

from typing import Final

from app.bootstrap.hospital import HospitalSide
from app.domain.result_identity import ResultKind
from app.fhir.client import FhirAddress, FhirClient
from app.fhir.destination import FhirDestination
from app.pacs.association import Peer
from app.pacs.destinations import ArchiveDestination
from app.pacs.dicomweb_client import DicomWebClient
from app.pacs.find_scu import FindScu
from app.pacs.http_access import Access
from app.pacs.read_back import ContentReadBack, QueryReadBack, ReadBack, Trusted
from app.pacs.storage_commitment import CommitmentReadBack, CommitmentScu
from app.pacs.store_scu import StoreScu
from app.pacs.tls import client_context
from app.services.hospital.ports import Destination
from app.settings.hospital import Credentials, DestinationSettings

_PATIENCE: Final = 3
"""An answer as a whole may take so many times the limit of its parts: less than a worker's claim lasts."""


def access_of(url: str, credentials: Credentials, timeout_s: float, whole_s: float = 300.0) -> Access:
    """Give how a server is reached."""
    secret = credentials.password.get_secret_value() if credentials.password else None
    token = credentials.token.get_secret_value() if credentials.token else None
    return Access(
        url, credentials.user, secret, token, credentials.client_certificate, credentials.client_key, credentials.ca,
        timeout_s, whole_s,
    )  # fmt: skip


def destination_of(settings: DestinationSettings, side: HospitalSide) -> Destination:
    """Make a destination.

    Raises
    ------
    DestinationError
        ``configuration`` where a certificate cannot be read.
    """
    if settings.kind == "fhir":
        return FhirDestination(settings.name, _fhir_client(settings), one_by_one=settings.one_by_one)
    kinds = frozenset(map(ResultKind, settings.objects))
    if settings.kind == "c-store":
        peer = _peer_of(settings, side)
        return ArchiveDestination(settings.name, kinds, StoreScu(peer).send, _read_back(settings, side, peer))
    assert settings.url is not None
    client = DicomWebClient(access_of(settings.url, settings, settings.timeout_s, _PATIENCE * settings.timeout_s))
    return ArchiveDestination(settings.name, kinds, client.store, _read_back(settings, side, None, client))


def _fhir_client(settings: DestinationSettings) -> FhirClient:
    assert settings.url is not None
    token = settings.token.get_secret_value() if settings.token else ""
    password = settings.password.get_secret_value() if settings.password else ""
    tls = None
    if settings.url.startswith("https:"):
        tls = client_context(settings.ca, settings.client_certificate, settings.client_key)
    return FhirClient(FhirAddress(settings.url, token, settings.user or "", password, settings.timeout_s), tls)


def _peer_of(settings: DestinationSettings, side: HospitalSide) -> Peer:
    assert settings.host is not None
    assert settings.port is not None
    assert settings.ae_title is not None
    tls = None
    if settings.tls:
        tls = client_context(settings.ca, settings.client_certificate, settings.client_key)
        tls.check_hostname = settings.tls_host_name
    calling = settings.calling_ae_title or side.settings.pacs.ae_title
    return Peer(settings.host, settings.port, settings.ae_title, calling, tls, settings.timeout_s)


def _read_back(
    settings: DestinationSettings, side: HospitalSide, peer: Peer | None, client: DicomWebClient | None = None
) -> ReadBack:
    """Make the way to confirm; the settings have checked that it fits."""
    confirm = settings.confirm or ("c-find" if peer else "qido")
    if confirm == "none":
        return Trusted()
    if confirm == "c-find":
        assert peer is not None
        return QueryReadBack(FindScu(peer))
    if confirm == "storage-commitment":
        assert peer is not None
        scu = CommitmentScu(peer, side.table.reported)
        return CommitmentReadBack(settings.name, scu, side.table, settings.commitment_s)
    if client is None:
        assert settings.query_url is not None
        client = DicomWebClient(
            access_of(settings.query_url, settings, settings.timeout_s, _PATIENCE * settings.timeout_s)
        )
    return ContentReadBack(client) if confirm == "content" else QueryReadBack(client)
