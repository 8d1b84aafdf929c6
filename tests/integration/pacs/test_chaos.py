"""A thousand films through thirty kills of worker, receiver, database and PACS: acknowledged is answered, once."""

import io
import logging
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from pydicom import dcmread

from tests.benchmarks.report import publish
from tests.integration.pacs import films, oracle, senders
from tests.integration.pacs.hospital import Hospital, orthanc_source, stow_destination
from tests.integration.pacs.orthanc import Orthanc, wait_until
from tests.integration.pacs.postgres import Postgres

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(5400)]

FILMS = int(os.environ.get("TESTBED_FILMS", "1000"))
KILLS = {"worker": 10, "receiver": 5, "web": 3, "database": 5, "archive": 4, "source": 3}
REFUSED_EVERY = 40
_log = logging.getLogger(__name__)


def test_a_thousand_films_survive_thirty_kills(
    start_orthanc: Callable[..., Orthanc],
    hospital: Callable[..., Hospital],
    postgres: Postgres,
    randomness: random.Random,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = start_orthanc("source", aet="SOURCE", settings={"StableAge": 60})
    archive = start_orthanc("archive", aet="ARCHIVE")
    ours = hospital(
        sources=[orthanc_source(source)],
        destinations=[stow_destination(archive, objects=["sr-regions", "sr-findings"])],
        settings={"SPOOL__DATABASE_URL": postgres.url},
    ).start(web=True, split=True)
    wanted, expected = drawn(randomness)
    traffic = Traffic(ours, source, random.Random(randomness.random()))
    watch = Watch(ours)
    parts = dealt(wanted, randomness)
    started = time.monotonic()

    with ThreadPoolExecutor(4) as pool, watch.watching():
        sending = [
            pool.submit(traffic.send, way, part)
            for way, part in zip((traffic.by_c_store, traffic.by_stow, traffic.by_source), parts, strict=True)
        ]
        order = [kind for kind, count in KILLS.items() for _ in range(count)]
        randomness.shuffle(order)
        for kind in order:
            time.sleep(randomness.uniform(0.5, 5.0))
            kill(kind, ours, postgres, archive, source, pause_s=randomness.uniform(0.0, 2.0))
            for process in (ours.worker, ours.receiver, ours.web):
                assert process.is_alive, f"{process.command} did not survive a kill of the {kind}: {process.tail()}"
            traffic.progress += 1.0 / len(order)
            _log.warning("%s killed; acknowledged %d", kind, len(traffic.acknowledged))
        for each in sending:
            each.result()
        sent_s = time.monotonic() - started
        summary = ours.wait_idle(len(wanted), 1800)
    took_s = time.monotonic() - started

    assert traffic.acknowledged == {each.sop_instance_uid for each in wanted}
    found = oracle.assert_answered_exactly_once(archive, expected)
    assert summary["jobs"]["succeeded"] == len(wanted), summary
    oracle.assert_audited(ours.audit_folder, len(wanted), {"archive": len(found)})
    assert oracle.traces_of_patients(*(each.temporary for each in ours.processes)) == []
    assert not [line for line in logs(ours) if films.CANARY in line]
    with capsys.disabled():
        publish(
            "chaos",
            {
                "films": len(wanted),
                "refused": sum(code is not None for code in expected.values()),
                "objects": dict(Counter(each.kind for each in found)),
                "kills": KILLS,
                "duplicates": summary["arrivals"]["duplicate"],
                "sent again for want of an answer": traffic.unanswered,
                "sending_s": round(sent_s, 1),
                "all_s": round(took_s, 1),
                "films_per_minute": round(60 * len(wanted) / took_s, 1),
                "oldest_age_s": round(watch.oldest_s, 1),
                "memory_mib": {name: round(size / 2**20) for name, size in watch.memory.items()},
            },
        )


def drawn(randomness: random.Random) -> tuple[list[films.Film], dict[str, str | None]]:
    """The films, some of which must be refused, and what each must get."""
    made: list[films.Film] = []
    expected: dict[str, str | None] = {}
    codes = list(films.refusals())
    for number in range(FILMS):
        if number % REFUSED_EVERY == 0:
            code = randomness.choice(codes)
            film = films.refusals(series=f"chaos{number}")[code]
            expected[film.sop_instance_uid] = code
        else:
            film = films.film(number, series="chaos")
            expected[film.sop_instance_uid] = None
        made.append(film)
    return made, expected


def dealt(wanted: list[films.Film], randomness: random.Random) -> list[list[films.Film]]:
    """Deal films to three senders; a tenth goes to two of them."""
    parts: list[list[films.Film]] = [[], [], []]
    for film in wanted:
        # The source is polled for films only: what is none comes by the other ways.
        ways = 3 if is_film(film) else 2
        for number in randomness.sample(range(ways), 2 if randomness.random() < 0.1 else 1):
            parts[number].append(film)
    return parts


def is_film(film: films.Film) -> bool:
    """Whether a source that is asked for CR and DX gives it."""
    return dcmread(io.BytesIO(film.content), stop_before_pixels=True).Modality in {"CR", "DX"}


def kill(kind: str, ours: Hospital, postgres: Postgres, archive: Orthanc, source: Orthanc, pause_s: float) -> None:
    """Kill one part at once, and start it again after a while."""
    processes = {"worker": ours.worker, "receiver": ours.receiver, "web": ours.web}
    if kind in processes:
        process = processes[kind]
        process.kill()
        time.sleep(pause_s)
        process.start()
    elif kind == "database":
        postgres.kill()
        time.sleep(pause_s)
        postgres.start()
    else:
        part = archive if kind == "archive" else source
        part.kill()
        time.sleep(pause_s)
        part.start()


class Traffic:
    """Modalities and gateways that send until they are acknowledged, and sometimes once more."""

    def __init__(self, ours: Hospital, source: Orthanc, randomness: random.Random) -> None:
        self.ours, self.source, self.random = ours, source, randomness
        self.acknowledged: set[str] = set()
        self.unanswered = 0
        self.progress = 0.0

    def send(self, way: Callable[[list[films.Film]], set[str]], part: list[films.Film]) -> None:
        """Send everything in small batches, no faster than the kills go on."""
        sent = 0
        while sent < len(part):
            wait_until(lambda sent=sent: sent <= self.progress * len(part) + 20, "its turn", 600)  # type: ignore[misc]  # bound early
            size = self.random.randint(1, 8)
            batch = part[sent : sent + size]
            left = list(batch)
            while left:
                taken = way(left)
                self.acknowledged |= taken
                left = [each for each in left if each.sop_instance_uid not in taken]
                if left:
                    self.unanswered += len(left)
                    time.sleep(0.3)
            if self.random.random() < 0.15:
                again = [films.Film(each.number, each.sop_instance_uid, "", films.resent(each)) for each in batch]
                way(again if self.random.random() < 0.5 else batch)
            sent += size

    def by_c_store(self, batch: list[films.Film]) -> set[str]:
        """From a modality."""
        statuses = self.ours.send(batch, timeout_s=15)
        return {uid for uid, status in statuses.items() if senders.is_taken(status)}

    def by_stow(self, batch: list[films.Film]) -> set[str]:
        """From a gateway."""
        try:
            answer = self.ours.stow([each.content for each in batch], timeout_s=30)
        except httpx2.TransportError:
            return set()
        return senders.stowed(answer)[0] if answer.status_code in {200, 202} else set()

    def by_source(self, batch: list[films.Film]) -> set[str]:
        """Into the PACS that is polled."""
        taken = set()
        for each in batch:
            try:
                self.source.store(each.content)
            except (httpx2.TransportError, httpx2.HTTPStatusError):
                continue
            taken.add(each.sop_instance_uid)
        return taken


class Watch:
    """Looks at the queue once a second."""

    def __init__(self, ours: Hospital) -> None:
        self.ours = ours
        self.oldest_s = 0.0
        self.memory = {"worker": 0, "receiver": 0, "web": 0}
        self.stopping = threading.Event()

    def watching(self) -> "Watch":
        return self

    def __enter__(self) -> None:
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.thread.join(30)

    def watch(self) -> None:
        """Until it is over."""
        while not self.stopping.wait(1.0):
            for name, process in (
                ("worker", self.ours.worker),
                ("receiver", self.ours.receiver),
                ("web", self.ours.web),
            ):
                try:
                    self.memory[name] = max(self.memory[name], process.memory_bytes())
                except (AssertionError, OSError):  # just being killed
                    continue
            try:
                found = httpx2.get(f"{self.ours.url}/v1/jobs/summary", timeout=10, trust_env=False)
                self.oldest_s = max(self.oldest_s, found.json().get("oldest_open_s") or 0.0)
            except (httpx2.TransportError, ValueError):
                continue


def logs(ours: Hospital) -> Iterator[str]:
    """Every line that was logged."""
    for path in (ours.worker.log, ours.receiver.log, ours.web.log):
        yield from path.read_text("utf-8", "replace").splitlines()
