"""A small hospital: Discern between a PACS that films come from and archives that results go to."""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2

from tests.integration.pacs import senders
from tests.integration.pacs.films import Film
from tests.integration.pacs.network import Network
from tests.integration.pacs.orthanc import PASSWORD, USER, Orthanc, wait_until
from tests.integration.pacs.ports import free_port
from tests.integration.pacs.processes import Discern

OPEN_STATES = ("queued", "running")


def stow_destination(archive: Orthanc, name: str = "archive", **more: Any) -> dict[str, Any]:
    """Settings of a destination: STOW-RS into an Orthanc, read back by QIDO-RS."""
    return {
        "name": name, "kind": "stow", "url": archive.dicom_web_url, "user": USER, "password": PASSWORD,
        "timeout_s": 10,
    } | more  # fmt: skip


def store_destination(archive: Orthanc, name: str = "archive", **more: Any) -> dict[str, Any]:
    """Settings of a destination: C-STORE into an Orthanc, found again by C-FIND."""
    return {
        "name": name, "kind": "c-store", "host": archive.host, "port": archive.dicom_port, "ae_title": archive.aet,
        "confirm": "c-find", "timeout_s": 10,
    } | more  # fmt: skip


def orthanc_source(source: Orthanc, name: str = "source", **more: Any) -> dict[str, Any]:
    """Settings of a source: an Orthanc's changes, with a sweep by QIDO-RS behind them."""
    return {
        "name": name, "kind": "orthanc", "url": source.url, "dicomweb_url": source.dicom_web_url, "user": USER,
        "password": PASSWORD, "poll_s": 0.3, "sweep_s": 2, "sweep_days": 3650, "timeout_s": 10,
    } | more  # fmt: skip


class Hospital:
    """Discern with its settings: ``discern pacs serve``, and ``discern serve`` beside it where a test asks for it.

    With ``split`` the first is two processes, a worker and a receiver that listens and polls.

    Parameters
    ----------
    net
        Where Orthancs are; the DICOM listener is at this machine's end of its cable.
    folder
        For everything.
    models_dir
        The release that answers.
    destinations, sources
        As in the settings.
    settings
        Any others, without ``DISCERN_``; they win.
    """

    def __init__(
        self,
        net: Network,
        folder: Path,
        models_dir: Path,
        *,
        destinations: Sequence[Mapping[str, Any]] = (),
        sources: Sequence[Mapping[str, Any]] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.dicom = (net.here, free_port(net.here))
        self.http_port = free_port()
        self.spool = folder / "spool"
        common: dict[str, Any] = {
            "MODELS_DIR": str(models_dir),
            "DEVICE": "cpu",
            "SPOOL__DIR": str(self.spool),
            "SPOOL__RESERVE_BYTES": "0",
            "QUEUE__WORKERS": "1",
            "PACS__HOST": self.dicom[0],
            "PACS__PORT": str(self.dicom[1]),
            "WORK__NAME": "worker-1",
            "WORK__POLL_S": "0.1",
            "WORK__RETRY_FIRST_S": "0.3",
            "WORK__RETRY_MOST_S": "2",
            "DESTINATIONS": list(destinations),
            "SOURCES": list(sources),
        } | dict(settings or {})
        self.settings = common
        self.pacs = Discern(folder / "pacs", ["pacs", "serve"], common, [self.dicom])
        self.receiver = Discern(folder / "receiver", ["pacs", "serve", "--roles", "listen,poll"], common, [self.dicom])
        self.worker = Discern(folder / "worker", ["pacs", "serve", "--roles", "work"], common)
        self.web = Discern(
            folder / "web", ["serve", "--port", str(self.http_port)], common, [("127.0.0.1", self.http_port)]
        )
        self.url = f"http://127.0.0.1:{self.http_port}"
        self._more: list[Discern] = []

    def start(self, *, web: bool = False, split: bool = False) -> "Hospital":
        """Start listener, pollers and worker, in one process or two, and the web service where it is wanted."""
        for process in [self.receiver, self.worker] if split else [self.pacs]:
            process.start()
        if web:
            self.web.start()
        return self

    def add_worker(self, name: str) -> Discern:
        """Start one more worker on the same queue."""
        folder = self.spool.parent / name
        made = Discern(folder, ["pacs", "serve", "--roles", "work"], self.settings | {"WORK__NAME": name})
        made.start()
        self._more.append(made)
        return made

    def close(self) -> None:
        """End whatever runs."""
        for process in self.processes:
            process.kill()

    @property
    def processes(self) -> list[Discern]:
        """All of them, running or not."""
        return [self.pacs, self.receiver, self.worker, self.web, *self._more]

    def tail(self) -> str:
        """The end of every log."""
        return "\n".join(each.tail() for each in self.processes if each.log.exists())

    @property
    def audit_folder(self) -> Path:
        """Where the audit trail is."""
        return self.spool / "audit"

    def send(self, films: Iterable[Film], **options: Any) -> dict[str, int | None]:
        """Send films by C-STORE; gives the status of each."""
        sent = list(films)
        statuses = senders.c_store(self.dicom, [each.content for each in sent], **options)
        return {each.sop_instance_uid: status for each, status in zip(sent, statuses, strict=True)}

    def stow(self, contents: Sequence[bytes], **options: Any) -> httpx2.Response:
        """Send objects by STOW-RS to the web service."""
        return senders.stow(f"{self.url}/dicomweb/studies", contents, **options)

    def summary(self) -> Any:
        """The queue in numbers."""
        return self.pacs.status()

    def wait_idle(self, films: int, timeout_s: float = 120.0) -> Any:
        """Wait until there are so many jobs and none is open; gives the last summary."""
        found: dict[str, Any] = {}

        def is_idle() -> bool:
            found.update(self.summary())
            jobs = found["jobs"]
            assert not jobs["failed"], "films are parked"
            return sum(jobs.values()) >= films and not any(jobs[state] for state in OPEN_STATES)

        try:
            wait_until(is_idle, f"{films} films answered and delivered", timeout_s, 1.0)
        except (AssertionError, TimeoutError) as error:
            raise AssertionError(f"{error}: {found}; {self.tail()}") from None
        assert sum(found["jobs"].values()) == films, found
        return found

    def wait_state(self, condition: Any, what: str, timeout_s: float = 60.0) -> Any:
        """Wait until a summary is as it should be; gives it."""
        started = time.monotonic()
        while True:
            found = self.summary()
            if condition(found):
                return found
            if time.monotonic() - started > timeout_s:
                raise TimeoutError(f"not within {timeout_s:g} s: {what}: {found}; {self.tail()}")
            time.sleep(1.0)

    def jobs(self, **query: Any) -> list[dict[str, Any]]:
        """Every job, through the web service."""
        found: list[dict[str, Any]] = []
        before: dict[str, str] = {}
        while True:
            page = httpx2.get(
                f"{self.url}/v1/jobs", params={"limit": 500} | query | before, timeout=60, trust_env=False
            ).json()
            found += page["jobs"]
            if page["next"] is None:
                return found
            before = {"before": page["next"]}
