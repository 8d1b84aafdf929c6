"""Certificates of ours are looked at before they end: what is about to is said while there is time to renew it."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from app.domain.errors import DestinationError
from app.services.ports import Clock

_log = logging.getLogger(__name__)
WARNING_DAYS: Final = 14


class CertificateTable(Protocol):
    """What the watch needs of the job table."""

    def certificates_seen(self, process: str, troubles: Mapping[str, str]) -> None:
        """Keep what a process found wrong with its certificates."""
        ...


@dataclass(frozen=True, slots=True)
class WatchedCertificate:
    """What a certificate is for, and how to ask until when it holds; `DestinationError` where it cannot be used."""

    name: str
    holds_until: Callable[[], datetime]


def trouble_with(certificate: WatchedCertificate, now: datetime) -> str | None:
    """Say what is wrong with a certificate, in words; None where nothing is."""
    try:
        end = certificate.holds_until()
    except DestinationError as error:
        return error.detail
    if end <= now:
        return f"it expired on {end:%Y-%m-%d %H:%M}Z"
    if end <= now + timedelta(days=WARNING_DAYS):
        return f"it expires on {end:%Y-%m-%d %H:%M}Z"
    return None


class CertificateWatch:
    """Looks at the certificates of one process.

    Parameters
    ----------
    process
        Its roles: processes of the same roles have the same certificates.
    certificates
        What it uses.
    table
        Is told what is wrong.
    clock
        Of today.
    """

    def __init__(
        self, process: str, certificates: tuple[WatchedCertificate, ...], table: CertificateTable, clock: Clock
    ) -> None:
        self._process, self._certificates, self._table, self._clock = process, certificates, table, clock
        self._said: Mapping[str, str] = {}

    def look(self) -> Mapping[str, str]:
        """Look at every certificate; what is wrong, by what it is for."""
        now = self._clock.now()
        found = {each.name: why for each in self._certificates if (why := trouble_with(each, now)) is not None}
        for name, why in found.items():
            if self._said.get(name) != why:
                _log.warning("certificate_expiring", extra={"certificate": name, "detail": why})
        self._table.certificates_seen(self._process, found)
        self._said = found
        return found
