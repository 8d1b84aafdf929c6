"""Processor milliseconds of one full screening, stage by stage."""

import time
from contextlib import closing
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path

import pytest

from app.api.payload import screening_payload
from app.api.responses import FastJSONResponse
from app.bootstrap import open_services
from app.codecs.decoder import FilmDecoder
from app.codecs.png import PngEncoder
from app.services.options import ScreeningOptions
from app.services.screening import ScreeningService
from app.settings import load_settings
from tests.benchmarks.report import percentiles, publish
from tests.benchmarks.serving import running_service

pytestmark = pytest.mark.benchmark
ROUNDS, WARM_UP = 60, 8


def test_full_screening_of_a_megapixel_jpeg_by_stage(shipped_models: Path, megapixel_jpeg: bytes) -> None:
    stages: dict[str, list[float]] = {}
    totals: list[float] = []
    body_bytes = 0
    settings = load_settings({}, models_dir=shipped_models)
    with open_services(settings) as services:
        service = ScreeningService(
            FilmDecoder(), PngEncoder(), services.catalogue, services.queue, stage_clock=time.thread_time
        )
        for round_number in range(WARM_UP + ROUNDS):
            started = time.thread_time()
            screening = service.screen(megapixel_jpeg, ScreeningOptions())
            answered = time.thread_time()
            body_bytes = len(FastJSONResponse(screening_payload("bench", datetime.now(UTC), screening)).body)
            finished = time.thread_time()
            if round_number < WARM_UP:
                continue
            timings = {**screening.result.timings_ms, "json": 1000 * (finished - answered)}
            timings["unattributed"] = 1000 * (answered - started) - sum(screening.result.timings_ms.values())
            for stage, value in timings.items():
                stages.setdefault(stage, []).append(value)
            totals.append(1000 * (finished - started))
        versions = {name: network.manifest.version for name, network in services.catalogue.networks.items()}

    medians = {stage: percentiles(values)["p50"] for stage, values in stages.items()}
    http_ms = _http_cpu_ms(shipped_models, megapixel_jpeg) - percentiles(totals)["p50"]
    around = sum(value for stage, value in medians.items() if stage != "networks") + http_ms
    publish(
        "screening_cost",
        {
            "models": versions,
            "film": "1024 x 1024 JPEG, three 512 px overlays",
            "answer_bytes": body_bytes,
            "cpu_ms_by_stage": {**medians, "http": round(http_ms, 2)},
            "cpu_ms_total": percentiles(totals),
            "cpu_ms_around_the_networks": round(around, 2),
            "networks_share": round(medians["networks"] / (around + medians["networks"]), 3),
        },
    )
    assert set(medians) >= {"decode", "preprocess", "networks", "maps", "overlays", "encode", "json"}


def _http_cpu_ms(models: Path, film: bytes) -> float:
    """Processor milliseconds of one request in a real service."""
    with (
        running_service(models, workers=1) as service,
        closing(HTTPConnection("127.0.0.1", service.port, timeout=30)) as connection,
    ):

        def ask() -> None:
            connection.request("POST", "/v1/screenings", film, {"Content-Type": "image/jpeg"})
            response = connection.getresponse()
            response.read()
            assert response.status == 200

        for _ in range(WARM_UP):
            ask()
        before = service.cpu_seconds()
        for _ in range(ROUNDS):
            ask()
        return 1000 * (service.cpu_seconds() - before) / ROUNDS
