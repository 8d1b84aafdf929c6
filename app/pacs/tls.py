"""TLS for DICOM and HTTP (PS3.15, B.12: BCP 195): 1.2 or newer, certificates on both sides where asked for."""

import ssl
from pathlib import Path

from app.domain.errors import DestinationError


def server_context(certificate: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    """Make the listener's side; with authorities, callers must show a certificate of theirs.

    Raises
    ------
    DestinationError
        ``configuration`` where a file cannot be read.
    """
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(client_ca) if client_ca else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise DestinationError(f"the listener's certificate cannot be read: {type(error).__name__}",
                               reason="configuration", permanent=True) from error  # fmt: skip
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """Make a caller's side; the peer's certificate must be of the authorities, or of the system's.

    Raises
    ------
    DestinationError
        ``configuration`` where a file cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=str(ca) if ca else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise DestinationError(f"a certificate cannot be read: {type(error).__name__}", reason="configuration",
                               permanent=True) from error  # fmt: skip
    return context
