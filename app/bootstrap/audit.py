"""Joins the audit trail: files in the spool's folder, sent on to a syslog receiver where one is named."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.services.ports import Clock
from app.settings import Settings
from app.storage.audit import AuditLog
from app.storage.audit_files import AuditFiles


@contextmanager
def open_audit(settings: Settings, spool: Path, key: bytes, clock: Clock) -> Iterator[AuditLog]:
    """Open the trail; what is waiting is sent on until the block is left, and by the next start."""
    folder = settings.audit.dir or spool / "audit"
    log = AuditLog(AuditFiles(folder, hashlib.sha256(b"audit" + key).digest()), clock)
    log.start()
    try:
        yield log
    finally:
        log.close()
