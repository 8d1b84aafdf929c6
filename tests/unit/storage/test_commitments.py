"""What archives were asked to answer for, and what keeps failing, in the job table's database."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.domain.jobs import ArrivalOutcome, DeliveryState
from app.domain.result_identity import ResultKind
from app.services.hospital.records import Answer, Arrival, Delivery, Incoming, Origin, PollReport, StoredResult
from app.services.hospital.source_watch import SourceWatch
from app.storage.database import Database
from app.storage.job_table import JobTable

UIDS = ["1.2.3.1", "1.2.3.2"]
LONG = 3600.0


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 25, 8, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def pass_s(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def table(tmp_path: Path, clock: Clock) -> Iterator[JobTable]:
    database = Database(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    yield JobTable(database, clock)
    database.close()


def test_a_report_is_told_apart_from_no_report_and_from_no_request(table: JobTable) -> None:
    table.asked("1.1", "archive", UIDS)
    table.reported("1.1", {UIDS[0]: True})

    assert table.standing("archive", [*UIDS, "1.2.3.3"], LONG) == {UIDS[0]: True, UIDS[1]: None}
    assert table.standing("elsewhere", UIDS, LONG) == {}


def test_a_report_counts_however_late_it_comes(table: JobTable, clock: Clock) -> None:
    table.asked("1.1", "archive", UIDS)
    clock.pass_s(2 * LONG)
    assert table.standing("archive", UIDS, LONG) == {}

    table.reported("1.1", {UIDS[1]: False})

    assert table.standing("archive", UIDS, LONG) == {UIDS[1]: False}


def test_a_report_of_another_transaction_or_object_changes_nothing(table: JobTable) -> None:
    table.asked("1.1", "archive", UIDS)

    table.reported("1.2", dict.fromkeys(UIDS, True))
    table.reported("1.1", {"1.2.3.3": True})

    assert table.standing("archive", [*UIDS, "1.2.3.3"], LONG) == dict.fromkeys(UIDS, None)


def test_the_report_of_any_request_counts(table: JobTable, clock: Clock) -> None:
    table.asked("1.1", "archive", UIDS)
    clock.pass_s(1)
    table.asked("1.2", "archive", UIDS)
    table.reported("1.1", {UIDS[0]: True})
    table.reported("1.2", {UIDS[1]: False})

    assert table.standing("archive", UIDS, LONG) == {UIDS[0]: True, UIDS[1]: False}


def test_a_request_that_could_not_be_made_was_never_made(table: JobTable) -> None:
    table.asked("1.1", "archive", UIDS)
    table.withdrawn("1.1")
    table.reported("1.1", dict.fromkeys(UIDS, True))

    assert table.standing("archive", UIDS, LONG) == {}


def test_what_is_forgotten_may_be_asked_anew(table: JobTable) -> None:
    table.asked("1.1", "archive", UIDS)
    table.forget("archive", UIDS[:1])
    table.asked("1.1", "archive", UIDS[:1])

    assert table.standing("archive", UIDS, LONG) == dict.fromkeys(UIDS, None)


def test_a_source_that_fails_is_in_trouble_since_it_began_until_it_works(table: JobTable, clock: Clock) -> None:
    table.source_seen("pacs", None, 2.0)
    clock.pass_s(2)
    table.source_seen("pacs", "pacs:8042 answered 401", 2.0)
    clock.pass_s(2)
    table.source_seen("pacs", "pacs:8042 answered 401", 2.0)

    assert table.source_troubles() == {"pacs": "since 2026-11-25 08:00:02Z: pacs:8042 answered 401"}

    table.source_seen("pacs", None, 2.0)
    assert table.source_troubles() == {}


def test_a_source_that_nobody_looks_at_is_in_trouble(table: JobTable, clock: Clock) -> None:
    table.source_seen("pacs", None, 2.0)
    clock.pass_s(130)
    assert table.source_troubles() == {}
    clock.pass_s(20)

    assert table.source_troubles()["pacs"].startswith("not looked at since 2026-11-25 08:00:00Z")


def test_a_source_that_is_not_configured_any_more_is_forgotten(table: JobTable) -> None:
    table.keep_cursor("changes:old", "1")
    for name in ("old", "new"):
        table.source_seen(name, "down", 2.0)

    table.forget_sources(["new"])

    assert set(table.source_troubles()) == {"new"}
    assert table.cursor("changes:old") == "1"


def test_a_watch_says_what_changes_and_no_more(table: JobTable) -> None:
    failures = iter([None, "down", "down", None, None])
    watch = SourceWatch("pacs", lambda: _report(next(failures)), table, 2.0)

    for _ in range(5):
        watch.poll()

    assert [(each.kind, each.detail) for each in table.events()] == [
        ("source_failing", "pacs: down"),
        ("source_working", "pacs"),
    ]


def _report(failure: str | None) -> PollReport:
    return PollReport(failures=(failure,) if failure else ())


def test_a_destination_that_failed_twice_is_in_trouble_until_nothing_is_open(table: JobTable, clock: Clock) -> None:
    incoming = Incoming("1.2.3", "1.2", "1.2.1", None, "a" * 64, "b" * 64, 10)
    job, outcome = table.admit(incoming, Arrival(Origin.C_STORE, "CR1"))
    assert outcome is ArrivalOutcome.ACCEPTED
    table.begin(job.id, "1")
    result = StoredResult(ResultKind.SECONDARY_CAPTURE, "1.2", "1.2.9", "1.2.1", "1.2", "c" * 64)
    table.answered(job.id, Answer("screened"), [result], [("archive", result)])
    (delivery,) = table.deliveries(job.id)

    def failed(attempts: int) -> Delivery:
        return replace(
            delivery, attempts=attempts, next_attempt_at=clock.now(), error_code="full", error_detail="it answered 507"
        )

    table.delivered([failed(1)])
    assert table.destination_troubles() == {}
    table.delivered([failed(2)])
    assert table.destination_troubles() == {"archive": "1 result open: it answered 507"}
    table.delivered([replace(delivery, state=DeliveryState.CONFIRMED)])
    assert table.destination_troubles() == {}


def test_what_processes_say_of_their_certificates_counts_until_they_say_otherwise_or_nothing(
    table: JobTable, clock: Clock
) -> None:
    table.certificates_seen("listen", {"listener": "it expired"})
    table.certificates_seen("work", {"destination archive": "it expires"})
    assert table.certificate_troubles() == {"listener": "it expired", "destination archive": "it expires"}

    table.certificates_seen("work", {})
    assert table.certificate_troubles() == {"listener": "it expired"}

    clock.time += timedelta(hours=2)
    assert table.certificate_troubles() == {}
    assert table.source_troubles() == {}


def test_a_request_of_before_the_clock_was_set_back_is_waited_for_no_longer_and_its_report_still_counts(
    table: JobTable, clock: Clock
) -> None:
    table.asked("2.25.1", "archive", UIDS)
    clock.pass_s(-86_400)
    assert table.standing("archive", UIDS, LONG) == {}

    table.reported("2.25.1", {UIDS[0]: True})
    table.asked("2.25.2", "archive", [UIDS[1]])
    assert table.standing("archive", UIDS, LONG) == {UIDS[0]: True, UIDS[1]: None}
