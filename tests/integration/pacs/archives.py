"""Archives beside Orthanc: dcmtk's receivers, and ones that misbehave."""

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.integration.pacs.ports import free_port


@contextlib.contextmanager
def dcmtk(command: str, *options: str, folder: Path, port_last: bool = True) -> Iterator[int]:
    """Run one of dcmtk's servers until the block is left; gives its port."""
    port = free_port()
    log = folder / f"{command}.log"
    words = [*options, str(port)] if port_last else [str(port), *options]
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", command, *words], stdout=output, stderr=output, cwd=folder
        )
    try:
        limit = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError as error:
                if process.poll() is not None or time.monotonic() > limit:
                    raise RuntimeError(log.read_text("utf-8", "replace")) from error
                time.sleep(0.05)
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
