"""From process start to ready: models hashed, loaded, and their golden answers repeated."""

from pathlib import Path

import pytest

from tests.benchmarks.report import percentiles, publish
from tests.benchmarks.serving import running_service

pytestmark = pytest.mark.benchmark
STARTS = 5


def test_process_start_to_ready(shipped_models: Path) -> None:
    seconds, memory = [], []
    for _ in range(STARTS):
        with running_service(shipped_models) as service:
            seconds.append(service.ready_after_s)
            memory.append(service.peak_memory_mib())
    publish(
        "start_up",
        {
            "starts": STARTS,
            "ready_after_s": percentiles(seconds),
            "peak_memory_mib_when_ready": round(max(memory), 1),
        },
    )
