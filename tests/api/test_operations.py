"""Everything around a screening: health, metrics, models, pages, headers, logs, overload, time limits."""

import json
import logging
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import Response
from starlette.testclient import TestClient
from starlette.types import Message

from app.api.routes import page
from app.api.schemas import LiveDocument, ManifestDocument, ModelsDocument, ReadyDocument
from app.main import create_app
from app.telemetry import JsonFormatter
from tests.api.conftest import OpenHeld, toy_settings
from tests.api.problems import assert_problem, strict_json
from tests.api.test_screenings import PATH, answer, post
from tests.fakes import PATIENCE_S
from tests.phantoms import chest_film, dicom_bytes, dicom_dataset, digest

SECURITY_HEADERS = (
    "x-content-type-options", "referrer-policy", "x-frame-options", "content-security-policy", "x-request-id",
    "cross-origin-opener-policy", "cache-control",
)  # fmt: skip


# --- health, models, metrics ------------------------------------------------------------------------------------------


def test_a_live_service_says_so(client: TestClient) -> None:
    assert LiveDocument.model_validate(client.get("/health/live").json()).status == "live"


def test_a_ready_service_names_its_device_and_models(client: TestClient) -> None:
    found = ReadyDocument.model_validate(client.get("/health/ready").json())

    assert (found.status, found.device, found.waiting, found.running) == ("ready", "cpu", 0, 0)
    assert {(model.name, model.device) for model in found.models} == {
        ("covid19", "cpu"),
        ("pneumonia", "cpu"),
        ("ensemble-toy", "cpu"),
    }


def test_a_stopping_service_is_not_ready(open_held: OpenHeld) -> None:
    with open_held() as (service, client):
        service.queue.close(PATIENCE_S)

        response = client.get("/health/ready")

        assert response.status_code == 503
        assert ReadyDocument.model_validate(response.json()).status == "stopping"
        assert_problem(post(client, b"film"), 503, "overloaded")


def test_models_are_listed_with_their_pairs(client: TestClient) -> None:
    found = ModelsDocument.model_validate(client.get("/v1/models").json())

    assert [(m.name, m.kind, m.grid) for m in found.models] == [
        ("covid19", "expert", [4, 4]),
        ("ensemble-toy", "multilabel", [4, 4]),
        ("pneumonia", "expert", [4, 4]),
    ]
    assert [(p.interest, p.overlap, p.alpha) for p in found.pairs] == [("covid19", "pneumonia", 15)]
    assert found.ensemble == ["ensemble-toy"]
    assert found.fitted is None


def test_a_model_shows_its_manifest_and_its_card(client: TestClient, release: Path) -> None:
    directory = release / "covid19" / "1.0.0"

    shown = ManifestDocument.model_validate(strict_json(client.get("/v1/models/covid19")))
    card = client.get("/v1/models/covid19/card")

    assert shown.manifest["files"]["model.onnx"] == digest((directory / "model.onnx").read_bytes())
    assert shown.manifest["schema"] == "discern-manifest/1"
    assert shown.provider == "CPUExecutionProvider"
    assert card.headers["content-type"] == "text/markdown; charset=utf-8"
    assert card.text == (directory / "MODEL_CARD.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", ["measles", "measles/card", "%ED%A0%80", "..%2Fcovid19"])
def test_an_unknown_model_is_not_found(client: TestClient, path: str) -> None:
    response = client.get(f"/v1/models/{path}")

    assert response.status_code == 404
    assert_problem(response, 404, response.json()["code"])


def test_metrics_count_outcomes_stages_requests_and_name_the_device(release: Path, film_png: bytes) -> None:
    with TestClient(create_app(toy_settings(release))) as client:
        answer(client, film_png)
        post(client, b"GIF89a")
        post(client, film_png, interest="measles")
        client.get("/v1/models/measles")
        client.request("BREW", "/v1/models")

        text = client.get("/metrics").text

    for line in (
        'discern_screenings_total{outcome="answered"} 1.0',
        'discern_screenings_total{outcome="unsupported_format"} 1.0',
        'discern_screenings_total{outcome="model_not_found"} 1.0',
        'discern_model_loaded{device="cpu",name="covid19",provider="CPUExecutionProvider",version="1.0.0"} 1.0',
        "discern_queue_waiting 0.0",
        "discern_queue_running 0.0",
        f'discern_build_info{{version="{version("discern")}"}} 1.0',
        'discern_request_seconds_count{method="POST",route="/v1/screenings",status="200"} 1.0',
        'discern_request_seconds_count{method="GET",route="/v1/models/{name}",status="404"} 1.0',
        'discern_request_seconds_count{method="other",route="/v1/models",status="405"} 1.0',
    ):
        assert line in text
    for stage in ("decode", "preprocess", "networks", "maps", "overlays", "encode"):
        assert f'discern_stage_seconds_count{{stage="{stage}"}} 1.0' in text
    assert "measles" not in text


# --- pages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html; charset=utf-8"), ("/docs", "text/html; charset=utf-8"), ("/openapi.json", "application/json"),
        ("/web/app.js", "javascript"), ("/web/docs.js", "javascript"), ("/web/style.css", "text/css; charset=utf-8"),
        ("/web/icon.svg", "image/svg+xml"),
    ],
)  # fmt: skip
def test_pages_and_their_files_are_served_with_their_types(client: TestClient, path: str, media_type: str) -> None:
    response = client.get(path)

    assert response.status_code == 200
    assert media_type in response.headers["content-type"]
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_loads_nothing_from_outside_and_runs_nothing_inline(client: TestClient, path: str) -> None:
    html = client.get(path).text

    linked = re.findall(r"""(?:src|href)\s*=\s*["']([^"']+)""", html)
    assert linked
    assert [each for each in linked if re.match(r"[a-z]+:|//", each)] == []
    assert re.findall(r"<script(?![^>]*\bsrc=)[^>]*>", html) == []
    assert re.findall(r"\son[a-z]+=", html) == []
    for each in linked:
        if not each.startswith("#"):
            assert client.get(each if each.startswith("/") else f"/{each.removeprefix('./')}").status_code == 200


def test_the_content_security_policy_allows_only_the_service_itself(client: TestClient) -> None:
    for path in ("/", "/docs", "/web/app.js", "/v1/models"):
        policy = client.get(path).headers["content-security-policy"]

        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy


def test_the_example_is_a_film_that_the_service_answers(client: TestClient) -> None:
    pytest.importorskip("data_store", reason="the extra [example] is not installed")

    described, film = client.get("/v1/example", params={"describe": True}).json(), client.get("/v1/example")

    assert described["available"] is True
    assert film.headers["content-type"] == "application/dicom"
    assert film.headers["x-source"] == described["source"]
    assert film.content[128:132] == b"DICM"


def test_without_an_example_it_is_not_available(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "_example_path", lambda: None)

    assert client.get("/v1/example", params={"describe": True}).json()["available"] is False
    assert "install the extra" in assert_problem(client.get("/v1/example"), 404, "not_found")


def test_a_package_that_is_not_installed_has_no_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "_EXAMPLE_PACKAGE", "no-such-distribution")
    page._example_path.cache_clear()

    assert page._example_path() is None
    page._example_path.cache_clear()


# --- headers and problems ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/nowhere", "/v1", "/v1/screenings/1", "/web/nothing.js", "/web/", "/web/..%2fmain.py"]
)
def test_what_is_not_there_is_a_problem_document(client: TestClient, path: str) -> None:
    assert_problem(client.get(path), 404, "not_found")


@pytest.mark.parametrize(("method", "path"), [("GET", PATH), ("DELETE", "/v1/models"), ("POST", "/web/app.js")])
def test_a_method_that_is_not_allowed_is_a_problem_document(client: TestClient, method: str, path: str) -> None:
    assert_problem(client.request(method, path), 405, "method_not_allowed")


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 200), ("/docs", 200), ("/v1/models", 200), ("/nowhere", 404), (PATH, 405), ("/web/app.js", 200)],
)
def test_every_answer_has_the_security_headers(client: TestClient, path: str, status: int) -> None:
    response = client.get(path)

    assert response.status_code == status
    assert [name for name in SECURITY_HEADERS if name not in response.headers] == []


@pytest.mark.parametrize("given", ["abc-1.2_X", "x" * 64])
def test_a_harmless_request_identifier_is_echoed(client: TestClient, given: str) -> None:
    assert client.get("/health/live", headers={"X-Request-ID": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "Doe^Jane", "a\tb", "é", "a\x0bb", "a/b"])
def test_another_request_identifier_is_replaced(client: TestClient, given: str) -> None:
    response = client.get("/health/live", headers={b"X-Request-ID": given.encode("latin-1")})

    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


def test_two_requests_have_two_identifiers(client: TestClient) -> None:
    first, second = (client.get("/health/live").headers["x-request-id"] for _ in range(2))

    assert first != second


def test_a_defect_is_a_problem_document_with_the_usual_headers_and_one_log_record(
    release: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app: FastAPI = create_app(toy_settings(release))

    @app.get("/defect/{patient}")
    async def defect(patient: str) -> None:
        raise RuntimeError("a mistake of ours")

    with TestClient(app) as client:
        response = client.get("/defect/JaneDoe")

    assert_problem(response, 500, "internal_error")
    assert "mistake" not in response.text
    assert [name for name in SECURITY_HEADERS if name not in response.headers] == []
    failures = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in failures] == ["request_failed"]
    assert failures[0].__dict__["request_id"] == response.headers["x-request-id"]
    assert "JaneDoe" not in caplog.text


# --- logs -------------------------------------------------------------------------------------------------------------


def test_logs_hold_nothing_of_a_patient_a_file_or_a_query(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    dataset = dicom_dataset(
        chest_film(96, 80, bits=12),
        bits=12,
        elements={"PatientName": "SECRETNAME^Jane", "PatientID": "SECRETID", "ViewPosition": "LL"},
    )
    uid = str(dataset.SOPInstanceUID)

    client.post(
        f"{PATH}?force=true&interest=covid19",
        files={"image": ("SECRETFILE.dcm", dicom_bytes(dataset), "application/dicom")},
        headers={"User-Agent": "SECRETAGENT"},
    )
    client.post(PATH, files={"image": ("SECRETFILE.dcm", dicom_bytes(dataset), "application/dicom")})
    client.post(f"{PATH}?SECRETQUERY=1", content=b"x", headers={"content-type": "image/png"})
    client.get("/v1/models/SECRETPATH")
    client.get("/SECRETPATH")

    formatter = JsonFormatter()
    lines = [formatter.format(each) for each in caplog.records if not each.name.startswith(("httpx2", "asyncio"))]
    requests = [json.loads(line) for line in lines if json.loads(line)["event"] == "request"]
    assert [(line["method"], line["route"], line["status"]) for line in requests] == [
        ("POST", "/v1/screenings", 200),
        ("POST", "/v1/screenings", 422),
        ("POST", "/v1/screenings", 400),
        ("GET", "/v1/models/{name}", 404),
        ("GET", "unmatched", 404),
    ]
    assert [line for line in lines if "SECRET" in line or uid in line] == []


# --- overload, time limits, callers who leave -------------------------------------------------------------------------


def test_a_full_queue_answers_503_with_a_time_to_come_again(open_held: OpenHeld, film_png: bytes) -> None:
    with open_held() as (service, client):
        service.fill()

        response = post(client, film_png)

        assert_problem(response, 503, "overloaded")
        assert int(response.headers["retry-after"]) >= 1
        service.decoder.go.set()
        assert service.decoder.decoded == []


def test_a_film_that_takes_too_long_answers_504_and_is_not_started_later(open_held: OpenHeld, film_png: bytes) -> None:
    with open_held(request_timeout_s=0.1) as (service, client):
        blocked = service.queue.submit(lambda: service.decoder.go.wait(PATIENCE_S))
        response = post(client, film_png)

        assert "0.1 s" in assert_problem(response, 504, "deadline_exceeded")
        service.decoder.go.set()
        blocked.result(PATIENCE_S)
        assert 'outcome="deadline_exceeded"} 1.0' in client.get("/metrics").text
    assert service.decoder.decoded == []


def test_what_a_running_film_takes_too_long_for_is_answered_504_too(open_held: OpenHeld, film_png: bytes) -> None:
    with open_held(request_timeout_s=0.1) as (_, client):
        assert_problem(post(client, film_png), 504, "deadline_exceeded")


def call_and_leave(client: TestClient, app: FastAPI, body: list[Message], media_type: bytes) -> list[Message]:
    """Make one request by hand whose caller sends ``body`` and is gone; give what was sent back."""
    sent: list[Message] = []

    async def run() -> None:
        messages = iter([*body, {"type": "http.disconnect"}])
        # The lifespan's state is what a server passes on to every request.
        scope: dict[str, Any] = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": PATH,
            "raw_path": PATH.encode(), "query_string": b"", "root_path": "", "scheme": "http",
            "headers": [(b"content-type", media_type)], "client": ("127.0.0.1", 1), "server": ("testserver", 80),
            "state": dict(client.app_state), "extensions": {},
        }  # fmt: skip

        async def receive() -> Message:
            return next(messages)

        async def send(message: Message) -> None:
            sent.append(message)

        await app(scope, receive, send)

    assert client.portal is not None
    client.portal.call(run)
    return sent


def test_the_queued_film_of_a_caller_who_left_never_runs(open_held: OpenHeld, film_png: bytes) -> None:
    with open_held() as (service, client):
        service.queue.submit(lambda: service.decoder.go.wait(PATIENCE_S))

        call_and_leave(client, service.app, [{"type": "http.request", "body": film_png}], b"image/png")

        assert 'discern_screenings_total{outcome="caller_left"} 1.0' in client.get("/metrics").text
        service.decoder.go.set()
        assert service.queue.submit(lambda: "next").result(PATIENCE_S) == "next"
        assert service.decoder.decoded == []


@pytest.mark.parametrize("media_type", [b"image/png", b"multipart/form-data; boundary=b"])
def test_a_caller_who_leaves_during_the_upload_is_no_defect(
    open_held: OpenHeld, media_type: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with open_held() as (service, client):
        part: list[Message] = [{"type": "http.request", "body": b"--b\r\n", "more_body": True}]

        call_and_leave(client, service.app, part, media_type)

        assert 'discern_screenings_total{outcome="caller_left"} 1.0' in client.get("/metrics").text
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_films_are_answered_side_by_side(client: TestClient, film_png: bytes) -> None:
    started = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        answers: list[Response] = list(pool.map(lambda _: post(client, film_png, include="maps"), range(24)))

    assert {response.status_code for response in answers} == {200}
    assert len({response.json()["id"] for response in answers}) == 24
    assert time.monotonic() - started < 60


def test_accepted_films_are_finished_before_the_service_ends(open_held: OpenHeld, film_png: bytes) -> None:
    with open_held() as (service, client), ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(post, client, film_png)
        assert service.decoder.started.acquire(timeout=PATIENCE_S)
        threading.Timer(0.05, service.decoder.go.set).start()
        assert service.queue.close(PATIENCE_S)

        assert accepted.result(PATIENCE_S).status_code == 200


def test_nothing_is_opened_before_the_lifespan_starts(tmp_path: Path) -> None:
    app = create_app(toy_settings(tmp_path / "nowhere"))

    assert app.openapi()["info"]["title"] == "Discern"
