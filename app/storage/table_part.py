"""What every part of the job table shares: its database and clock, rows as values, and the steps of several parts."""

import uuid
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, Row, Select, or_, select, update

from app.domain.errors import JobNotFoundError
from app.domain.jobs import CLOCK_STEP_S, ArrivalOutcome, DeliveryState, JobStage, JobState
from app.domain.result_identity import ResultKind
from app.services.hospital.records import Arrival, Delivery, Job, Origin, StoredResult
from app.services.ports import Clock
from app.storage.database import Database
from app.storage.schema import ARRIVALS, DELIVERIES, EVENTS, JOBS, RESULTS

_NAMESPACE: Final = uuid.UUID("e7d7a2a4-5a0e-5f0b-8d4e-5b8a2f0c7f11")
_JOB_FIELDS: Final = tuple(Job.__dataclass_fields__)
_DELIVERY_FIELDS: Final = tuple(Delivery.__dataclass_fields__)
OPEN_DELIVERY: Final = (DeliveryState.WAITING, DeliveryState.SENT)


def job_id(source_uid: str, generation: int) -> str:
    """Name a job: the same film and generation is the same job, whoever takes it in."""
    return str(uuid.uuid5(_NAMESPACE, f"{source_uid}\0{generation}"))


class TablePart:
    """One part of the job table; each public method is one transaction.

    Every method may raise `StorageUnavailableError` or `StorageFullError`.

    Parameters
    ----------
    database, clock
        The edges.
    longest_wait_s
        No attempt is put off for longer: one that lies further ahead was planned by a clock that was set back since.
    """

    def __init__(self, database: Database, clock: Clock, longest_wait_s: float = 600.0) -> None:
        self._database, self._clock, self._longest_wait_s = database, clock, longest_wait_s

    def job(self, identifier: str) -> Job:
        """Give a job.

        Raises
        ------
        JobNotFoundError
            If there is none.
        """
        with self._database.reading() as connection:
            row = connection.execute(select(JOBS).where(JOBS.c.id == identifier)).one_or_none()
        if row is None:
            raise JobNotFoundError("there is no such job, or it has been purged")
        return job_of(row)

    def results(self, identifier: str) -> list[StoredResult]:
        """Give a job's result objects."""
        query = select(RESULTS).where(RESULTS.c.job_id == identifier).order_by(RESULTS.c.kind)
        with self._database.reading() as connection:
            return [result_of(row) for row in connection.execute(query)]

    @staticmethod
    def _is_due(column: Column[datetime], now: datetime, longest_s: float) -> ColumnElement[bool]:
        """Say `app.domain.jobs.is_due` in SQL."""
        return or_(column <= now, column > now + timedelta(seconds=longest_s + CLOCK_STEP_S))

    def _jobs(self, query: Select[Any]) -> list[Job]:  # Any: rows of JOBS
        with self._database.reading() as connection:
            return [job_of(row) for row in connection.execute(query)]

    def _locked(self, connection: Connection, identifier: str) -> Row[Any]:  # Any: a row of JOBS
        row = connection.execute(select(JOBS).where(JOBS.c.id == identifier).with_for_update()).one_or_none()
        if row is None:
            raise JobNotFoundError("there is no such job, or it has been purged")
        return row

    @staticmethod
    def _event(connection: Connection, at: datetime, identifier: str | None, kind: str, detail: str) -> None:
        connection.execute(EVENTS.insert().values(at=at, job_id=identifier, kind=kind, detail=detail[:1000]))

    @staticmethod
    def _arrived(  # noqa: PLR0917  # a row
        connection: Connection, at: datetime, identifier: str | None, arrival: Arrival, outcome: ArrivalOutcome,
        dataset_sha256: str, content_key: str | None,
    ) -> None:  # fmt: skip
        connection.execute(
            ARRIVALS.insert().values(
                job_id=identifier, at=at, origin=arrival.origin, sender=arrival.sender[:200], outcome=outcome,
                content_key=content_key, dataset_sha256=dataset_sha256,
            )
        )  # fmt: skip

    def _settle(self, connection: Connection, now: datetime, identifier: str) -> None:
        rows = connection.execute(
            select(DELIVERIES.c.state, DELIVERIES.c.destination, DELIVERIES.c.error_code, DELIVERIES.c.error_detail)
            .where(DELIVERIES.c.job_id == identifier)
            .order_by(DELIVERIES.c.attempts.desc())
        ).all()
        states = {row.state for row in rows}
        values: dict[str, Any] = {"error_code": None, "error_detail": None}  # Any: column values
        if states & set(OPEN_DELIVERY):
            values |= {"state": JobState.RUNNING, "ended_at": None}
            failing = next((row for row in rows if row.state in OPEN_DELIVERY and row.error_code), None)
            if failing is not None:
                detail = f"{failing.destination}: {failing.error_detail or ''}"
                values |= {"error_code": failing.error_code, "error_detail": detail}
        elif DeliveryState.PARKED in states:
            values |= {
                "state": JobState.FAILED, "ended_at": now, "error_code": "delivery_parked",
                "error_detail": "a destination refused a result, or was tried too often",
            }  # fmt: skip
        else:
            values |= {"state": JobState.SUCCEEDED, "stage": JobStage.DELIVERED, "ended_at": now}
        connection.execute(
            update(JOBS)
            .where(JOBS.c.id == identifier, JOBS.c.state != JobState.CANCELLED)
            .values(updated_at=now, **values)
        )


def job_of(row: Row[Any]) -> Job:  # Any: a row of JOBS
    """Make a job of its row."""
    values = {name: row._mapping[name] for name in _JOB_FIELDS}
    values |= {"origin": Origin(row.origin), "state": JobState(row.state), "stage": JobStage(row.stage)}
    return Job(**values)


def delivery_of(row: Row[Any]) -> Delivery:  # Any: a row of DELIVERIES
    """Make a delivery of its row."""
    values = {name: row._mapping[name] for name in _DELIVERY_FIELDS}
    return Delivery(**{**values, "kind": ResultKind(row.kind), "state": DeliveryState(row.state)})


def result_of(row: Row[Any]) -> StoredResult:  # Any: a row of RESULTS
    """Make a result of its row."""
    return StoredResult(
        ResultKind(row.kind), row.sop_class_uid, row.sop_instance_uid, row.series_uid, row.study_uid, row.content_key
    )
