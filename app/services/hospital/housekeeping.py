"""What is finished goes after its time, what nobody points to goes at once, and nothing that is still needed goes."""

import itertools
import logging
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from app.services.hospital.auditing import about
from app.services.hospital.ports import AuditTrail
from app.services.hospital.records import Job
from app.services.ports import Clock

_log = logging.getLogger(__name__)
_BATCH = 500
_YOUNG_S = 3600.0
"""A file that is younger may be about to get its row."""


class KeptFiles(Protocol):
    """The spool, as far as it is cleaned."""

    def entries(self) -> Iterator[tuple[str, int, float]]:
        """Key, bytes and time of last change of every file."""
        ...

    def remove(self, key: str) -> None:
        """Remove a file."""
        ...

    def remove_partial(self, older_than_s: float = 3600.0) -> int:
        """Remove what crashed writers left."""
        ...


class KeptJobs(Protocol):
    """The job table, as far as it is cleaned."""

    def purgeable(self, ended_before: datetime, limit: int) -> list[Job]:
        """Jobs that ended well before a time."""
        ...

    def forget_content(self, ended_before: datetime, limit: int) -> int:
        """Let go of films and objects."""
        ...

    def remove(self, identifier: str) -> None:
        """Remove a job."""
        ...

    def content_keys(self, identifier: str) -> set[str]:
        """Every spool key of a job."""
        ...

    def referenced(self, keys: Collection[str]) -> set[str]:
        """Spool keys that something still points to."""
        ...

    def forget_events(self, before: datetime) -> int:
        """Remove old events."""
        ...


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What one round let go of."""

    contents: int
    jobs: int
    files: int
    partial: int
    bytes_: int


class Housekeeping:
    """Retention by two ages: films and objects, then what was said of them; parked work never ages.

    Parameters
    ----------
    files, jobs, audit, clock
        The edges.
    keep_days
        Of films and objects, after their job ended well.
    keep_jobs_days
        Of jobs, their answers and events.
    """

    def __init__(  # the edges it joins
        self,
        files: KeptFiles,
        jobs: KeptJobs,
        audit: AuditTrail,
        clock: Clock,
        keep_days: float,
        keep_jobs_days: float,
    ) -> None:
        self._files, self._jobs, self._audit, self._clock = files, jobs, audit, clock
        self._keep_days, self._keep_jobs_days = keep_days, keep_jobs_days

    def clean(self) -> Cleaned:
        """Do one round; idempotent, and safe beside receivers and workers."""
        now = self._clock.now()
        contents = jobs = 0
        while found := self._jobs.forget_content(now - timedelta(days=self._keep_days), _BATCH):
            contents += found
        old = now - timedelta(days=self._keep_jobs_days)
        while batch := self._jobs.purgeable(old, _BATCH):
            for job in batch:
                self._jobs.remove(job.id)
                self._audit.record("purged", **about(job))
            jobs += len(batch)
        self._jobs.forget_events(old)
        files, size = self._remove_unreferenced()
        partial = self._files.remove_partial(_YOUNG_S)
        cleaned = Cleaned(contents, jobs, files, partial, size)
        if any((contents, jobs, files, partial)):
            _log.info("cleaned", extra={"contents": contents, "jobs": jobs, "files": files, "partial": partial})
        return cleaned

    def purge(self, job: Job, user: str = "") -> None:
        """Remove one job that has ended, with its files, at once, because somebody asked for it.

        Raises
        ------
        JobConflictError
            If it has not ended.
        """
        keys = self._jobs.content_keys(job.id)
        self._jobs.remove(job.id)
        self._audit.record("purged", user=user, **about(job))
        for key in keys - self._jobs.referenced(keys):
            self._files.remove(key)

    def _remove_unreferenced(self) -> tuple[int, int]:
        limit = time.time() - _YOUNG_S
        old = ((key, size) for key, size, changed in self._files.entries() if changed <= limit)
        removed = removed_bytes = 0
        while batch := dict(itertools.islice(old, _BATCH)):
            for key in batch.keys() - self._jobs.referenced(batch.keys()):
                self._files.remove(key)
                removed, removed_bytes = removed + 1, removed_bytes + batch[key]
        return removed, removed_bytes
