"""``/v1/jobs`` over a real spool and job table; the work itself is done by hand, as a worker would."""

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.bootstrap.hospital import HospitalSide, open_hospital
from app.domain.result_identity import ResultKind
from app.main import create_app
from app.services.hospital.records import Answer, Failure, StoredResult
from app.settings import Settings, load_settings
from app.settings.hospital import AuditSettings
from tests.api.conftest import settings_with_spool
from tests.api.problems import assert_problem
from tests.integration.pacs import films


@pytest.fixture
def settings(release: Path, tmp_path: Path) -> Settings:
    return settings_with_spool(release, tmp_path)


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings)) as made:
        yield made


@pytest.fixture
def side(settings: Settings) -> Iterator[HospitalSide]:
    with open_hospital(settings) as opened:
        yield opened


def hand_in(client: TestClient, number: int = 0) -> Any:
    content = films.film(number).content
    return client.post("/v1/jobs", content=content, headers={"Content-Type": "application/dicom"})


def test_a_film_that_is_handed_in_is_durable_and_has_a_job(client: TestClient, side: HospitalSide) -> None:
    answer = hand_in(client)

    assert answer.status_code == 202
    job = client.get(answer.headers["Location"]).json()
    assert (job["state"], job["stage"], job["origin"]) == ("queued", "received", "upload")
    assert side.spool.get(side.table.job(job["id"]).content_key) == films.film(0).content


def test_the_same_film_twice_is_the_same_job(client: TestClient) -> None:
    first, second = hand_in(client).json(), hand_in(client).json()

    assert first["job_id"] == second["job_id"]
    assert (first["outcome"], second["outcome"]) == ("accepted", "duplicate")
    assert len(client.get("/v1/jobs").json()["jobs"]) == 1


def test_other_content_under_the_same_uid_is_a_conflict_and_changes_nothing(client: TestClient) -> None:
    first = hand_in(client).json()
    other = films.other_content(films.film(0))

    second = client.post("/v1/jobs", content=other.content, headers={"Content-Type": "application/dicom"}).json()

    assert (second["job_id"], second["outcome"]) == (first["job_id"], "conflict")
    assert client.get("/v1/jobs/summary").json()["alerts"] == ["conflict", "no_worker"]
    assert client.get(f"/v1/jobs/{first['job_id']}").json()["conflict"] is True


def test_pages_of_jobs_leave_none_out(client: TestClient) -> None:
    made = {hand_in(client, number).json()["job_id"] for number in range(5)}

    seen: list[str] = []
    before: str | None = None
    while True:
        page = client.get("/v1/jobs", params={"limit": 2, **({"before": before} if before else {})}).json()
        seen += [job["id"] for job in page["jobs"]]
        before = page["next"]
        if before is None:
            break

    assert len(seen) == len(set(seen)) == 5
    assert set(seen) == made


def test_a_parked_job_is_tried_again_and_its_history_says_so(client: TestClient, side: HospitalSide) -> None:
    job = hand_in(client).json()["job_id"]
    assert side.table.begin(job, "v") is not None
    side.table.failed(job, Failure("storage_full", "no room"), None)
    assert client.get("/v1/jobs", params={"state": "failed"}).json()["jobs"][0]["id"] == job

    again = client.post(f"/v1/jobs/{job}/replay")

    assert (again.status_code, again.json()["state"]) == (200, "queued")
    kinds = [event["kind"] for event in client.get(f"/v1/jobs/{job}").json()["events"]]
    assert kinds == ["arrival_accepted", "parked", "replayed"]


def test_an_answer_is_given_until_it_is_purged(client: TestClient, side: HospitalSide) -> None:
    job = hand_in(client).json()["job_id"]
    assert_problem(client.get(f"/v1/jobs/{job}/answer"), 409, "job_conflict")
    answered(side, job)

    assert client.get(f"/v1/jobs/{job}/answer").json() == {"id": job}
    assert client.delete(f"/v1/jobs/{job}").status_code == 204

    assert_problem(client.get(f"/v1/jobs/{job}/answer"), 404, "job_not_found")
    assert list(side.spool.entries()) == []


def test_open_work_is_not_purged(client: TestClient, side: HospitalSide) -> None:
    job = hand_in(client).json()["job_id"]

    assert_problem(client.delete(f"/v1/jobs/{job}"), 409, "job_conflict")
    assert side.spool.holds(side.table.job(job).content_key)


def test_a_film_is_answered_anew_beside_its_first_answer(client: TestClient, side: HospitalSide) -> None:
    job = hand_in(client).json()["job_id"]
    answered(side, job)

    made = client.post(f"/v1/jobs/{job}/screen-again").json()

    assert (made["generation"], made["state"]) == (1, "queued")
    assert side.table.predecessors(side.table.job(made["id"])) == side.table.results(job)
    assert_problem(client.post(f"/v1/jobs/{job}/screen-again"), 409, "job_conflict")


def test_events_are_streamed_from_where_a_reader_stopped(client: TestClient, side: HospitalSide) -> None:
    job = hand_in(client).json()["job_id"]
    last = side.table.last_event()
    side.table.note("hello", "there", job)

    with client.stream("GET", "/v1/jobs/events", headers={"Last-Event-ID": str(last)}) as stream:
        lines = (line for line in stream.iter_lines() if line.startswith("data: "))
        event = json.loads(next(lines).removeprefix("data: "))

    assert (event["number"], event["kind"], event["job_id"]) == (last + 1, "hello", job)


def test_what_does_not_exist_is_said(client: TestClient) -> None:
    for call in (client.get, client.delete):
        assert_problem(call("/v1/jobs/nothing"), 404, "job_not_found")
    assert_problem(client.post("/v1/jobs/nothing/replay"), 404, "job_not_found")
    assert_problem(client.get("/v1/jobs", params={"before": "nothing"}), 404, "job_not_found")


def test_without_a_spool_there_is_no_hospital_side(release: Path) -> None:
    with TestClient(create_app(load_settings({}, models_dir=release, device="cpu"))) as client:
        assert_problem(client.get("/v1/jobs"), 422, "not_configured")


def test_another_sites_page_cannot_ask_for_a_change(client: TestClient) -> None:
    refused = client.post("/v1/jobs/replay", headers={"Sec-Fetch-Site": "cross-site"})

    assert_problem(refused, 400, "invalid_request")


def test_metrics_count_films_and_alerts(client: TestClient) -> None:
    hand_in(client)

    text = client.get("/metrics").text

    assert 'discern_films{state="queued"} 1.0' in text
    assert 'discern_alert{alert="no_worker"} 1.0' in text
    assert "discern_job_table_up 1.0" in text


def test_a_receiver_of_audit_events_that_lags_is_an_alert_with_its_reason(release: Path, tmp_path: Path) -> None:
    settings = settings_with_spool(release, tmp_path)
    with socket.socket() as silent:  # bound and never listening: whoever connects is refused
        silent.bind(("127.0.0.1", 0))
        receiver = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        settings = settings.model_copy(update={"audit": AuditSettings(syslog=receiver)})
        with open_hospital(settings) as side:
            side.audit._clock = Past()  # the time of what is recorded
            side.audit.record("received", sender="MODALITY")
        with TestClient(create_app(settings)) as client:
            summary = client.get("/v1/jobs/summary").json()

            assert summary["alerts"] == ["audit_lagging"]
            assert summary["audit"]["syslog"].startswith("1 record not read by it, the first of 2026-01-01")
            assert 'discern_alert{alert="audit_lagging"} 1.0' in client.get("/metrics").text


class Past:
    """A clock that stands."""

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)


def answered(side: HospitalSide, job: str) -> None:
    """Answer a job as a worker does, with nowhere to deliver to."""
    assert side.table.begin(job, "v") is not None
    key = side.spool.put(json.dumps({"id": job}).encode())
    result = StoredResult(
        ResultKind.FINDINGS_REPORT, "1.2", f"2.25.{len(job)}", "2.25.2", "2.25.3", side.spool.put(b"r")
    )
    side.table.answered(job, Answer("screened", "positive", 0.9, key, None), [result], [])
    assert side.table.job(job).answered_at <= datetime.now(UTC)  # type: ignore[operator]  # it is answered
