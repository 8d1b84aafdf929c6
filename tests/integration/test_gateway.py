"""deploy/nginx.conf in a real nginx, before a stand-in for the service, both on loopback."""

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx.conf"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
MEBIBYTE = 1 << 20

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(NGINX is None, reason="no nginx here (apt-get install nginx-light)"),
]


class Service(BaseHTTPRequestHandler):
    """Answers every request with what it saw of it."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        while length > 0:
            length -= len(self.rfile.read(min(length, MEBIBYTE)))
        full = self.path.startswith("/full")
        body = json.dumps({"path": self.path, "headers": dict(self.headers)}).encode()
        self.send_response(503 if full else 200)
        if full:
            self.send_header("Retry-After", "7")
        if self.path.startswith("/own"):
            self.send_header("Content-Security-Policy", "default-src 'none'")
        self.send_header("X-Request-ID", self.headers.get("X-Request-ID", ""))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class Answer:
    """Status, headers (each name with every value) and body."""

    def __init__(self, port: int, method: str, path: str, body: bytes = b"", **headers: str) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        self.status = response.status
        self.body = response.read()
        self.headers = response.headers
        connection.close()

    def all(self, name: str) -> list[str]:
        return self.headers.get_all(name, [])

    def seen(self) -> dict[str, str]:
        """The headers as the service saw them, by lower-case name."""
        return {name.lower(): value for name, value in json.loads(self.body)["headers"].items()}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def service() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def gateway(service: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    yield from run_gateway(service, tmp_path_factory.mktemp("gateway"))


@pytest.fixture
def gateway_alone(tmp_path: Path) -> Iterator[int]:
    yield from run_gateway(free_port(), tmp_path)


def run_gateway(service: int, folder: Path) -> Iterator[int]:
    """Start nginx with the shipped configuration; only addresses and folders differ."""
    port = free_port()
    text = CONFIGURATION.read_text("utf-8")
    for shipped, here in (
        ("listen 8080;", f"listen 127.0.0.1:{port};"),
        ("screening:8000", f"127.0.0.1:{service}"),
        ("/tmp/nginx", f"{folder}/nginx"),
        ("/dev/stdout", f"{folder}/access.log"),
        ("/dev/stderr", f"{folder}/error.log"),
    ):
        assert shipped in text
        text = text.replace(shipped, here)
    configuration = folder / "nginx.conf"
    configuration.write_text(text, "utf-8")
    assert NGINX is not None
    process = subprocess.Popen(
        [NGINX, "-c", str(configuration), "-e", f"{folder}/error.log", "-g", "daemon off; master_process off;"]
    )
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, (folder / "error.log").read_text("utf-8")
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def test_an_upload_of_the_largest_size_passes(gateway: int) -> None:
    assert Answer(gateway, "POST", "/v1/screenings", bytes(64 * MEBIBYTE)).status == 200


def test_a_larger_one_is_refused_in_the_services_words(gateway: int) -> None:
    answer = Answer(gateway, "POST", "/v1/screenings", b"", Content_Length=str(66 * MEBIBYTE))

    problem = json.loads(answer.body)
    assert (answer.status, problem["status"], problem["code"]) == (413, 413, "too_large")
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path", ["/metrics", "/metrics/", "//metrics", "/%6detrics", "/docs/../metrics", "/metrics?x=1"]
)
def test_metrics_stay_inside(gateway: int, path: str) -> None:
    answer = Answer(gateway, "GET", path)

    assert (answer.status, json.loads(answer.body)["code"]) == (404, "not_found")


def test_a_request_keeps_its_identifier(gateway: int) -> None:
    answer = Answer(gateway, "GET", "/", X_Request_ID="ward-7.film_3")

    assert answer.seen()["x-request-id"] == "ward-7.film_3"
    assert answer.all("X-Request-ID") == ["ward-7.film_3"]


@pytest.mark.parametrize("given", ["", "two words", "x" * 65, "a\tb"])
def test_a_request_without_a_sound_identifier_gets_one(gateway: int, given: str) -> None:
    answer = Answer(gateway, "GET", "/", X_Request_ID=given)

    assert answer.seen()["x-request-id"] == answer.headers["X-Request-ID"]
    assert len(answer.headers["X-Request-ID"]) == 32


def test_what_the_caller_says_of_its_address_is_not_believed(gateway: int) -> None:
    assert Answer(gateway, "GET", "/", X_Forwarded_For="10.0.0.1").seen()["x-forwarded-for"] == "127.0.0.1"


def test_every_answer_carries_security_headers_once(gateway: int) -> None:
    answer = Answer(gateway, "GET", "/")

    for name in ("X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Content-Security-Policy"):
        assert len(answer.all(name)) == 1, name
    assert Answer(gateway, "GET", "/own").all("Content-Security-Policy") == ["default-src 'none'"]


def test_a_full_service_speaks_for_itself(gateway: int) -> None:
    answer = Answer(gateway, "GET", "/full")

    assert (answer.status, answer.all("Retry-After")) == (503, ["7"])
    assert json.loads(answer.body)["path"] == "/full"


def test_a_service_that_is_not_there_is_503_with_retry_after(gateway_alone: int) -> None:
    answer = Answer(gateway_alone, "GET", "/health/ready")

    assert (answer.status, json.loads(answer.body)["code"]) == (503, "unavailable")
    assert answer.all("Retry-After") == ["5"]
    assert len(answer.all("X-Content-Type-Options")) == 1


def test_one_caller_has_no_more_than_32_connections(gateway: int) -> None:
    open_ones = [socket.create_connection(("127.0.0.1", gateway)) for _ in range(32)]
    try:
        for each in open_ones:  # a request that has begun and waits for its body holds its connection
            each.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1")
        time.sleep(0.3)

        answer = Answer(gateway, "GET", "/")

        assert (answer.status, json.loads(answer.body)["code"]) == (429, "too_many_connections")
        assert answer.all("Retry-After") == ["1"]
    finally:
        for each in open_ones:
            each.close()


def test_the_log_names_no_query(gateway: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    Answer(gateway, "GET", "/v1/models?name=Doe")

    logs = [path.read_text("utf-8") for path in tmp_path_factory.getbasetemp().glob("gateway*/access.log")]
    assert any("/v1/models" in log for log in logs)
    assert not any("Doe" in log for log in logs)
