"""The dispatcher and its workflows, on the real library over SQLite; answers and deliveries are functions here."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.bootstrap import SystemClock
from app.domain.jobs import DeliveryState, JobState
from app.domain.result_identity import ResultKind
from app.services.hospital.records import Answer, Arrival, Failure, Incoming, Origin, StoredResult
from app.storage.database import Database
from app.storage.job_table import JobTable
from app.workflows.durable_work import Worker, WorkLimits

LIMITS = WorkLimits(films=2, deliveries=2, poll_s=0.02)
SHORT_LEASE = WorkLimits(films=2, deliveries=2, poll_s=0.02, lease_s=2.0)


@pytest.fixture
def table(tmp_path: Path) -> JobTable:
    return JobTable(Database(f"sqlite:///{tmp_path / 'jobs.sqlite'}"), SystemClock())


def admit(table: JobTable, number: int) -> str:
    key = f"{number:x}".rjust(64, "0")
    job, _ = table.admit(Incoming(f"1.2.{number}", None, None, None, key, key, 1), Arrival(Origin.C_STORE, "MODALITY"))
    return job.id


def answered(table: JobTable, job: str, destinations: tuple[str, ...] = ()) -> None:
    if table.begin(job, "v") is None:
        return
    result = StoredResult(ResultKind.FINDINGS_REPORT, "1.2", f"2.25.{abs(hash(job))}", "2.25.1", "1.2", "e" * 64)
    table.answered(job, Answer("screened"), [result], [(name, result) for name in destinations])


def confirmed(table: JobTable, job: str, destination: str) -> None:
    from dataclasses import replace

    table.delivered([replace(each, state=DeliveryState.CONFIRMED) for each in table.deliveries(job, destination)])


def run_until(
    table: JobTable,
    folder: Path,
    done: Callable[[], bool],
    answer: Callable[[str], None],
    deliver: Callable[[str, str], None] = lambda *_: None,
    limits: WorkLimits = LIMITS,
) -> None:
    worker = Worker(table, answer, deliver, "worker", "v", f"sqlite:///{folder / 'workflows.sqlite'}", limits)
    with worker.running(stop_timeout_s=2.0):
        limit = time.monotonic() + 60.0
        while not (came_true := done()) and time.monotonic() < limit:
            time.sleep(0.02)
    assert came_true


def succeeded(table: JobTable) -> int:
    return table.counts()[JobState.SUCCEEDED]


def test_every_film_is_answered_once_and_delivered_to_each_destination(table: JobTable, tmp_path: Path) -> None:
    jobs = [admit(table, number) for number in range(12)]
    seen: list[str] = []
    sent: list[tuple[str, str]] = []

    def answer(job: str) -> None:
        seen.append(job)
        answered(table, job, ("archive", "second"))

    def deliver(job: str, destination: str) -> None:
        sent.append((job, destination))
        confirmed(table, job, destination)

    run_until(table, tmp_path, lambda: succeeded(table) == 12, answer, deliver)

    assert sorted(seen) == sorted(jobs)
    assert sorted(sent) == sorted((job, name) for job in jobs for name in ("archive", "second"))


def test_a_destination_that_hangs_holds_up_no_other(table: JobTable, tmp_path: Path) -> None:
    for number in range(6):
        admit(table, number)
    go, quick = threading.Event(), []

    def deliver(job: str, destination: str) -> None:
        if destination == "hangs":
            go.wait(30.0)
        else:
            quick.append(job)
        confirmed(table, job, destination)

    def done() -> bool:
        if len(quick) == 6:
            go.set()
        return succeeded(table) == 6

    run_until(table, tmp_path, done, lambda job: answered(table, job, ("hangs", "works")), deliver)

    assert len(quick) == 6


def test_a_worker_that_fails_leaves_the_film_to_its_next_attempt(table: JobTable, tmp_path: Path) -> None:
    job = admit(table, 1)
    runs: list[str] = []

    def answer(name: str) -> None:
        runs.append(name)
        table.begin(name, "v")
        if len(runs) == 1:
            table.failed(name, Failure("storage_full", "no room"), 0.1)
        else:
            answered(table, name)

    run_until(table, tmp_path, lambda: succeeded(table) == 1, answer)

    assert runs == [job, job]


def test_a_step_that_raises_is_begun_anew_once_its_claim_ends(
    table: JobTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admit(table, 1)
    runs: list[float] = []
    claimed: list[float] = []
    claim = table.claim_films

    def claiming(limit: int, lease_s: float, worker: str) -> list[tuple[str, int]]:
        asked = time.monotonic()
        found = claim(limit, lease_s, worker)
        claimed.extend(asked for _ in found)
        return found

    monkeypatch.setattr(table, "claim_films", claiming)

    def answer(name: str) -> None:
        runs.append(time.monotonic())
        if len(runs) == 1:
            raise RuntimeError("a defect")
        answered(table, name)

    run_until(table, tmp_path, lambda: succeeded(table) == 1, answer, limits=SHORT_LEASE)

    # From the claim, not from the first run, which a busy machine begins late.
    assert len(runs) == len(claimed) == 2
    assert runs[1] - claimed[0] >= 0.9 * SHORT_LEASE.lease_s


def test_what_was_claimed_and_never_begun_is_free_when_the_worker_starts_anew(table: JobTable, tmp_path: Path) -> None:
    admit(table, 1)
    table.claim_films(1, 3600.0, "worker")
    started = time.monotonic()

    run_until(table, tmp_path, lambda: succeeded(table) == 1, lambda job: answered(table, job))

    assert time.monotonic() - started < 60.0
    assert table.job(table.jobs()[0].id).answered_at > datetime.now(UTC) - timedelta(minutes=2)  # type: ignore[operator]


def test_a_worker_signs_on_and_off(table: JobTable, tmp_path: Path) -> None:
    run_until(table, tmp_path, lambda: "worker" in table.workers(), lambda _: None)

    assert table.workers() == {}
