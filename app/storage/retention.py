"""What may go, and what still points into the spool."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, select, update

from app.domain.errors import JobConflictError
from app.domain.jobs import ENDED, JobState
from app.services.hospital.records import Job
from app.storage.schema import ARRIVALS, DELIVERIES, EVENTS, JOBS, RESULTS
from app.storage.table_part import TablePart


class Retention(TablePart):
    """What may go, and what still points into the spool."""

    def purgeable(self, ended_before: datetime, limit: int) -> list[Job]:
        """Give succeeded and cancelled jobs that ended before a time, the oldest first; never parked ones."""
        query = (
            select(JOBS)
            .where(JOBS.c.state.in_((JobState.SUCCEEDED, JobState.CANCELLED)), JOBS.c.ended_at < ended_before)
            .order_by(JOBS.c.ended_at)
            .limit(limit)
        )
        return self._jobs(query)

    def forget_content(self, ended_before: datetime, limit: int) -> int:
        """Let go of films and objects of jobs that ended before a time; what was said of them stays."""
        with self._database.transaction() as connection:
            chosen = connection.scalars(
                select(JOBS.c.id)
                .where(
                    JOBS.c.state.in_((JobState.SUCCEEDED, JobState.CANCELLED)),
                    JOBS.c.ended_at < ended_before,
                    JOBS.c.content_key != "",
                )
                .limit(limit)
            ).all()
            if chosen:
                connection.execute(update(JOBS).where(JOBS.c.id.in_(chosen)).values(content_key=""))
                connection.execute(update(ARRIVALS).where(ARRIVALS.c.job_id.in_(chosen)).values(content_key=None))
                connection.execute(delete(DELIVERIES).where(DELIVERIES.c.job_id.in_(chosen)))
                connection.execute(update(RESULTS).where(RESULTS.c.job_id.in_(chosen)).values(content_key=""))
            return len(chosen)

    def remove(self, identifier: str) -> None:
        """Remove a job that has ended with everything said of it.

        Raises
        ------
        JobConflictError
            If it has not ended.
        """
        with self._database.transaction() as connection:
            row = self._locked(connection, identifier)
            if JobState(row.state) not in ENDED:
                raise JobConflictError(f"the job is {row.state}; cancel it first")
            for table in (DELIVERIES, RESULTS, ARRIVALS):
                connection.execute(delete(table).where(table.c.job_id == identifier))
            connection.execute(delete(EVENTS).where(EVENTS.c.job_id == identifier))
            connection.execute(delete(JOBS).where(JOBS.c.id == identifier))

    def content_keys(self, identifier: str) -> set[str]:
        """Give every spool key of a job: film, answer, record, other content under its UID, result objects."""
        keys: set[str | None] = set()
        with self._database.reading() as connection:
            for column, job in (
                (JOBS.c.content_key, JOBS.c.id),
                (JOBS.c.answer_key, JOBS.c.id),
                (JOBS.c.record_key, JOBS.c.id),
                (ARRIVALS.c.content_key, ARRIVALS.c.job_id),
                (RESULTS.c.content_key, RESULTS.c.job_id),
            ):
                keys |= set(connection.scalars(select(column).where(job == identifier)))
        return {key for key in keys if key}

    def referenced(self, keys: Collection[str]) -> set[str]:
        """Give those of some spool keys that anything here still points to."""
        wanted, found = list(keys), set[str]()
        columns = (
            JOBS.c.content_key, JOBS.c.answer_key, JOBS.c.record_key, ARRIVALS.c.content_key, RESULTS.c.content_key,
            DELIVERIES.c.content_key,
        )  # fmt: skip
        with self._database.reading() as connection:
            for start in range(0, len(wanted), 500):
                some = wanted[start : start + 500]
                for column in columns:
                    found |= set(connection.scalars(select(column).where(column.in_(some))))
        return found

    def forget_events(self, before: datetime) -> int:
        """Remove events older than a time."""
        with self._database.transaction() as connection:
            return connection.execute(delete(EVENTS).where(EVENTS.c.at < before)).rowcount
