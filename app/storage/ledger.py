"""Events, cursors and the workers that are alive."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from sqlalchemy import delete, func, not_, select, update

from app.domain.jobs import CLOCK_STEP_S
from app.services.hospital.records import JobEvent
from app.storage.schema import CURSORS, DELIVERIES, EVENTS, JOBS, WORKERS
from app.storage.table_part import TablePart


class Ledger(TablePart):
    """Events, cursors and the workers that are alive."""

    def events(self, after: int = 0, identifier: str | None = None, limit: int = 500) -> list[JobEvent]:
        """Give events with larger numbers, in order."""
        query = select(EVENTS).where(EVENTS.c.number > after).order_by(EVENTS.c.number).limit(limit)
        if identifier is not None:
            query = query.where(EVENTS.c.job_id == identifier)
        with self._database.reading() as connection:
            return [JobEvent(row.number, row.at, row.job_id, row.kind, row.detail) for row in connection.execute(query)]

    def note(self, kind: str, detail: str, identifier: str | None = None) -> None:
        """Write an event."""
        with self._database.transaction() as connection:
            self._event(connection, self._clock.now(), identifier, kind, detail)

    def last_event(self) -> int:
        """Give the newest event's number; 0 where there is none."""
        with self._database.reading() as connection:
            return connection.scalar(select(func.max(EVENTS.c.number))) or 0

    def cursor(self, name: str) -> str | None:
        """Give the value last kept under a name."""
        with self._database.reading() as connection:
            return connection.scalar(select(CURSORS.c.value).where(CURSORS.c.name == name))

    def keep_cursor(self, name: str, value: str) -> None:
        """Keep a value under a name."""
        now = self._clock.now()
        with self._database.transaction() as connection:
            kept = self._database.insert(CURSORS).values(name=name, value=value, at=now)
            connection.execute(kept.on_conflict_do_update(index_elements=["name"], set_={"value": value, "at": now}))

    def worker_seen(self, name: str, model_version: str) -> None:
        """Say that a worker is alive."""
        now = self._clock.now()
        with self._database.transaction() as connection:
            kept = self._database.insert(WORKERS).values(name=name, seen_at=now, model_version=model_version)
            changed = {"seen_at": now, "model_version": model_version}
            connection.execute(kept.on_conflict_do_update(index_elements=["name"], set_=changed))

    def workers(self) -> Mapping[str, datetime]:
        """When each worker was last seen."""
        with self._database.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(select(WORKERS.c.name, WORKERS.c.seen_at))}

    def silent_workers(self, silent_s: float) -> list[str]:
        """Give the workers that were not seen for so long and did not say that they stopped.

        One that was last seen in the future was seen before the clock was set back: those that live say so again.
        """
        now = self._clock.now()
        seen_lately = WORKERS.c.seen_at.between(
            now - timedelta(seconds=silent_s), now + timedelta(seconds=CLOCK_STEP_S)
        )
        with self._database.reading() as connection:
            return list(connection.scalars(select(WORKERS.c.name).where(not_(seen_lately))))

    def release_claims(self, worker: str, under_way: Collection[str]) -> None:
        """End the claims of a worker that is gone, but for jobs that are under way: they are claimed again at once."""
        now = self._clock.now()
        with self._database.transaction() as connection:
            for table, job in ((JOBS, JOBS.c.id), (DELIVERIES, DELIVERIES.c.job_id)):
                held = (table.c.claimed_by == worker, table.c.claimed_until > now, job.not_in(list(under_way)))
                connection.execute(update(table).where(*held).values(claimed_until=None))

    def forget_worker(self, name: str) -> None:
        """Remove a worker that stopped, or whose work was taken over."""
        with self._database.transaction() as connection:
            connection.execute(delete(WORKERS).where(WORKERS.c.name == name))
