"""Archives beside Orthanc: dcmtk's receivers, ones that misbehave, and TLS before one."""

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.pacs.certificates import Certificate
from tests.integration.pacs.ports import free_port


@contextlib.contextmanager
def dcmtk(command: str, *options: str, folder: Path, port_last: bool = True) -> Iterator[int]:
    """Run one of dcmtk's servers until the block is left; gives its port."""
    if shutil.which(command) is None:
        pytest.skip(f"no {command} here (apt-get install dcmtk)")
    port = free_port()
    log = folder / f"{command}.log"
    words = [*options, str(port)] if port_last else [str(port), *options]
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", command, *words], stdout=output, stderr=output, cwd=folder
        )
    try:
        _wait_for(process, port, log)
        yield port
    finally:
        process.kill()
        process.wait(10)


@contextlib.contextmanager
def listener(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Accept connections on loopback and hand each to a function of its own thread; gives the port."""
    server = socket.create_server(("127.0.0.1", 0))
    accepted: list[socket.socket] = []

    def run() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                accepted.append(connection)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=run, daemon=True).start()
    try:
        yield int(server.getsockname()[1])
    finally:
        server.close()
        for each in accepted:
            each.close()


@contextlib.contextmanager
def tls_gateway(
    folder: Path, upstream: str, server: Certificate, client_authority: Path, port: int | None = None
) -> Iterator[int]:
    """Run nginx before an archive: it speaks TLS and demands certificates of an authority; gives its port."""
    command = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if command is None:
        pytest.skip("no nginx here (apt-get install nginx-light)")
    port = port or free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"""daemon off; pid {folder}/nginx.pid; error_log stderr; worker_processes 1; user root;
        events {{}}
        http {{
          access_log off; client_max_body_size 100m;
          client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
          fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
          server {{
            listen 127.0.0.1:{port} ssl;
            ssl_certificate {server.certificate}; ssl_certificate_key {server.key};
            ssl_client_certificate {client_authority}; ssl_verify_client on;
            location / {{ proxy_pass {upstream}; }}
          }}
        }}""",
        "utf-8",
    )
    with (folder / "nginx.log").open("ab") as log:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", command, "-c", str(configuration), "-p", str(folder)],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        _wait_for(process, port, folder / "nginx.log")
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    limit = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > limit:
                raise RuntimeError(log.read_text("utf-8", "replace")) from error
            time.sleep(0.05)
