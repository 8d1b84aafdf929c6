"""A real service on loopback, started for a measurement and stopped by its process id."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class RunningService:
    """A service that is ready."""

    process: "subprocess.Popen[bytes]"
    port: int
    ready_after_s: float

    def cpu_seconds(self) -> float:
        """Processor time of the process so far, user and system."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_memory_mib(self) -> float:
        """Largest resident size so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024


def free_port() -> int:
    """Find a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_ready(port: int) -> bool:
    """Ask ``/health/ready`` once."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@contextmanager
def running_service(
    models_dir: Path, *, cores: set[int] | None = None, workers: int | None = None
) -> Iterator[RunningService]:
    """Start ``discern serve``, wait until it is ready, stop it afterwards."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DISCERN_")}
    environment |= {"DISCERN_MODELS_DIR": str(models_dir), "DISCERN_LOG_LEVEL": "warning"}
    if workers is not None:
        environment["DISCERN_QUEUE__WORKERS"] = str(workers)
    command = [sys.executable, "-m", "app.cli", "serve", "--port", str(port)]
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    if cores is not None:
        os.sched_setaffinity(process.pid, cores)
    try:
        while not is_ready(port):
            if process.poll() is not None or time.perf_counter() - started > START_LIMIT_S:
                raise RuntimeError(f"the service did not become ready (exit code {process.poll()})")
            time.sleep(0.01)
        yield RunningService(process, port, time.perf_counter() - started)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
