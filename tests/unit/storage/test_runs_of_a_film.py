"""A film is refused for taking workers down, never for failures that a worker lived to see."""

from datetime import UTC, datetime
from pathlib import Path

from app.services.hospital.records import Arrival, Failure, Incoming, Origin
from app.storage.database import Database
from app.storage.job_table import JobTable


class StandingClock:
    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)


def test_only_runs_without_an_end_are_counted(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    table = JobTable(database, StandingClock())
    job, _ = table.admit(
        Incoming(
            source_uid="1.2", study_uid=None, series_uid=None, patient_key=None, content_key="a" * 64,
            dataset_sha256="b" * 64, size_bytes=1, acquired_at=None,
        ),
        Arrival(Origin.C_STORE, "MODALITY"),
    )  # fmt: skip

    for _ in range(5):
        table.begin(job.id, "models-1")
        table.failed(job.id, Failure("storage_full", "no room"), 0.0)
    first = table.begin(job.id, "models-1")
    second = table.begin(job.id, "models-1")

    database.close()
    assert first is not None
    assert second is not None
    assert (first.runs, second.runs) == (1, 2)
    assert second.attempts == 5
