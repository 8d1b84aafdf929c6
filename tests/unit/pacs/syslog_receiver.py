"""A syslog receiver on the loopback, as strict as RFC 5425 and RFC 6587, that can misbehave."""

import contextlib
import re
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

_FRAME = re.compile(rb"([1-9][0-9]{0,7}) ")


@dataclass
class Receiver:
    """What arrived, in order; ``conduct`` is one of ``good``, ``resets``, ``hangs``, ``closes_without_goodbye``."""

    port: int
    conduct: str = "good"
    messages: list[bytes] = field(default_factory=list)
    connections: int = 0


def framed(content: bytes) -> list[bytes]:
    """Split octet-counted frames; what is left over is an error."""
    messages = []
    while content:
        count = _FRAME.match(content)
        assert count is not None, content[:40]
        end = count.end() + int(count[1])
        assert end <= len(content)
        messages.append(content[count.end() : end])
        content = content[end:]
    return messages


@contextlib.contextmanager
def receiving(tls: ssl.SSLContext | None = None, conduct: str = "good") -> Iterator[Receiver]:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    receiver = Receiver(listener.getsockname()[1], conduct)
    stopping = threading.Event()

    def serve() -> None:
        while not stopping.is_set():
            try:
                accepted, _ = listener.accept()
            except TimeoutError:
                continue
            with contextlib.suppress(OSError, AssertionError):
                accepted.settimeout(5)
                take(accepted)

    def take(accepted: socket.socket) -> None:
        receiver.connections += 1
        with accepted:
            if receiver.conduct == "hangs":
                stopping.wait(5)
                return
            connection = tls.wrap_socket(accepted, server_side=True) if tls else accepted
            with connection:
                if receiver.conduct == "resets":
                    connection.recv(20)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                content = b""
                while piece := connection.recv(4096):
                    content += piece
                receiver.messages += framed(content)
                if isinstance(connection, ssl.SSLSocket) and receiver.conduct != "closes_without_goodbye":
                    connection.unwrap().close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        stopping.set()
        thread.join(10)
        listener.close()
