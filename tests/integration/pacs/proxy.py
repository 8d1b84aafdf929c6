"""A gateway between us and a PACS that can be told to misbehave: statuses, silence, cuts, half answers."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import httpx2

PASSED_ON: Final = ("accept", "authorization", "content-type")


@dataclass(frozen=True, slots=True)
class Request:
    """What came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes out. ``cut`` closes the connection in the middle of the body; ``wait_s`` lets the caller wait."""

    status: int
    body: bytes = b""
    content_type: str = "application/dicom+json"
    cut: bool = False
    wait_s: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)


class Proxy:
    """Passes requests on, unless ``interfere`` gives an answer of its own."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.interfere: Callable[[Request], Answer | None] = lambda _: None
        self.seen: list[Request] = []
        self.url = ""

    def stores(self) -> list[Request]:
        """The requests that stored something."""
        return [each for each in self.seen if each.method == "POST" and each.path.endswith("/studies")]

    def answer(self, request: Request) -> Answer:
        """Interfere, or pass on."""
        self.seen.append(request)
        found = self.interfere(request)
        return found if found is not None else self.pass_on(request)

    def pass_on(self, request: Request) -> Answer:
        """Ask the PACS behind."""
        headers = {name: value for name, value in request.headers.items() if name.lower() in PASSED_ON}
        try:
            answer = httpx2.request(
                request.method, self.upstream + request.path, content=request.body, headers=headers, timeout=60,
                trust_env=False,
            )  # fmt: skip
        except httpx2.TransportError:
            return Answer(502)
        return Answer(answer.status_code, answer.content, answer.headers.get("content-type", "text/plain"))


@contextmanager
def proxy(upstream: str) -> Iterator[Proxy]:
    """Run a proxy on loopback before a PACS."""
    made = Proxy(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self._body()
            answer = made.answer(Request(self.command, self.path, dict(self.headers), body))
            time.sleep(answer.wait_s)
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if answer.cut:
                self.wfile.write(answer.body[: len(answer.body) // 2])
                self.close_connection = True
                return
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - http.server's names

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                parts = []
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Callers that go away in between are expected."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
