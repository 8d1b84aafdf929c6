"""The tables of the hospital's work, on SQLite and PostgreSQL alike, and the steps from one release's to the next's."""

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Dialect,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    insert,
    select,
)
from sqlalchemy.exc import IntegrityError

from app.domain.errors import StorageUnavailableError

VERSION: Final = 1


class UtcTime(TypeDecorator[datetime]):
    """Aware UTC; SQLite keeps it without a zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Refuse naive times."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive time; aware UTC expected")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give the zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


METADATA: Final = MetaData()

SCHEMA_VERSION: Final = Table("discern_schema", METADATA, Column("version", Integer, primary_key=True))

JOBS: Final = Table(
    "discern_jobs",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("source_uid", String(80), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("study_uid", String(64)),
    Column("series_uid", String(64)),
    Column("patient_key", String(64)),
    Column("content_key", String(64), nullable=False),
    Column("dataset_sha256", String(64), nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("origin", String(20), nullable=False),
    Column("sender", String(200), nullable=False),
    Column("state", String(12), nullable=False),
    Column("stage", String(12), nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("started_at", UtcTime),
    Column("answered_at", UtcTime),
    Column("ended_at", UtcTime),
    Column("acquired_at", UtcTime),
    Column("model_version", Text),
    Column("outcome", String(64)),
    Column("decision", String(20)),
    Column("probability", Float),
    Column("conflict", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("runs", Integer, nullable=False),
    Column("next_attempt_at", UtcTime),
    Column("claims", Integer, nullable=False, default=0),
    Column("claimed_until", UtcTime),
    Column("claimed_by", String(100)),
    Column("error_code", String(64)),
    Column("error_detail", Text),
    Column("answer_key", String(64)),
    Column("record_key", String(64)),
    UniqueConstraint("source_uid", "generation"),
    Index("discern_jobs_by_state", "state", "next_attempt_at"),
    Index("discern_jobs_by_patient", "patient_key", "acquired_at"),
    Index("discern_jobs_by_receipt", "received_at"),
    Index("discern_jobs_by_study", "study_uid"),
)
"""``claims`` numbers the workflows that were made of a job, ``claimed_until`` keeps a second one from being made;
``runs`` counts the times a worker began, crashes included; ``attempts`` the failures in a row it lived to see."""

ARRIVALS: Final = Table(
    "discern_arrivals",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("job_id", String(36), ForeignKey("discern_jobs.id", ondelete="CASCADE"), index=True),
    Column("at", UtcTime, nullable=False),
    Column("origin", String(20), nullable=False),
    Column("sender", String(200), nullable=False),
    Column("outcome", String(12), nullable=False),
    Column("content_key", String(64)),
    Column("dataset_sha256", String(64), nullable=False),
)
"""Every acknowledgement; ``content_key`` only where other bytes than the job's are kept (a conflict)."""

RESULTS: Final = Table(
    "discern_results",
    METADATA,
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("job_id", String(36), ForeignKey("discern_jobs.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("kind", String(20), nullable=False),
    Column("sop_class_uid", String(64), nullable=False),
    Column("series_uid", String(64), nullable=False),
    Column("study_uid", String(64), nullable=False),
    Column("content_key", String(64), nullable=False),
)

DELIVERIES: Final = Table(
    "discern_deliveries",
    METADATA,
    Column("job_id", String(36), ForeignKey("discern_jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("destination", String(64), primary_key=True),
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("content_key", String(64), nullable=False),
    Column("state", String(12), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", UtcTime),
    Column("claims", Integer, nullable=False, default=0),
    Column("claimed_until", UtcTime),
    Column("claimed_by", String(100)),
    Column("sent_at", UtcTime),
    Column("confirmed_at", UtcTime),
    Column("error_code", String(64)),
    Column("error_detail", Text),
    Index("discern_deliveries_by_state", "destination", "state", "next_attempt_at"),
)

CURSORS: Final = Table(
    "discern_cursors",
    METADATA,
    Column("name", String(100), primary_key=True),
    Column("value", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
)

WORKERS: Final = Table(
    "discern_workers",
    METADATA,
    Column("name", String(100), primary_key=True),
    Column("seen_at", UtcTime, nullable=False),
    Column("model_version", Text, nullable=False),
)

EVENTS: Final = Table(
    "discern_events",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("at", UtcTime, nullable=False),
    Column("job_id", String(36), index=True),
    Column("kind", String(32), nullable=False),
    Column("detail", Text, nullable=False),
)

COMMITMENTS: Final = Table(
    "discern_commitments",
    METADATA,
    Column("transaction_uid", String(64), primary_key=True),
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("destination", String(64), nullable=False),
    Column("asked_at", UtcTime, nullable=False),
    Column("committed", Boolean),
)


def bring_up_to_date(engine: Engine) -> None:
    """Make the tables, or refuse those of a newer release.

    Raises
    ------
    StorageUnavailableError
        If the tables were made by a newer release.
    """
    METADATA.create_all(engine)
    with engine.begin() as connection:
        found = connection.execute(select(SCHEMA_VERSION.c.version)).scalars().all()
    if not found:
        try:
            with engine.begin() as connection:
                connection.execute(insert(SCHEMA_VERSION).values(version=VERSION))
        except IntegrityError:  # another process was first
            return
    elif max(found) > VERSION:
        detail = f"the job table is of schema {max(found)}, this release knows {VERSION}: upgrade it"
        raise StorageUnavailableError(detail)
