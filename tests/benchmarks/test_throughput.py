"""Requests a second on one core, as a share of bare ONNX Runtime on the same core."""

import os
import threading
import time
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest

from app.inference.catalogue import load_catalogue
from tests.benchmarks.report import percentiles, publish
from tests.benchmarks.serving import RunningService, running_service

pytestmark = pytest.mark.benchmark
SECONDS, CALLERS = 8.0, 4


def test_requests_per_second_as_share_of_bare_onnx_runtime(shipped_models: Path, megapixel_jpeg: bytes) -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("needs a core for the service and one for the callers")
    serving, calling = {cores[0]}, {cores[1]}
    figures: dict[str, object] = {"film": "1024 x 1024 JPEG", "cores": 1, "callers": CALLERS}

    before = _bare_runs_per_second(shipped_models, serving)
    with running_service(shipped_models, cores=serving, workers=1) as service:
        for name, include in (("probabilities", ""), ("maps_and_ensemble", "maps,ensemble"), ("everything", None)):
            wanted = "ensemble" in include if include is not None else True
            rate, latencies_ms = _load(service, megapixel_jpeg, include, calling)
            bare = before["with_ensemble" if wanted else "experts"]
            figures[name] = {
                "requests_per_s": round(rate, 2),
                "share_of_bare": round(rate / bare, 3),
                "latency_ms": percentiles(latencies_ms),
            }
        figures["peak_memory_mib"] = round(service.peak_memory_mib(), 1)
    after = _bare_runs_per_second(shipped_models, serving)
    figures["bare_runs_per_s"] = {name: [round(before[name], 2), round(after[name], 2)] for name in before}
    drift = max(abs(after[name] / before[name] - 1) for name in before)
    figures["bracket_drift"] = round(drift, 3)
    figures["usable"] = drift <= 0.10
    publish("throughput", figures)


def _bare_runs_per_second(models: Path, cores: set[int]) -> dict[str, float]:
    """Runs a second of the same networks without anything around them."""
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        catalogue = load_catalogue(models, "cpu")
        experts = [catalogue.expert(name) for name in (catalogue.pairs[0].interest, catalogue.pairs[0].overlap)]
        members = list(catalogue.members.values())
        rates = {}
        for name, networks in (("experts", experts), ("with_ensemble", experts + members)):
            sizes = {network.manifest.input.size_px for network in networks}
            random = np.random.default_rng(0)
            films = {size: random.normal(size=(1, 3, size, size)).astype(np.float32) for size in sizes}
            runs, started = 0, time.perf_counter()
            while time.perf_counter() - started < SECONDS / 2:
                for network in networks:
                    network(films[network.manifest.input.size_px], maps=network.manifest.kind == "expert")
                runs += 1
            rates[name] = runs / (time.perf_counter() - started)
        return rates
    finally:
        os.sched_setaffinity(0, own)


def _load(service: RunningService, film: bytes, include: str | None, cores: set[int]) -> tuple[float, list[float]]:
    """Keep the service busy with a few callers for a while."""
    path = "/v1/screenings" + (f"?include={include}" if include is not None else "")
    latencies_ms: list[float] = []
    lock = threading.Lock()
    stop_at = time.perf_counter() + SECONDS

    def call() -> None:
        os.sched_setaffinity(0, cores)
        connection = HTTPConnection("127.0.0.1", service.port, timeout=30)
        while (sent := time.perf_counter()) < stop_at:
            connection.request("POST", path, film, {"Content-Type": "image/jpeg"})
            response = connection.getresponse()
            response.read()
            assert response.status == 200
            with lock:
                latencies_ms.append(1000 * (time.perf_counter() - sent))
        connection.close()

    callers = [threading.Thread(target=call) for _ in range(CALLERS)]
    started = time.perf_counter()
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return len(latencies_ms) / (time.perf_counter() - started), latencies_ms
