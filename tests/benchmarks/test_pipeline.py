"""The hospital's pipeline: films a minute, age of the oldest work, memory; and that coding never changes a score."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.bootstrap import open_services
from app.services.options import ScreeningOptions
from app.settings import Settings
from tests.benchmarks.report import publish
from tests.integration.pacs import films, network, orthanc, postgres, senders
from tests.integration.pacs.hospital import Hospital, stow_destination
from tests.integration.pacs.network import Network
from tests.integration.pacs.orthanc import Orthanc
from tests.integration.pacs.postgres import Postgres
from tests.toy_models import write_release_with_lungs

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(7200)]

FILMS = {"toy": 150, "shipped": 40}
FLAT_FILMS = 5000


@pytest.fixture
def net() -> Iterator[Network]:
    reason = orthanc.why_not()
    if reason:
        pytest.skip(reason)
    with network.network() as made:
        yield made


@pytest.fixture
def run(net: Network, tmp_path: Path, shipped_models: Path) -> Iterator[Callable[..., Hospital]]:
    """Start a hospital with one archive and one worker, on either database."""
    started: list[Callable[[], None]] = []

    def make(models: str, database: str) -> Hospital:
        archive = Orthanc(net, tmp_path / "archive", aet="ARCHIVE").start()
        started.append(archive.close)
        settings = {}
        if database == "postgresql":
            server = Postgres().start()
            started.append(server.close)
            settings["SPOOL__DATABASE_URL"] = server.url
        folder = write_release_with_lungs(tmp_path / "toy") if models == "toy" else shipped_models.resolve()
        made = Hospital(net, tmp_path / "hospital", folder, destinations=[stow_destination(archive)], settings=settings)
        started.append(made.close)
        return made.start(web=True)

    yield make
    for close in reversed(started):
        close()


def summary(ours: Hospital) -> Any:
    return httpx2.get(f"{ours.url}/v1/jobs/summary", timeout=30, trust_env=False).json()


@pytest.mark.parametrize(("database", "workers"), [("sqlite", 1), ("postgresql", 1), ("postgresql", 2)])
@pytest.mark.parametrize("models", ["toy", "shipped"])
def test_films_a_minute_through_the_pipeline(
    run: Callable[..., Hospital], models: str, database: str, workers: int
) -> None:
    if database == "postgresql" and postgres.why_not():
        pytest.skip(str(postgres.why_not()))
    ours = run(models, database)
    others = [ours.add_worker(f"worker-{number}") for number in range(2, workers + 1)]
    wanted = [drawn(number, models) for number in range(FILMS[models])]

    started = time.perf_counter()
    statuses = ours.send(wanted)
    received_s = time.perf_counter() - started
    oldest_s, rows = 0.0, []
    while True:
        found = summary(ours)
        oldest_s = max(oldest_s, found["oldest_open_s"] or 0.0)
        rows.append(found["jobs"]["succeeded"])
        if found["jobs"]["succeeded"] == len(wanted):
            break
        assert not found["jobs"]["failed"], ours.tail()
        time.sleep(0.5)
    took_s = time.perf_counter() - started

    assert set(statuses.values()) == {senders.SUCCESS}
    publish(
        f"pipeline-{models}-{database}-{workers}",
        {
            "films": len(wanted),
            "film": f"{HEIGHTS[models][0]} x {HEIGHTS[models][1]}, 12 bits",
            "workers": workers,
            "received_films_per_minute": round(60 * len(wanted) / received_s),
            "answered_and_delivered_films_per_minute": round(60 * len(wanted) / took_s, 1),
            "oldest_age_s": round(oldest_s, 1),
            "memory_mib": [each.memory_bytes() >> 20 for each in (ours.pacs, *others)],
        },
    )


HEIGHTS = {"toy": (160, 144), "shipped": (1024, 896)}


def drawn(number: int, models: str) -> films.Film:
    height, width = HEIGHTS[models]
    return films.film(number, series="bench", height=height, width=width)


def test_memory_stays_flat_over_many_films(run: Callable[..., Hospital]) -> None:
    ours = run("toy", "sqlite")
    memory: list[tuple[int, int]] = []
    started = time.perf_counter()

    for start in range(0, FLAT_FILMS, 50):
        ours.send(films.film(number, series="flat") for number in range(start, start + 50))
        while (found := summary(ours))["jobs"]["succeeded"] < start + 50:
            assert not found["jobs"]["failed"], ours.tail()
            time.sleep(0.3)
        if start % 500 == 450 or start == 50:
            memory.append((start + 50, ours.pacs.memory_bytes() >> 20))

    first, last = memory[1][1], memory[-1][1]
    publish(
        "pipeline-memory",
        {
            "films": FLAT_FILMS,
            "memory_mib": dict(memory),
            "growth_mib_after_500": last - first,
            "films_per_minute": round(60 * FLAT_FILMS / (time.perf_counter() - started), 1),
        },
    )
    assert last - first < 64


def test_coding_and_photometric_interpretation_change_no_score(shipped_models: Path, tmp_path: Path) -> None:
    """Largest difference of any probability, with the shipped models."""
    options = ScreeningOptions()
    largest = {"twins": 0.0, "lossless": 0.0, "lossy": 0.0}
    worst: dict[str, str] = {}

    with open_services(Settings(models_dir=shipped_models, device="cpu")) as services:

        def scores(content: bytes) -> list[float]:
            result = services.screening.screen(content, options).result
            found = [each.probability for each in result.experts.values()]
            return found + [each.probability for each in (result.ensemble.labels if result.ensemble else ())]

        for number in range(10):
            second, first = films.monochrome_twins(number, series="twins", height=640, width=576)
            difference = most(scores(second.content), scores(first.content))
            largest["twins"] = max(largest["twins"], difference)
        coded = films.transfer_syntaxes(5, tmp_path, height=640, width=576)
        plain = scores(coded["ExplicitVRLittleEndian/pydicom"][0].content)
        for name, (film, lossless) in coded.items():
            kind = "lossless" if lossless else "lossy"
            difference = most(plain, scores(film.content))
            if difference >= largest[kind]:
                largest[kind], worst[kind] = difference, name

    publish("pipeline-same-scores", {"largest_difference": largest, "worst": worst, "codings": len(coded)})
    assert largest["twins"] == largest["lossless"] == 0.0
    assert largest["lossy"] < 0.02


def most(one: list[float], other: list[float]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))
