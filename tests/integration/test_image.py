"""The container image, built and run by buildah without any engine: `make image-test`.

The base image is made here from Debian packages, because the official one may be out of reach. buildah shares the
machine's network with what it runs, so the service is asked on loopback.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.phantoms import chest_film, png_bytes
from tests.toy_models import write_release

ROOT = Path(__file__).parents[2]
BASE = "localhost/python-slim:test"
IMAGE = "localhost/discern-test"
PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
SHIPPED = (ROOT / "models" / "catalogue.json").exists()
MISSING = [
    tool for tool in ("buildah", "debootstrap") if shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin") is None
]

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(MISSING), reason=f"not here: {', '.join(MISSING)}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="buildah without an engine and debootstrap need root"),
]
ENVIRONMENT = os.environ | {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}


def buildah(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["buildah", *arguments], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, done.stderr[-4000:]
    return done


@contextmanager
def container(image: str) -> Iterator[str]:
    name = buildah("from", image).stdout.strip()
    try:
        yield name
    finally:
        buildah("rm", name)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if buildah("inspect", "--type", "image", BASE, check=False).returncode != 0:
        root = tmp_path_factory.mktemp("base") / "root"
        subprocess.run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root)], check=True)
        with container("scratch") as base:
            buildah("add", "--quiet", base, str(root), "/")
            buildah("commit", "--quiet", base, BASE)
        shutil.rmtree(root)
    host = [Path("/etc/ssl/certs"), Path("/etc/pip.conf")]  # a machine's own way to its package index
    volumes = [f"--volume={path}:{path}:ro" for path in host if path.exists()]
    subprocess.run(
        ["sh", "tools/build_image.sh", "cpu", IMAGE, *volumes], cwd=ROOT, env=ENVIRONMENT | {"BASE": BASE}, check=True
    )
    yield IMAGE
    buildah("rmi", IMAGE)


@pytest.fixture(scope="module")
def name(image: str) -> Iterator[str]:
    with container(image) as made:
        yield made


@pytest.fixture(scope="module")
def configuration(image: str) -> dict[str, Any]:  # Any: the image's JSON
    inspected = json.loads(buildah("inspect", "--type", "image", image).stdout)
    found: dict[str, Any] = inspected["Docker"]["config"]
    return found


class Serving:
    """``discern serve`` of the image."""

    def __init__(self, name: str, log: Path, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.log = log
        command = ["discern", "serve", "--host", "127.0.0.1", "--port", str(self.port)]
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                ["buildah", "run", *options, name, "--", *command], env=ENVIRONMENT, stdout=out, stderr=out
            )

    def ask(self, method: str, path: str, body: bytes = b"", kind: str = "image/png") -> tuple[int, Any]:  # Any: JSON
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {"Content-Type": kind})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def wait(self) -> None:
        deadline = time.monotonic() + 120
        while True:
            assert self.process.poll() is None, self.log.read_text("utf-8")
            assert time.monotonic() < deadline, self.log.read_text("utf-8")
            try:
                if self.ask("GET", "/health/ready")[0] == 200:
                    return
            except OSError:
                time.sleep(0.1)

    def stop(self) -> None:
        """Tell the service itself, which is below buildah's own processes."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if str(self.port).encode() in words and words[0].startswith(b"/opt/discern/bin/python"):
                os.kill(int(process.name), signal.SIGTERM)
        self.process.wait(60)


@pytest.fixture(
    scope="module",
    params=[
        "mounted",
        pytest.param("shipped", marks=pytest.mark.skipif(not SHIPPED, reason="models/ ships nothing yet")),
    ],
)
def serving(request: pytest.FixtureRequest, name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("serving")
    options = []
    if request.param == "mounted":
        models = write_release(folder / "models")
        for path in (folder.parent, folder, *folder.rglob("*")):
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
        options = [f"--volume={models}:/models:ro"]
    service = Serving(name, folder / "log", *options)
    try:
        service.wait()
        yield service
    finally:
        service.stop()


def test_it_holds_neither_torch_nor_training_nor_tests(name: str) -> None:
    unwanted = ("torch", "torchvision", "training", "tests", "pip", "cv2", "sklearn")
    code = f"import importlib.util as u; print([m for m in {unwanted} if u.find_spec(m)])"

    assert buildah("run", name, "--", "python", "-c", code).stdout.strip() == "[]"


def test_it_runs_as_nobody_and_can_change_nothing(name: str) -> None:
    code = """
import os
places = ("/", "/opt/discern", "/models", "/usr", "/etc", "/etc/passwd", "/root")
print(os.getuid(), [place for place in places if os.access(place, os.W_OK)])
"""
    assert buildah("run", name, "--", "python", "-c", code).stdout.strip() == "10001 []"


def test_everything_is_compiled(name: str) -> None:
    """Nothing can be written later, so whatever is not compiled would be compiled at every start."""
    code = """
import importlib.util as u, os, sys
import app.main
specs = [m.__spec__ for m in list(sys.modules.values()) if getattr(m, "__spec__", None)]
sources = [spec.origin for spec in specs if spec.has_location]
print([s for s in sources if s.endswith(".py") and not os.path.exists(u.cache_from_source(s))])
"""
    assert buildah("run", name, "--", "python", "-c", code).stdout.strip() == "[]"


def test_it_says_how_it_is_run(configuration: dict[str, Any]) -> None:
    assert configuration["Entrypoint"] == ["discern"]
    assert configuration["Cmd"] == ["serve", "--host", "0.0.0.0", "--port", "8000"]
    assert configuration["User"] == "10001:10001"
    assert "8000/tcp" in configuration["ExposedPorts"]
    assert "ORT_DISABLE_TELEMETRY=1" in configuration["Env"]


def test_its_health_check_knows_a_ready_service(name: str, configuration: dict[str, Any], serving: Serving) -> None:
    kind, *command = configuration["Healthcheck"]["Test"]
    here = [word.replace("8000", str(serving.port)) for word in command]
    nobody = [word.replace("8000", "9") for word in command]

    assert kind == "CMD"
    assert buildah("run", name, "--", *here, check=False).returncode == 0
    assert buildah("run", name, "--", *nobody, check=False).returncode != 0


def test_it_screens_a_film(serving: Serving) -> None:
    status, answer = serving.ask("POST", "/v1/screenings", png_bytes(chest_film(600, 500)))

    assert status == 200, answer
    assert set(answer["experts"]) == {"covid19", "pneumonia"}
    assert answer["divergence"]["maps"][0]["alpha"] == 15
    assert answer["divergence"]["maps"][0]["overlay"]["png"]


def test_it_refuses_what_is_no_film(serving: Serving) -> None:
    assert serving.ask("POST", "/v1/screenings", b"no film")[0] in {400, 415}
