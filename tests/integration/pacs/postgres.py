"""A throw-away PostgreSQL on loopback: started, killed and started again with the same data."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

from tests.integration.pacs.ports import free_port

START_S = 30.0


def _programs() -> Path | None:
    """Where the newest server's programs are: Debian keeps them off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[4]))
    if found:
        return found[-1].parent
    elsewhere = shutil.which("postgres")
    return Path(elsewhere).parent if elsewhere else None


def why_not() -> str | None:
    """Say why no PostgreSQL can run here; None where one can."""
    if _programs() is None:
        return "no PostgreSQL here (apt-get install postgresql)"
    if os.geteuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            return "root may not run PostgreSQL, and there is no user postgres"
    return None


class Postgres:
    """One cluster with a database ``discern``; the server listens on loopback and nowhere else.

    Its folder is short-lived and its own, because the server's user must be able to reach it.
    """

    def __init__(self) -> None:
        programs = _programs()
        assert programs is not None
        self.programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="discern-postgres-"))
        self.data, self.log = self.folder / "data", self.folder / "postgres.log"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        self._run("initdb", "--pgdata", str(self.data), "--username", "discern", "--auth", "trust", "--no-sync")
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as configuration:
            configuration.write("unix_socket_directories = ''\nlisten_addresses = '127.0.0.1'\n")

    @property
    def url(self) -> str:
        """As SQLAlchemy with psycopg wants it."""
        return f"postgresql+psycopg://discern@127.0.0.1:{self.port}/discern"

    def start(self) -> "Postgres":
        """Start the server and wait until it takes connections, its recovery after a kill included."""
        assert self.process is None
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*self._as_its_user(), str(self.programs / "postgres"), "-D", str(self.data), "-p", str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
            )
        deadline = time.monotonic() + START_S
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise RuntimeError("PostgreSQL did not start")
            time.sleep(0.05)
        return self

    def answers(self) -> bool:
        """Whether it takes connections; makes the database where there is none."""
        address = f"host=127.0.0.1 port={self.port} user=discern connect_timeout=2"
        try:
            with psycopg.connect(f"{address} dbname=postgres", autocommit=True) as connection:
                found = connection.execute("SELECT 1 FROM pg_database WHERE datname = 'discern'").fetchone()
                if found is None:
                    connection.execute("CREATE DATABASE discern")
        except psycopg.OperationalError:
            return False
        return True

    def kill(self) -> None:
        """End every process of the server at once."""
        if self.process is None:
            return
        # With the first process gone, the others end themselves; they hold the shared memory until they have.
        children = _children(self.process.pid)
        self.process.kill()
        self.process.wait(30)
        self.process = None
        for child in children:
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + 10
        while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < deadline:
            time.sleep(0.02)

    def stop(self) -> None:
        """End it properly: sessions are ended, everything is written."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        self.process = None

    def close(self) -> None:
        """End it and remove what it wrote."""
        self.kill()
        shutil.rmtree(self.folder)

    def size_bytes(self) -> int:
        """What its files take on disk."""
        return sum(path.stat().st_size for path in self.data.rglob("*") if path.is_file())

    def _as_its_user(self) -> list[str]:
        """The words before a command: it dies with its starter, and never runs as root."""
        whom = ["--reuid", "postgres", "--regid", "postgres", "--init-groups"] if os.geteuid() == 0 else []
        return ["setpriv", *whom, "--pdeathsig", "KILL"]

    def _run(self, program: str, *arguments: str) -> None:
        """Run one of its programs to its end."""
        subprocess.run(
            [*self._as_its_user(), str(self.programs / program), *arguments],
            check=True,
            capture_output=True,
            cwd=self.folder,
            timeout=120,
        )


def _children(process: int) -> list[int]:
    """The processes that a process started."""
    found = Path(f"/proc/{process}/task/{process}/children").read_text("utf-8")
    return [int(each) for each in found.split()]
