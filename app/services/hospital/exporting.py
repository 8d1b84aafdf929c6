"""De-identified copies of films, for somebody outside: audited before they are handed over."""

import hashlib
import hmac
from collections.abc import Callable
from typing import Protocol

from app.domain.errors import JobNotFoundError, UnsupportedFormatError
from app.services.hospital.auditing import about
from app.services.hospital.ports import AuditTrail, Spool
from app.services.hospital.records import Job

Deidentify = Callable[[bytes, bytes], bytes]
"""Gives a film without its patient, by a key (`app.pacs.deidentify`)."""


class Jobs(Protocol):
    """What is needed of the job table."""

    def job(self, identifier: str) -> Job:
        """Give a job; `JobNotFoundError` where there is none."""
        ...


class Exporter:
    """Exports films of jobs.

    Parameters
    ----------
    jobs, spool, audit
        The parts.
    secret
        Of the hospital; every recipient's key is made of it and of the recipient's name.
    """

    def __init__(self, jobs: Jobs, spool: Spool, audit: AuditTrail, secret: bytes) -> None:
        self._jobs, self._spool, self._audit, self._secret = jobs, spool, audit, secret

    def export(self, identifier: str, user: str, recipient: str, deidentify: Deidentify) -> bytes:
        """Give a de-identified copy of a job's film.

        Parameters
        ----------
        identifier
            Of the job.
        user
            Who asks.
        recipient
            Whom it is for: the films that one recipient gets belong together, those of two cannot be joined.
        deidentify
            With its options.

        Raises
        ------
        JobNotFoundError
            If there is no job, or its film has been purged.
        UnsupportedFormatError
            If it is no DICOM object.
        ScreeningError
            Whatever ``deidentify`` refuses.
        """
        job = self._jobs.job(identifier)
        if job.source_uid.startswith("sha256:"):
            raise UnsupportedFormatError("only DICOM objects are exported")
        if not job.content_key:
            raise JobNotFoundError("the job's film has been purged")
        key = hmac.new(self._secret, f"export\0{recipient}".encode(), hashlib.sha256).digest()
        copy = deidentify(self._spool.get(job.content_key), key)
        self._audit.record("exported", user=user, destination=recipient, **about(job))
        return copy
