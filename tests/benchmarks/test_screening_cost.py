"""Processor milliseconds of one full screening, stage by stage."""

import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest

from app.api.payload import screening_payload
from app.api.responses import FastJSONResponse
from app.bootstrap import open_services
from app.codecs.decoder import FilmDecoder
from app.codecs.png import PngEncoder
from app.services.options import DEFAULT_PARTS, Part, ScreeningOptions
from app.services.screening import ScreeningService
from app.settings import load_settings
from tests.benchmarks.report import percentiles, publish
from tests.benchmarks.serving import running_service
from tests.toy_models import write_release

pytestmark = pytest.mark.benchmark
ROUNDS, WARM_UP = 60, 8
HTTP_ROUNDS = 200
WITH_ENSEMBLE_MAPS: frozenset[Part] = frozenset({*DEFAULT_PARTS, "ensemble_maps"})
WITHOUT_ENSEMBLE: frozenset[Part] = frozenset({"maps", "overlays", "regions"})
DEFAULT = ScreeningOptions()


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor milliseconds of screenings on one thread, without HTTP."""

    stages: dict[str, list[float]]
    totals: list[float]
    answer_bytes: int
    versions: dict[str, str]


def test_full_screening_of_a_megapixel_jpeg_by_stage(
    shipped_models: Path, megapixel_jpeg: bytes, tmp_path: Path
) -> None:
    cost = measure(shipped_models, megapixel_jpeg, ROUNDS)
    with_maps = measure(shipped_models, megapixel_jpeg, ROUNDS, ScreeningOptions(include=WITH_ENSEMBLE_MAPS))
    without = measure(shipped_models, megapixel_jpeg, ROUNDS, ScreeningOptions(include=WITHOUT_ENSEMBLE))
    http_ms = http_cpu_ms(write_release(tmp_path), megapixel_jpeg)

    medians = {stage: percentiles(values)["p50"] for stage, values in cost.stages.items()}
    around = sum(value for stage, value in medians.items() if stage != "networks") + http_ms
    publish(
        "screening_cost",
        {
            "models": cost.versions,
            "film": "1024 x 1024 JPEG, three 512 px overlays",
            "answer_bytes": cost.answer_bytes,
            "cpu_ms_by_stage": {**medians, "http": round(http_ms, 2)},
            "cpu_ms_total": percentiles(cost.totals),
            "cpu_ms_total_without_ensemble": percentiles(without.totals),
            "cpu_ms_total_with_maps_of_every_label": percentiles(with_maps.totals),
            "cpu_ms_around_the_networks": round(around, 2),
            "around_the_networks_over_the_mean_network": round(around / (medians["networks"] / len(cost.versions)), 3),
        },
    )
    assert set(medians) >= {"decode", "preprocess", "networks", "maps", "overlays", "encode", "json"}


def measure(models: Path, film: bytes, rounds: int, options: ScreeningOptions = DEFAULT) -> Cost:
    """Screen one film again and again in this process."""
    stages: dict[str, list[float]] = {}
    totals: list[float] = []
    answer_bytes = 0
    with open_services(load_settings({}, models_dir=models)) as services:
        service = ScreeningService(
            FilmDecoder(), PngEncoder(), services.catalogue, services.queue, stage_clock=time.thread_time
        )
        for round_number in range(WARM_UP + rounds):
            started = time.thread_time()
            screening = service.screen(film, options)
            answered = time.thread_time()
            answer_bytes = len(FastJSONResponse(screening_payload("bench", datetime.now(UTC), screening)).body)
            finished = time.thread_time()
            if round_number < WARM_UP:
                continue
            timings = {**screening.result.timings_ms, "json": 1000 * (finished - answered)}
            timings["unattributed"] = 1000 * (answered - started) - sum(screening.result.timings_ms.values())
            for stage, value in timings.items():
                stages.setdefault(stage, []).append(value)
            totals.append(1000 * (finished - started))
        versions = {name: network.manifest.version for name, network in services.catalogue.networks.items()}
    return Cost(stages, totals, answer_bytes, versions)


def http_cpu_ms(toys: Path, film: bytes) -> float:
    """Processor milliseconds that HTTP, queue and event loop add to a screening.

    Measured with networks that cost next to nothing, in a real service against the same work in this process: with the
    shipped ones it would be a small difference of two large numbers.
    """
    in_process_ms = float(np.mean(measure(toys, film, HTTP_ROUNDS).totals))
    with (
        running_service(toys, workers=1) as service,
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
        for _ in range(HTTP_ROUNDS):
            ask()
        return 1000 * (service.cpu_seconds() - before) / HTTP_ROUNDS - in_process_ms
