"""Joins the audit trail: files in the spool's folder, sent on to a syslog receiver and a FHIR server where named."""

import hashlib
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from app.domain.errors import DestinationError
from app.fhir.audit_event import audit_event
from app.fhir.audit_sink import FhirAuditSink
from app.fhir.client import FhirAddress, FhirClient
from app.pacs.audit_message import audit_message
from app.pacs.syslog import SyslogAddress, SyslogSink, Transport
from app.pacs.tls import client_context
from app.services.hospital.audit_terms import AuditDescription, AuditSource, described
from app.services.hospital.auditing import AuditRecord, AuditSink
from app.services.ports import Clock
from app.settings import Settings
from app.settings.hospital import AuditSettings
from app.storage.audit import AuditLog
from app.storage.audit_files import AuditFiles

_PORTS: dict[Transport, int] = {"tls": 6514, "tcp": 514, "udp": 514}


@contextmanager
def open_audit(settings: Settings, spool: Path, key: bytes, clock: Clock) -> Iterator[AuditLog]:
    """Open the trail; what is waiting is sent on until the block is left, and by the next start.

    Raises
    ------
    DestinationError
        ``configuration`` where an address or a certificate cannot be read.
    """
    folder = settings.audit.dir or spool / "audit"
    files = AuditFiles(folder, hashlib.sha256(b"audit" + key).digest())
    log = AuditLog(files, clock, _sinks(settings), keep_days=settings.audit.keep_days)
    log.start()
    try:
        yield log
    finally:
        log.close()


def _sinks(settings: Settings) -> dict[str, AuditSink]:
    audit, host = settings.audit, socket.gethostname()
    source = AuditSource(
        settings.pacs.ae_title,
        audit.site,
        host,
        settings.pacs.ae_title,
        str(os.getpid()),
        f"Discern {version('discern')}",
    )

    def describe(record: AuditRecord) -> AuditDescription:
        return described(record, source)

    sinks: dict[str, AuditSink] = {}
    if audit.syslog:
        sinks["syslog"] = _syslog(audit, describe, host)
    if audit.fhir_url:
        client = FhirClient(FhirAddress(audit.fhir_url, audit.fhir_token.get_secret_value()))
        sinks["fhir"] = FhirAuditSink(client, describe)
    return sinks


def _syslog(audit: AuditSettings, describe: Callable[[AuditRecord], AuditDescription], host: str) -> SyslogSink:
    parts = urlsplit(audit.syslog)
    transport = next((each for each in _PORTS if each == parts.scheme), None)
    if transport is None or not parts.hostname:
        raise DestinationError(
            "audit.syslog is no tls://host:port, tcp://host:port or udp://host:port",
            reason="configuration",
            permanent=True,
        )

    def message(record: AuditRecord) -> bytes:
        event = describe(record)
        return audit_message(event) if audit.format == "dicom" else orjson.dumps(audit_event(event, record.digest))

    tls = None
    if transport == "tls":
        tls = client_context(audit.syslog_ca, audit.syslog_certificate, audit.syslog_key)
    address = SyslogAddress(parts.hostname, parts.port or _PORTS[transport], transport)
    return SyslogSink(address, message, hostname=host, process_id=str(os.getpid()), tls=tls)
