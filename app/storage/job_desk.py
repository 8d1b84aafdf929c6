"""What an operator sees of jobs, and may do to them."""

from datetime import datetime, timedelta

from sqlalchemy import and_, func, or_, select, update

from app.domain.errors import JobConflictError
from app.domain.jobs import ENDED, ArrivalOutcome, DeliveryState, JobStage, JobState
from app.services.hospital.records import Job
from app.storage.schema import ARRIVALS, DELIVERIES, JOBS
from app.storage.table_part import OPEN_DELIVERY, TablePart, job_id


class JobDesk(TablePart):
    """What an operator sees of jobs, and may do to them."""

    def jobs(
        self,
        *,
        state: JobState | None = None,
        study_uid: str | None = None,
        since: datetime | None = None,
        before: tuple[datetime, str] | None = None,
        limit: int = 100,
    ) -> list[Job]:
        """List jobs, the newest first; ``before`` is time of receipt and name of the last one of the page before."""
        query = select(JOBS).order_by(JOBS.c.received_at.desc(), JOBS.c.id.desc()).limit(limit)
        if state is not None:
            query = query.where(JOBS.c.state == state)
        if study_uid is not None:
            query = query.where(JOBS.c.study_uid == study_uid)
        if since is not None:
            query = query.where(JOBS.c.updated_at >= since)
        if before is not None:
            at, name = before
            query = query.where(or_(JOBS.c.received_at < at, and_(JOBS.c.received_at == at, JOBS.c.id < name)))
        return self._jobs(query)

    def earlier_films(self, job: Job, limit: int = 5) -> list[Job]:
        """Give screened films of the same patient that were acquired before, the newest first."""
        if job.patient_key is None or job.acquired_at is None:
            return []
        query = (
            select(JOBS)
            .where(
                JOBS.c.patient_key == job.patient_key,
                JOBS.c.acquired_at < job.acquired_at,
                JOBS.c.outcome == "screened",
                JOBS.c.source_uid != job.source_uid,
                JOBS.c.record_key.is_not(None),
            )
            .order_by(JOBS.c.acquired_at.desc(), JOBS.c.generation.desc())
            .limit(limit)
        )
        return self._jobs(query)

    def newest_generations(self, since: datetime, limit: int) -> list[Job]:
        """Give the latest job of every film that was received since a time, the newest first."""
        newest = (
            select(JOBS.c.source_uid, func.max(JOBS.c.generation).label("generation"))
            .where(JOBS.c.received_at >= since)
            .group_by(JOBS.c.source_uid)
            .subquery()
        )
        query = (
            select(JOBS)
            .join(newest, and_(JOBS.c.source_uid == newest.c.source_uid, JOBS.c.generation == newest.c.generation))
            .where(JOBS.c.state != JobState.CANCELLED)
            .order_by(JOBS.c.received_at.desc())
            .limit(limit)
        )
        return self._jobs(query)

    def counts(self) -> dict[JobState, int]:
        """Jobs by state."""
        with self._database.reading() as connection:
            found: dict[str, int] = {
                row[0]: row[1] for row in connection.execute(select(JOBS.c.state, func.count()).group_by(JOBS.c.state))
            }
        return {state: found.get(state, 0) for state in JobState}

    def delivery_counts(self) -> dict[tuple[str, DeliveryState], int]:
        """Deliveries by destination and state."""
        query = select(DELIVERIES.c.destination, DELIVERIES.c.state, func.count()).group_by(
            DELIVERIES.c.destination, DELIVERIES.c.state
        )
        with self._database.reading() as connection:
            return {(row[0], DeliveryState(row[1])): row[2] for row in connection.execute(query)}

    def arrival_counts(self) -> dict[ArrivalOutcome, int]:
        """Arrivals by outcome."""
        with self._database.reading() as connection:
            query = select(ARRIVALS.c.outcome, func.count()).group_by(ARRIVALS.c.outcome)
            found: dict[str, int] = {row[0]: row[1] for row in connection.execute(query)}
        return {outcome: found.get(outcome, 0) for outcome in ArrivalOutcome}

    def oldest_open(self) -> datetime | None:
        """Time of receipt of the oldest film that is neither answered and confirmed nor parked."""
        query = select(func.min(JOBS.c.received_at)).where(JOBS.c.state.in_((JobState.QUEUED, JobState.RUNNING)))
        with self._database.reading() as connection:
            found: datetime | None = connection.scalar(query)
            return found

    def overdue(self, deadline_s: float) -> int:
        """How many open films were received longer ago than that."""
        before = self._clock.now() - timedelta(seconds=deadline_s)
        query = (
            select(func.count())
            .select_from(JOBS)
            .where(JOBS.c.state.in_((JobState.QUEUED, JobState.RUNNING)), JOBS.c.received_at <= before)
        )
        with self._database.reading() as connection:
            return connection.scalar(query) or 0

    def replay(self, identifier: str) -> Job:
        """Try parked work again at once: the film, or those of its deliveries that are not confirmed.

        Raises
        ------
        JobConflictError
            If there is nothing parked or waiting, or the film has been purged.
        """
        now = self._clock.now()
        with self._database.transaction() as connection:
            row = self._locked(connection, identifier)
            if row.stage == JobStage.RECEIVED:
                if not row.content_key:
                    raise JobConflictError("the film has been purged; it has to be sent again")
                values = {
                    "state": JobState.QUEUED, "attempts": 0, "runs": 0, "next_attempt_at": now, "ended_at": None,
                    "claimed_until": None,
                }  # fmt: skip
                connection.execute(update(JOBS).where(JOBS.c.id == identifier).values(updated_at=now, **values))
            else:
                again = connection.execute(
                    update(DELIVERIES)
                    .where(
                        DELIVERIES.c.job_id == identifier,
                        DELIVERIES.c.state.in_((DeliveryState.PARKED, *OPEN_DELIVERY)),
                    )
                    .values(state=DeliveryState.WAITING, attempts=0, next_attempt_at=now, claimed_until=None)
                ).rowcount
                if not again:
                    raise JobConflictError(f"the job is {row.state}; there is nothing to try again")
                self._settle(connection, now, identifier)
            self._event(connection, now, identifier, "replayed", "")
        return self.job(identifier)

    def screen_again(self, identifier: str) -> Job:
        """Make a new generation of a film's work, for the models of today; its results are new objects.

        Raises
        ------
        JobConflictError
            If the film has been purged, or its newest generation is still under way.
        """
        now = self._clock.now()
        with self._database.transaction() as connection:
            asked = self._locked(connection, identifier)
            newest = connection.execute(
                select(JOBS).where(JOBS.c.source_uid == asked.source_uid).order_by(JOBS.c.generation.desc()).limit(1)
            ).one()
            if JobState(newest.state) not in ENDED:
                raise JobConflictError(f"generation {newest.generation} of this film is still {newest.state}")
            if not newest.content_key:
                raise JobConflictError("the film has been purged; it has to be sent again")
            made = job_id(newest.source_uid, newest.generation + 1)
            copied = {name: newest._mapping[name] for name in (
                "source_uid", "study_uid", "series_uid", "patient_key", "content_key", "dataset_sha256", "size_bytes",
                "origin", "sender", "conflict", "acquired_at",
            )}  # fmt: skip
            connection.execute(
                self._database.insert(JOBS).values(
                    id=made, generation=newest.generation + 1, state=JobState.QUEUED, stage=JobStage.RECEIVED,
                    received_at=now, updated_at=now, attempts=0, runs=0, next_attempt_at=now, **copied,
                )
            )  # fmt: skip
            self._event(connection, now, made, "screen_again", f"after generation {newest.generation}")
        return self.job(made)

    def cancel(self, identifier: str, code: str, detail: str) -> None:
        """End open work without results.

        Raises
        ------
        JobConflictError
            If it has ended.
        """
        now = self._clock.now()
        with self._database.transaction() as connection:
            row = self._locked(connection, identifier)
            if JobState(row.state) in ENDED:
                raise JobConflictError(f"the job is {row.state}")
            connection.execute(
                update(JOBS)
                .where(JOBS.c.id == identifier)
                .values(
                    state=JobState.CANCELLED, ended_at=now, updated_at=now, next_attempt_at=None, error_code=code,
                    error_detail=detail,
                )
            )  # fmt: skip
            connection.execute(
                update(DELIVERIES)
                .where(DELIVERIES.c.job_id == identifier, DELIVERIES.c.state.in_(OPEN_DELIVERY))
                .values(state=DeliveryState.PARKED, next_attempt_at=None, error_code=code)
            )
            self._event(connection, now, identifier, "cancelled", code)
