"""Joins the watch over the certificates that a process uses."""

from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

from app.bootstrap.hospital import HospitalSide
from app.pacs.certificates import holds_until
from app.services.hospital.certificate_watch import CertificateWatch, WatchedCertificate
from app.settings import Settings


def make_certificate_watch(side: HospitalSide, roles: Collection[str]) -> CertificateWatch:
    """Make the watch of a process with some roles."""
    watched = tuple(
        WatchedCertificate(name, partial(holds_until, certificate, key))
        for name, certificate, key in _certificates(side.settings, roles)
        if certificate is not None
    )
    return CertificateWatch("-".join(sorted(roles)), watched, side.table, side.clock)


def _certificates(settings: Settings, roles: Collection[str]) -> Iterator[tuple[str, Path | None, Path | None]]:
    yield "audit", settings.audit.syslog_certificate, settings.audit.syslog_key
    if "listen" in roles:
        yield "listener", settings.pacs.tls_certificate, settings.pacs.tls_key
    if "work" in roles:
        for destination in settings.destinations:
            yield f"destination {destination.name}", destination.client_certificate, destination.client_key
    if "poll" in roles:
        for source in settings.sources:
            yield f"source {source.name}", source.client_certificate, source.client_key
