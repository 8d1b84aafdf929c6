"""The service as a process of its own: started, asked, stopped; and the reasons for which it does not start."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2

from app.api.schemas import ScreeningDocument
from tests.phantoms import chest_film, png_bytes

ROOT = Path(__file__).parents[2]
START_S, STOP_S = 60.0, 30.0


def environment(release: Path, changes: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DISCERN_")}
    return {**kept, "DISCERN_MODELS_DIR": str(release), "PYTHONPATH": str(ROOT), **changes}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Service:
    """`discern serve` on a free port of the loopback."""

    def __init__(self, process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
        self.process, self.url, self.log = process, url, log

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
        try:
            return httpx2.get(f"{self.url}/health/ready", timeout=5).status_code == 200
        except httpx2.TransportError:
            return False

    def screen(self, film: bytes, **query: str) -> httpx2.Response:
        return httpx2.post(
            f"{self.url}/v1/screenings", content=film, params=query, headers={"Content-Type": "image/png"}, timeout=60
        )

    def metric(self, name: str) -> float:
        text = httpx2.get(f"{self.url}/metrics", timeout=5).text
        return float(next(line for line in text.splitlines() if line.startswith(f"{name} ")).split()[1])


@contextmanager
def serving(release: Path, folder: Path, **changes: str) -> Iterator[Service]:
    port, log = free_port(), folder / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-X", "importtime", "-m", "app.cli", "serve", "--port", str(port)],
            env=environment(release, changes), cwd=folder, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        service = Service(process, f"http://127.0.0.1:{port}", log)
        try:
            limit = time.monotonic() + START_S
            while not service.is_ready():
                assert time.monotonic() < limit, log.read_text(encoding="utf-8")
                time.sleep(0.05)
            yield service
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(STOP_S)


def test_a_service_answers_and_finishes_accepted_films_when_it_is_told_to_stop(release: Path, tmp_path: Path) -> None:
    film = png_bytes(chest_film(1600, 1400))
    with serving(release, tmp_path, DISCERN_QUEUE__WORKERS="1", DISCERN_LOG_FORMAT="json") as service:
        first = service.screen(film)
        assert first.status_code == 200, first.text
        ScreeningDocument.model_validate(first.json())

        with ThreadPoolExecutor(3) as pool:
            accepted = [pool.submit(service.screen, film, overlay_size="original") for _ in range(3)]
            while service.metric("discern_queue_running") + service.metric("discern_queue_waiting") < 2:
                assert not all(future.done() for future in accepted), "the films were answered too fast to be caught"
            service.process.send_signal(signal.SIGTERM)
            answers = [future.result(STOP_S) for future in accepted]

        assert service.process.wait(STOP_S) == 0
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    log = service.log.read_text(encoding="utf-8")
    assert "Traceback" not in log
    imported = {line.rpartition("|")[2].strip() for line in log.splitlines() if line.startswith("import time:")}
    assert "onnxruntime" in imported
    assert imported & {"torch", "torchvision", "onnx", "sklearn", "matplotlib", "cv2", "training", "pydicom"} == set()


def refused(release: Path, folder: Path, **changes: str) -> str:
    """Start what cannot start; give what it said."""
    finished = subprocess.run(
        [sys.executable, "-m", "app.cli", "serve", "--port", str(free_port())],
        env=environment(release, changes), cwd=folder, capture_output=True, text=True, timeout=START_S, check=False,
    )  # fmt: skip
    assert finished.returncode != 0, finished.stdout + finished.stderr
    return finished.stderr


def test_a_broken_model_is_named_and_nothing_is_served(release: Path, tmp_path: Path) -> None:
    models = shutil.copytree(release, tmp_path / "models")
    path = models / "pneumonia" / "1.0.0" / "model.onnx"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    said = refused(models, tmp_path)

    assert said.strip().splitlines()[-1].startswith("discern: pneumonia 1.0.0: model.onnx has hash")
    assert "Traceback" not in said
