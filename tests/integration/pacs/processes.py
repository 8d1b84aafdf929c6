"""Discern's processes as an operator starts them: killed, hung, started again on the same spool."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.integration.pacs.orthanc import wait_until

REPOSITORY = Path(__file__).parents[3]
START_S = 90.0


class Discern:
    """One process of the service, with a temporary folder of its own.

    Parameters
    ----------
    folder
        For its log, its temporary files and, where nobody says otherwise, its spool.
    command
        Words after ``discern``.
    settings
        ``DISCERN_*`` by name, without the prefix; what is no string is given as JSON.
    listens_at
        Where somebody must be listening before it counts as started.
    """

    def __init__(
        self,
        folder: Path,
        command: Sequence[str],
        settings: Mapping[str, Any],
        listens_at: Sequence[tuple[str, int]] = (),
    ) -> None:
        self.folder, self.command, self.listens_at = folder, list(command), list(listens_at)
        self.settings = {"LOG_FORMAT": "json", "SPOOL__DIR": str(folder / "spool")} | dict(settings)
        self.log, self.temporary = folder / "discern.log", folder / "tmp"
        self.temporary.mkdir(parents=True, exist_ok=True)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def spool(self) -> Path:
        """Its spool's folder."""
        return Path(self.settings["SPOOL__DIR"])

    def environment(self) -> dict[str, str]:
        """All its environment."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        own = {
            f"DISCERN_{name}": value if isinstance(value, str) else json.dumps(value)
            for name, value in self.settings.items()
        }
        return kept | own | {"TMPDIR": str(self.temporary), "PYTHONPATH": str(REPOSITORY), "PYTHONWARNINGS": "default"}

    def start(self) -> "Discern":
        """Start it and wait until it listens; one that listens nowhere says in its log that it is running."""
        started = self.says_running()
        self.begin()
        wait_until(
            lambda: self.is_ready() and (bool(self.listens_at) or self.says_running() > started),
            f"discern {' '.join(self.command)} is ready",
            START_S,
            0.05,
        )
        return self

    def says_running(self) -> int:
        """How often its log says that it is running."""
        return self.log.read_bytes().count(b'"running"') if self.log.exists() else 0

    def begin(self) -> None:
        """Start it and wait for nothing."""
        assert self.process is None
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*_never_orphaned(), sys.executable, "-m", "app.cli", *self.command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env=self.environment(),
                start_new_session=True,
            )

    def is_ready(self) -> bool:
        """Whether it listens everywhere; an error if it has ended."""
        assert self.process is not None
        ended = self.process.poll()
        if ended is not None:
            self.process = None
            raise RuntimeError(f"discern {' '.join(self.command)} ended with {ended}: {self.tail()}")
        try:
            for address in self.listens_at:
                socket.create_connection(address, timeout=1).close()
        except OSError:
            return False
        return True

    @property
    def is_alive(self) -> bool:
        """Whether the process that was started last is still there."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """End it and its children at once."""
        if self.process is None:
            return
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)
        self.process = None

    def stop(self, timeout_s: float = 60.0) -> int:
        """End it in its own time; gives its exit code."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(timeout_s)
        finally:
            self.kill()

    def run(self, *arguments: str, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run another ``discern`` command with the same settings."""
        return subprocess.run(
            [sys.executable, "-m", "app.cli", *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self.environment(),
            timeout=timeout_s,
        )

    def status(self) -> Any:
        """What ``discern pacs status --json`` says."""
        ran = self.run("pacs", "status", "--json")
        try:
            return json.loads(ran.stdout)
        except ValueError as error:
            raise RuntimeError(f"status ended with {ran.returncode}: {ran.stdout}{ran.stderr}") from error

    def events(self) -> list[dict[str, Any]]:
        """Its log, line by line; what is no JSON is left out."""
        found = []
        for line in self.log.read_text("utf-8", "replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                found.append(entry)
        return found

    def tail(self, characters: int = 3000) -> str:
        """The end of its log."""
        return self.log.read_text("utf-8", "replace")[-characters:]

    def memory_bytes(self) -> int:
        """Resident memory of the process, its children included."""
        assert self.process is not None
        return sum(_resident_bytes(each) for each in [self.process.pid, *_descendants(self.process.pid)])


def _never_orphaned() -> list[str]:
    """The words before a command that end it with the thread that started it."""
    return ["setpriv", "--pdeathsig", "KILL"] if sys.platform == "linux" else []


def _descendants(process: int) -> list[int]:
    """Every process below a process."""
    found: list[int] = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        for child in task.read_text("utf-8").split():
            found += [int(child), *_descendants(int(child))]
    return found


def _resident_bytes(process: int) -> int:
    """Resident memory of one process."""
    for line in Path(f"/proc/{process}/status").read_text("utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def sleep_until(moment: float) -> None:
    """Sleep until a time of the monotonic clock."""
    time.sleep(max(0.0, moment - time.monotonic()))
