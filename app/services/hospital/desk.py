"""What operators see and do: the queue in numbers, one job whole, trying again, purging."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.domain.errors import JobConflictError, JobNotFoundError
from app.domain.jobs import ArrivalOutcome, DeliveryState, JobState
from app.domain.result_identity import ResultKind
from app.services.hospital.auditing import about
from app.services.hospital.housekeeping import Housekeeping
from app.services.hospital.ports import AuditTrail, Spool
from app.services.hospital.records import Delivery, Job, JobEvent, StoredResult
from app.services.hospital.summary import Summary
from app.services.ports import Clock


class DeskTable(Protocol):
    """The job table, as operators use it."""

    def job(self, identifier: str) -> Job:
        """Give a job."""
        ...

    def jobs(
        self,
        *,
        state: JobState | None = None,
        study_uid: str | None = None,
        since: datetime | None = None,
        before: tuple[datetime, str] | None = None,
        limit: int = 100,
    ) -> list[Job]:
        """List jobs."""
        ...

    def deliveries(self, identifier: str, destination: str | None = None) -> list[Delivery]:
        """Give a job's deliveries."""
        ...

    def results(self, identifier: str) -> list[StoredResult]:
        """Give a job's results."""
        ...

    def events(self, after: int = 0, identifier: str | None = None, limit: int = 500) -> list[JobEvent]:
        """Give events."""
        ...

    def last_event(self) -> int:
        """Give the newest event's number."""
        ...

    def counts(self) -> dict[JobState, int]:
        """Jobs by state."""
        ...

    def delivery_counts(self) -> dict[tuple[str, DeliveryState], int]:
        """Deliveries by destination and state."""
        ...

    def arrival_counts(self) -> dict[ArrivalOutcome, int]:
        """Arrivals by outcome."""
        ...

    def oldest_open(self) -> datetime | None:
        """Receipt of the oldest open film."""
        ...

    def overdue(self, deadline_s: float) -> int:
        """Open films older than that."""
        ...

    def workers(self) -> Mapping[str, datetime]:
        """When each worker was last seen."""
        ...

    def source_troubles(self) -> dict[str, str]:
        """Sources that keep failing, and why."""
        ...

    def destination_troubles(self) -> dict[str, str]:
        """Destinations that keep failing, and why."""
        ...

    def certificate_troubles(self) -> dict[str, str]:
        """Certificates that end, and when."""
        ...

    def replay(self, identifier: str) -> Job:
        """Try parked work again."""
        ...

    def screen_again(self, identifier: str) -> Job:
        """Make a new generation."""
        ...

    def cancel(self, identifier: str, code: str, detail: str) -> None:
        """End open work."""
        ...


class DeskAudit(AuditTrail, Protocol):
    """The audit trail, as operators look after it."""

    def troubles(self) -> Mapping[str, str]:
        """Receivers of audit events that lag, and why."""
        ...


@dataclass(frozen=True, slots=True)
class JobDetail:
    """One job whole."""

    job: Job
    results: Sequence[StoredResult]
    deliveries: Sequence[Delivery]
    events: Sequence[JobEvent]


class OperatorDesk:
    """Use cases of operators; everything that changes something is audited.

    Parameters
    ----------
    table, spool, audit, clock, housekeeping
        The edges.
    deadline_s
        A film that is open for longer is overdue.
    spool_max_bytes
        What the spool may hold.
    """

    def __init__(  # noqa: PLR0917  # the edges it joins
        self,
        table: DeskTable,
        spool: Spool,
        audit: DeskAudit,
        clock: Clock,
        housekeeping: Housekeeping,
        deadline_s: float,
        spool_max_bytes: int,
    ) -> None:
        self._table, self._spool, self._audit, self._clock = table, spool, audit, clock
        self._housekeeping, self._deadline_s, self._spool_max_bytes = housekeeping, deadline_s, spool_max_bytes

    def summary(self) -> Summary:
        """Count everything."""
        now = self._clock.now()
        deliveries: dict[str, dict[DeliveryState, int]] = {}
        for (destination, state), count in self._table.delivery_counts().items():
            deliveries.setdefault(destination, dict.fromkeys(DeliveryState, 0))[state] = count
        oldest = self._table.oldest_open()
        return Summary(
            at=now,
            jobs=self._table.counts(),
            arrivals=self._table.arrival_counts(),
            deliveries=deliveries,
            oldest_open_s=None if oldest is None else max(0.0, (now - oldest).total_seconds()),
            overdue=self._table.overdue(self._deadline_s),
            workers={name: (now - seen).total_seconds() for name, seen in self._table.workers().items()},
            spool_bytes=self._spool.used_bytes(),
            spool_max_bytes=self._spool_max_bytes,
            sources=self._table.source_troubles(),
            destinations=self._table.destination_troubles(),
            audit=self._audit.troubles(),
            certificates=self._table.certificate_troubles(),
        )

    def jobs(
        self,
        *,
        state: JobState | None = None,
        study_uid: str | None = None,
        since: datetime | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[Job]:
        """List jobs, the newest first; ``before`` names the last job of the page before.

        Raises
        ------
        JobNotFoundError
            If there is no job ``before``.
        """
        last = None
        if before is not None:
            job = self._table.job(before)
            last = (job.received_at, job.id)
        return self._table.jobs(state=state, study_uid=study_uid, since=since, before=last, limit=limit)

    def detail(self, identifier: str) -> JobDetail:
        """Give one job with its results, deliveries and history.

        Raises
        ------
        JobNotFoundError
            If there is none.
        """
        return JobDetail(
            self._table.job(identifier),
            self._table.results(identifier),
            self._table.deliveries(identifier),
            self._table.events(0, identifier),
        )

    def answer(self, identifier: str, user: str) -> bytes:
        """Give the JSON answer of a screened film.

        Raises
        ------
        JobNotFoundError
            If there is no job, or its answer has been purged.
        JobConflictError
            If it has no answer: not yet, or it was refused.
        """
        job = self._table.job(identifier)
        if job.answer_key is None:
            why = f"it was refused: {job.outcome}" if job.outcome else f"it is {job.state}"
            raise JobConflictError(f"the job has no answer; {why}")
        return self._given(job, "answer", job.answer_key, user)

    def fhir(self, identifier: str, user: str) -> bytes:
        """Give the answer, or the refusal, as the FHIR transaction that FHIR destinations are sent.

        Raises
        ------
        JobNotFoundError
            If there is no job, or its bundle has been purged.
        JobConflictError
            If it has none: unanswered, or no DICOM object, so that there is no study to speak of.
        """
        job = self._table.job(identifier)
        bundle = next((each for each in self._table.results(identifier) if each.kind is ResultKind.FHIR_BUNDLE), None)
        if bundle is None:
            why = f"it is {job.state}" if job.outcome is None else "only films that are DICOM objects have one"
            raise JobConflictError(f"the job has no FHIR bundle; {why}")
        return self._given(job, "FHIR bundle", bundle.content_key, user)

    def _given(self, job: Job, what: str, key: str, user: str) -> bytes:
        """Give something that was kept of a job to a user, and audit that."""
        if not (key and self._spool.holds(key)):
            raise JobNotFoundError(f"the job's {what} has been purged")
        self._audit.record("accessed", user=user, **about(job))
        return self._spool.get(key)

    def events(self, after: int, identifier: str | None = None) -> list[JobEvent]:
        """Give events with larger numbers."""
        return self._table.events(after, identifier)

    def last_event(self) -> int:
        """Give the newest event's number."""
        return self._table.last_event()

    def replay(self, identifier: str, user: str) -> Job:
        """Try parked or waiting work again at once."""
        job = self._table.replay(identifier)
        self._audit.record("replayed", user=user, **about(job))
        return job

    def replay_all(self, user: str) -> int:
        """Try all parked work again; returns how much that was."""
        done = 0
        while True:
            parked = self._table.jobs(state=JobState.FAILED, limit=200)
            progress = 0
            for job in parked:
                try:
                    self.replay(job.id, user)
                except JobConflictError:
                    continue
                progress += 1
            done += progress
            if not progress:
                return done

    def screen_again(self, identifier: str, user: str) -> Job:
        """Answer a film anew with the models of today; its earlier results stay."""
        job = self._table.screen_again(identifier)
        self._audit.record("replayed", user=user, **about(job))
        return job

    def cancel(self, identifier: str, user: str) -> Job:
        """End open work without results."""
        self._table.cancel(identifier, "cancelled_by_operator", "an operator took it back")
        job = self._table.job(identifier)
        self._audit.record("cancelled", user=user, **about(job))
        return job

    def purge(self, identifier: str, user: str) -> None:
        """Remove one job that has ended, with its files."""
        self._housekeeping.purge(self._table.job(identifier), user)

    def clean(self) -> None:
        """Do what retention asks for."""
        self._housekeeping.clean()
