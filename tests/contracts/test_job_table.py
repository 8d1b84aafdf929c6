"""One suite for the job table, on SQLite and on PostgreSQL."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.domain.errors import JobConflictError, JobNotFoundError, StorageUnavailableError
from app.domain.jobs import ArrivalOutcome, DeliveryState, JobStage, JobState
from app.domain.result_identity import ResultKind
from app.services.hospital.records import Answer, Arrival, Failure, Incoming, Origin, StoredResult
from app.storage.database import Database
from app.storage.job_table import JobTable
from tests.integration.pacs import postgres as postgreses
from tests.integration.pacs.postgres import Postgres

ARRIVAL = Arrival(Origin.C_STORE, "MODALITY")


@dataclass
class Clock:
    """A clock that is set by hand."""

    at: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def pass_s(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres | None]:
    if postgreses.why_not():
        yield None
        return
    made = Postgres()
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        made = Database(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    else:
        server: Postgres | None = request.getfixturevalue("server")
        if server is None:
            pytest.skip(postgreses.why_not() or "")
        made = Database(server.url)
        from app.storage.schema import METADATA

        with made.engine.begin() as connection:
            for table in reversed(METADATA.sorted_tables):
                connection.execute(table.delete())
    yield made
    made.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def table(database: Database, clock: Clock) -> JobTable:
    return JobTable(database, clock)


def incoming(number: int = 0, *, content: str = "") -> Incoming:
    key = f"{number:x}".rjust(64, "0")
    return Incoming(f"1.2.{number}", "1.2", "1.3", "p" * 64, key, content or key, 10, datetime(2025, 1, 1, tzinfo=UTC))


def result(number: int, kind: ResultKind = ResultKind.FINDINGS_REPORT) -> StoredResult:
    return StoredResult(kind, "1.2.840", f"2.25.{number}", "2.25.9", "1.2", f"{number:x}".rjust(64, "e"))


def built(table: JobTable, number: int = 0, destinations: tuple[str, ...] = ("archive",)) -> str:
    job, _ = table.admit(incoming(number), ARRIVAL)
    assert table.begin(job.id, "v1") is not None
    results = [result(10 * number + 1), result(10 * number + 2, ResultKind.SECONDARY_CAPTURE)]
    answer = Answer("screened", "positive", 0.9, "a" * 64, "b" * 64)
    table.answered(job.id, answer, results, [(name, each) for name in destinations for each in results])
    return job.id


def settle(table: JobTable, job: str, state: DeliveryState, destination: str | None = None) -> None:
    table.delivered([replace(each, state=state) for each in table.deliveries(job, destination)])


def test_a_film_is_admitted_once_and_every_arrival_is_counted(table: JobTable) -> None:
    first, accepted = table.admit(incoming(), ARRIVAL)
    again, duplicate = table.admit(incoming(), ARRIVAL)
    other, conflict = table.admit(incoming(content="f" * 64), ARRIVAL)

    assert first.id == again.id == other.id
    assert (accepted, duplicate, conflict) == ("accepted", "duplicate", "conflict")
    assert table.job(first.id).conflict
    counts = table.arrival_counts()
    assert [counts[each] for each in ArrivalOutcome] == [1, 1, 1, 0]


def test_a_conflict_that_was_none_is_taken_back(table: JobTable) -> None:
    job, _ = table.admit(incoming(), ARRIVAL)
    other = incoming(content="f" * 64)
    table.admit(other, ARRIVAL)

    table.same_film_recoded(job, other)

    assert not table.job(job.id).conflict
    assert table.arrival_counts()[ArrivalOutcome.CONFLICT] == 0


def test_many_receivers_of_one_film_make_one_job(table: JobTable) -> None:
    outcomes: list[ArrivalOutcome] = []
    threads = [threading.Thread(target=lambda: outcomes.append(table.admit(incoming(), ARRIVAL)[1])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["accepted"] + 7 * ["duplicate"]
    assert len(table.jobs()) == 1


def test_a_claim_is_given_to_one_worker_until_its_lease_is_over(table: JobTable, clock: Clock) -> None:
    for number in range(3):
        table.admit(incoming(number), ARRIVAL)

    first, second, third = table.claim_films(2, 60), table.claim_films(2, 60), table.claim_films(2, 60)

    assert (len(first), len(second), len(third)) == (2, 1, 0)
    clock.pass_s(61)
    again = table.claim_films(10, 60)
    assert {job for job, _ in again} == {job for job, _ in first + second}
    assert {claim for _, claim in again} == {2}


def test_claims_of_a_worker_that_is_gone_are_free_at_once_but_for_what_is_under_way(table: JobTable) -> None:
    for number in range(3):
        table.admit(incoming(number), ARRIVAL)
    claimed = [job for job, _ in table.claim_films(2, 60, "gone")] + [
        job for job, _ in table.claim_films(1, 60, "other")
    ]

    table.release_claims("gone", [claimed[0]])

    assert [job for job, _ in table.claim_films(9, 60, "other")] == [claimed[1]]


def test_many_workers_never_claim_the_same_film(table: JobTable) -> None:
    for number in range(20):
        table.admit(incoming(number), ARRIVAL)
    claimed: list[str] = []

    def work() -> None:
        while found := table.claim_films(3, 60):
            claimed.extend(job for job, _ in found)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(claimed) == len(set(claimed)) == 20


def test_an_answer_a_second_time_changes_nothing(table: JobTable) -> None:
    job = built(table)
    before = table.job(job)

    table.answered(job, Answer("screened", "negative", 0.1), [result(99)], [("archive", result(99))])

    assert table.job(job) == before
    assert len(table.results(job)) == 2
    assert table.begin(job, "v2") is None


def test_the_time_of_an_answer_is_kept_for_a_worker_that_begins_again(table: JobTable, clock: Clock) -> None:
    job, _ = table.admit(incoming(), ARRIVAL)
    first = table.begin(job.id, "v1")
    clock.pass_s(100)
    second = table.begin(job.id, "v1")
    clock.pass_s(100)
    upgraded = table.begin(job.id, "v2")

    assert first is not None
    assert second is not None
    assert upgraded is not None
    assert first.started_at == second.started_at
    assert upgraded.started_at == clock.now()
    assert upgraded.model_version == "v2"


def test_a_film_that_took_workers_down_rests_and_lets_others_go_first(table: JobTable, clock: Clock) -> None:
    job, _ = table.admit(incoming(), ARRIVAL)
    table.begin(job.id, "v")
    table.begin(job.id, "v")

    assert table.begin(job.id, "v") is None
    assert table.job(job.id).state is JobState.QUEUED
    assert table.claim_films(9, 60) == []
    clock.pass_s(5)
    assert [found for found, _ in table.claim_films(9, 60)] == [job.id]
    begun = table.begin(job.id, "v")

    assert begun is not None
    assert begun.runs == 3


def test_a_job_ends_when_every_destination_confirmed_everything(table: JobTable) -> None:
    job = built(table, destinations=("archive", "second"))
    settle(table, job, DeliveryState.CONFIRMED, "archive")
    assert table.job(job).state is JobState.RUNNING

    settle(table, job, DeliveryState.CONFIRMED, "second")

    ended = table.job(job)
    assert (ended.state, ended.stage) == (JobState.SUCCEEDED, JobStage.DELIVERED)
    assert ended.ended_at is not None


def test_one_parked_delivery_parks_the_job_and_is_tried_again_alone(table: JobTable) -> None:
    job = built(table, destinations=("archive", "second"))
    settle(table, job, DeliveryState.CONFIRMED, "archive")
    settle(table, job, DeliveryState.PARKED, "second")
    assert table.job(job).state is JobState.FAILED

    table.replay(job)

    states = {(each.destination, each.state) for each in table.deliveries(job)}
    assert states == {("archive", DeliveryState.CONFIRMED), ("second", DeliveryState.WAITING)}
    assert [found for found, _ in table.claim_deliveries("second", 10, 60)] == [job]
    assert table.claim_deliveries("archive", 10, 60) == []


def test_what_was_confirmed_is_never_anything_else_again(table: JobTable) -> None:
    job = built(table)
    settle(table, job, DeliveryState.CONFIRMED)

    settle(table, job, DeliveryState.WAITING)

    assert {each.state for each in table.deliveries(job)} == {DeliveryState.CONFIRMED}


def test_failures_are_retried_later_and_parked_at_last(table: JobTable, clock: Clock) -> None:
    job, _ = table.admit(incoming(), ARRIVAL)
    table.begin(job.id, "v")
    table.failed(job.id, Failure("storage_full", "no room"), 30.0)
    assert table.claim_films(1, 60) == []
    clock.pass_s(31)
    assert len(table.claim_films(1, 60)) == 1

    table.failed(job.id, Failure("storage_full", "no room"), None)

    assert table.job(job.id).state is JobState.FAILED
    clock.pass_s(1000)
    assert table.claim_films(1, 60) == []
    assert table.replay(job.id).state is JobState.QUEUED


def test_a_new_generation_is_another_job_beside_the_first(table: JobTable) -> None:
    job = built(table)
    with pytest.raises(JobConflictError):
        table.screen_again(job)
    settle(table, job, DeliveryState.CONFIRMED)

    made = table.screen_again(job)

    assert made.id != job
    assert (made.generation, made.state) == (1, JobState.QUEUED)
    assert [each.sop_instance_uid for each in table.predecessors(made)] == [
        each.sop_instance_uid for each in table.results(job)
    ]
    assert [each.id for each in table.newest_generations(datetime(2026, 1, 1, tzinfo=UTC), 10)] == [made.id]


def test_cancelled_work_is_not_done_and_not_delivered(table: JobTable) -> None:
    job = built(table)

    table.cancel(job, "by_operator", "taken back")

    assert table.job(job).state is JobState.CANCELLED
    assert table.claim_deliveries("archive", 10, 60) == []
    with pytest.raises(JobConflictError):
        table.cancel(job, "by_operator", "taken back")


def test_retention_lets_go_of_content_first_and_of_jobs_later_and_never_of_open_work(
    table: JobTable, clock: Clock
) -> None:
    done, waiting = built(table, 0), built(table, 1)
    settle(table, done, DeliveryState.CONFIRMED)
    keys = table.content_keys(done)
    assert table.referenced(keys) == keys
    clock.pass_s(10)

    assert table.forget_content(clock.now(), 10) == 1
    assert table.referenced(keys) == {"a" * 64, "b" * 64}  # the answer and the record stay; both jobs share them here
    assert [job.id for job in table.purgeable(clock.now(), 10)] == [done]
    table.remove(done)
    with pytest.raises(JobConflictError):
        table.remove(waiting)
    with pytest.raises(JobNotFoundError):
        table.job(done)
    with pytest.raises(JobConflictError, match="purged"):
        table.screen_again(built_and_forgotten(table, clock))


def built_and_forgotten(table: JobTable, clock: Clock) -> str:
    job = built(table, 7)
    settle(table, job, DeliveryState.CONFIRMED)
    clock.pass_s(10)
    table.forget_content(clock.now(), 10)
    return job


def test_events_are_numbered_in_order_and_read_from_anywhere(table: JobTable) -> None:
    job = built(table)
    everything = table.events()

    assert [event.kind for event in everything] == ["arrival_accepted", "answered"]
    numbers = [event.number for event in everything]
    assert numbers == sorted(numbers)
    assert table.events(numbers[0]) == everything[1:]
    assert table.last_event() == numbers[-1]
    assert table.events(0, job) == everything


def test_cursors_are_kept(table: JobTable) -> None:
    assert table.cursor("orthanc") is None
    table.keep_cursor("orthanc", "5")
    table.keep_cursor("orthanc", "7")

    assert table.cursor("orthanc") == "7"


def test_silent_workers_are_found_and_forgotten(table: JobTable, clock: Clock) -> None:
    table.worker_seen("one", "v")
    clock.pass_s(20)
    table.worker_seen("two", "v")
    clock.pass_s(20)

    assert table.silent_workers(30) == ["one"]
    table.forget_worker("one")
    assert set(table.workers()) == {"two"}


def test_ages_and_overdue_films_are_counted(table: JobTable, clock: Clock) -> None:
    assert table.oldest_open() is None
    job = built(table)
    clock.pass_s(1000)

    assert table.oldest_open() == table.job(job).received_at
    assert (table.overdue(900), table.overdue(1100)) == (1, 0)


def test_earlier_films_are_of_the_same_patient_and_before(table: JobTable) -> None:
    job = built(table)
    later, _ = table.admit(replace(incoming(5), acquired_at=datetime(2025, 6, 1, tzinfo=UTC)), ARRIVAL)
    stranger, _ = table.admit(replace(incoming(6), patient_key="q" * 64, acquired_at=later.acquired_at), ARRIVAL)

    assert [each.id for each in table.earlier_films(later)] == [job]
    assert table.earlier_films(stranger) == []


def test_known_films_are_told_from_others(table: JobTable) -> None:
    built(table)

    assert table.knows([f"1.2.{number}" for number in range(1200)]) == {"1.2.0"}


def test_what_does_not_exist_is_said(table: JobTable) -> None:
    for act in (table.job, table.replay, table.screen_again, table.remove):
        with pytest.raises(JobNotFoundError):
            act("nothing")


def test_a_database_that_is_none_is_said(tmp_path: Path) -> None:
    for url in ("nonsense", "mysql://x/y", f"sqlite:///{tmp_path}/no/such/folder/jobs.sqlite"):
        with pytest.raises(StorageUnavailableError):
            Database(url)


def test_a_newer_schema_is_not_touched(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    made = Database(url)
    with made.transaction() as connection:
        connection.exec_driver_sql("UPDATE discern_schema SET version = 99")
    made.close()

    with pytest.raises(StorageUnavailableError, match="schema 99"):
        Database(url)


DAY_S = 86_400.0


def test_a_clock_set_back_a_day_keeps_no_film_waiting_for_a_day(table: JobTable, clock: Clock) -> None:
    fresh, failing, crashing, claimed = (table.admit(incoming(number), ARRIVAL)[0].id for number in range(4))
    table.begin(failing, "v1")
    table.failed(failing, Failure("storage_full", "no room"), 2.0)
    for _ in range(3):
        clock.pass_s(60)
        assert table.begin(crashing, "v1") is not None
    assert claimed in {job for job, _ in table.claim_films(10, 60, "gone")}

    clock.pass_s(-DAY_S)
    again = {job for job, _ in table.claim_films(10, 60, "other")}
    begun = {job for job in again if table.begin(job, "v1") is not None}

    assert again == begun == {fresh, failing, crashing, claimed}
    assert table.claim_films(10, 60, "third") == []
    table.failed(failing, Failure("storage_full", "no room"), 2.0)
    assert table.claim_films(10, 60) == []
    clock.pass_s(2)
    assert [job for job, _ in table.claim_films(10, 60)] == [failing]


def test_a_clock_set_back_a_day_keeps_no_delivery_waiting_for_a_day(table: JobTable, clock: Clock) -> None:
    job = built(table)
    later = clock.now() + timedelta(seconds=600)
    table.delivered([replace(each, attempts=9, next_attempt_at=later) for each in table.deliveries(job)])
    assert table.claim_deliveries("archive", 10, 60) == []
    other = built(table, 1)
    assert [each for each, _ in table.claim_deliveries("archive", 10, 60, "gone")] == [other]

    clock.pass_s(-DAY_S)

    assert {each for each, _ in table.claim_deliveries("archive", 10, 60)} == {job, other}
    assert table.claim_deliveries("archive", 10, 60) == []


def test_a_clock_that_is_corrected_by_a_minute_takes_nothing_from_a_worker(table: JobTable, clock: Clock) -> None:
    job, _ = table.admit(incoming(), ARRIVAL)
    delivered = built(table, 1)
    assert len(table.claim_films(10, 60)) == len(table.claim_deliveries("archive", 10, 60)) == 1

    clock.pass_s(-60)

    assert table.claim_films(10, 60) == table.claim_deliveries("archive", 10, 60) == []
    clock.pass_s(121)
    assert [each for each, _ in table.claim_films(10, 60)] == [job.id]
    assert [each for each, _ in table.claim_deliveries("archive", 10, 60)] == [delivered]


def test_a_clock_set_forward_a_day_loses_nothing_and_gives_all_work_again(table: JobTable, clock: Clock) -> None:
    film, delivered = table.admit(incoming(), ARRIVAL)[0].id, built(table, 1)
    table.claim_films(10, 60)
    table.claim_deliveries("archive", 10, 60)

    clock.pass_s(DAY_S)

    assert [each for each, _ in table.claim_films(10, 60)] == [film]
    assert [each for each, _ in table.claim_deliveries("archive", 10, 60)] == [delivered]
    assert table.begin(film, "v1") is not None


@pytest.mark.parametrize("jump_s", [DAY_S, 400 * DAY_S, -DAY_S])
def test_retention_by_a_clock_that_jumped_lets_nothing_go_that_is_open_or_parked(
    table: JobTable, clock: Clock, jump_s: float
) -> None:
    queued, delivering = table.admit(incoming(), ARRIVAL)[0].id, built(table, 1)
    parked = table.admit(incoming(2), ARRIVAL)[0].id
    table.begin(parked, "v1")
    table.failed(parked, Failure("unreadable_image", "no"), None)
    before = {job: table.content_keys(job) for job in (queued, delivering, parked)}
    clock.pass_s(jump_s)
    kept_days = clock.now() - timedelta(days=7)

    assert table.forget_content(kept_days, 10) == 0
    assert table.purgeable(kept_days, 10) == []
    for job, keys in before.items():
        assert table.content_keys(job) == keys == table.referenced(keys)


def test_workers_last_seen_in_the_future_are_silent_and_those_that_live_say_so(table: JobTable, clock: Clock) -> None:
    table.worker_seen("dead", "v1")
    table.worker_seen("alive", "v1")

    clock.pass_s(-DAY_S)
    table.worker_seen("alive", "v1")
    clock.pass_s(10)

    assert table.silent_workers(30) == ["dead"]
