"""Certificates of ours: until when they hold, and a listener's that are taken anew from renewed files."""

import logging
import ssl
import threading
from datetime import datetime
from pathlib import Path

from cryptography.x509 import load_pem_x509_certificates

from app.domain.errors import DestinationError
from app.pacs.tls import server_context

_log = logging.getLogger(__name__)


def holds_until(certificate: Path, key: Path | None) -> datetime:
    """Give the time until which a PEM chain and its key can be used.

    Parameters
    ----------
    certificate
        A certificate, and what it was issued by where that is in the file.
    key
        Its key; None where it is in the same file.

    Returns
    -------
    datetime
        The earliest end of validity (RFC 5280, 4.1.2.5) in the file, aware.

    Raises
    ------
    DestinationError
        ``configuration`` where it cannot be read, or the key is another one's.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password="")  # never asks for one
        return min(each.not_valid_after_utc for each in load_pem_x509_certificates(certificate.read_bytes()))
    except (OSError, ValueError) as error:
        why = (
            error.reason if isinstance(error, ssl.SSLError) else getattr(error, "strerror", None)
        ) or "no certificate"
        raise DestinationError(f"it cannot be read: {why}", reason="configuration", permanent=True) from error


class RenewedContext:
    """The listener's TLS context for each connection: that of the files as they are now.

    Files that cannot be used leave the context as it was, so that a renewal that is half done keeps nobody out.

    Parameters
    ----------
    certificate, key, client_ca
        PEM files, as for `server_context`.

    Raises
    ------
    DestinationError
        ``configuration`` where they cannot be used at the start.
    """

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        self._files = (certificate, key, client_ca)
        self._lock = threading.Lock()
        self._seen = self._signature()
        self._context = server_context(*self._files)

    def __call__(self) -> ssl.SSLContext:
        """Give the context for the next connection; raises nothing."""
        with self._lock:
            found = self._signature()
            if found != self._seen:
                self._seen = found
                try:
                    self._context = server_context(*self._files)
                except DestinationError as error:
                    _log.error("certificate_not_renewed", extra={"detail": error.detail})
                else:
                    _log.info("certificate_renewed")
            return self._context

    def _signature(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_looks(path) for path in self._files if path is not None)


def _looks(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
