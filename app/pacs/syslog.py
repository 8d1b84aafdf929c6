"""Audit messages to a syslog receiver: RFC 5424 over TLS (RFC 5425), TCP (RFC 6587, octet counting) or UDP (RFC 5426).

Syslog has no acknowledgement: what was written to a socket may never have been read. Here a batch is a connection.
After its last message our side is closed, and the batch counts as read once the receiver has closed its own in answer:
TCP answers a close with unread data by a reset, not by an end of stream. Without that answer the whole batch is sent
again (structured data carries the record's number, by which a receiver can drop what it has). UDP has no answer at all.
"""

import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Final, Literal, TypeAlias

from app.domain.errors import DestinationError
from app.services.hospital.auditing import AuditRecord

_FACILITY: Final = 10
"""Security and authorization; IHE ITI TF-2, 3.20.4.1.2."""
_NOTICE, _WARNING = 5, 4
_BOM: Final = b"\xef\xbb\xbf"
_MAX_DATAGRAM_BYTES: Final = 65_000


Transport: TypeAlias = Literal["tls", "tcp", "udp"]


@dataclass(frozen=True, slots=True)
class SyslogAddress:
    """Where the receiver is.

    Attributes
    ----------
    transport
        ``tls`` (port 6514), ``tcp`` or ``udp`` (port 514).
    timeout_s
        For the connection, for a batch to be written, and for the receiver's answer to its end, each.
    """

    host: str
    port: int
    transport: Transport = "tls"
    timeout_s: float = 10.0


class SyslogSink:
    """Implements `app.services.hospital.auditing.AuditSink`.

    Parameters
    ----------
    address
        The receiver.
    message
        Gives a record's message, e.g. DICOM audit XML; UTF-8.
    hostname, app_name, process_id
        Of the RFC 5424 header; printable ASCII, others are replaced.
    tls
        With the receiver's authority and our certificate; only where the transport is TLS.
    """

    def __init__(
        self,
        address: SyslogAddress,
        message: Callable[[AuditRecord], bytes],
        *,
        hostname: str,
        app_name: str = "discern",
        process_id: str = "-",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if (address.transport == "tls") != (tls is not None):
            raise ValueError("a TLS context belongs to the transport tls, and to no other")
        self._address, self._message, self._tls = address, message, tls
        self._header = (_header_word(hostname, 255), _header_word(app_name, 48), _header_word(process_id, 128))

    @property
    def name(self) -> str:
        """Scheme, host and port."""
        return f"{self._address.transport}://{self._address.host}:{self._address.port}"

    def send(self, records: Sequence[AuditRecord]) -> None:
        """Send records in order, and return once the receiver has read them all (TLS, TCP) or they have left (UDP).

        Raises
        ------
        DestinationError
            If the receiver cannot be reached, is not the one it should be, or did not answer the end of the batch.
        """
        frames = [self._frame(record) for record in records]
        try:
            if self._address.transport == "udp":
                self._send_datagrams(frames)
            else:
                self._send_stream(b"".join(b"%d %s" % (len(frame), frame) for frame in frames))
        except ssl.SSLCertVerificationError as error:
            detail = f"{self.name}: certificate refused: {error.verify_message}"
            raise DestinationError(detail, reason="certificate", permanent=True) from error
        except TimeoutError as error:
            raise DestinationError(f"{self.name}: no answer within {self._address.timeout_s:g} s") from error
        except OSError as error:
            raise DestinationError(f"{self.name}: {error.strerror or type(error).__name__}") from error

    def _frame(self, record: AuditRecord) -> bytes:
        severity = _NOTICE if record.outcome == "success" else _WARNING
        at = record.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        host, app, process = self._header
        # Message ID as in IHE ITI-20; 32473 is the enterprise number that RFC 5612 sets aside for examples.
        head = (
            f"<{_FACILITY * 8 + severity}>1 {at} {host} {app} {process} IHE+RFC-3881 "
            f'[discern@32473 number="{record.number}" digest="{record.digest}"] '
        )
        return head.encode("ascii") + _BOM + self._message(record)

    def _send_datagrams(self, frames: Sequence[bytes]) -> None:
        family, kind, protocol, _, address = socket.getaddrinfo(
            self._address.host, self._address.port, type=socket.SOCK_DGRAM
        )[0]
        with socket.socket(family, kind, protocol) as datagrams:
            datagrams.settimeout(self._address.timeout_s)
            datagrams.connect(address)
            for frame in frames:
                datagrams.send(frame[:_MAX_DATAGRAM_BYTES])

    def _send_stream(self, content: bytes) -> None:
        timeout_s = self._address.timeout_s
        with socket.create_connection((self._address.host, self._address.port), timeout_s) as plain:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is None:
                _write(plain, content, timeout_s)
                plain.shutdown(socket.SHUT_WR)
                _read_to_end(plain, timeout_s)
                return
            with self._tls.wrap_socket(plain, server_hostname=self._address.host) as secure:
                _write(secure, content, timeout_s)
                _end_of_tls(secure, timeout_s)


def _write(connection: socket.socket, content: bytes, timeout_s: float) -> None:
    """Write everything within the time, however slowly it is taken."""
    until = time.monotonic() + timeout_s
    view = memoryview(content)
    while view:
        connection.settimeout(_left(until))
        view = view[connection.send(view[: 1 << 16]) :]


def _read_to_end(connection: socket.socket, timeout_s: float) -> None:
    until = time.monotonic() + timeout_s
    while True:
        connection.settimeout(_left(until))
        if not connection.recv(4096):
            return


def _end_of_tls(secure: ssl.SSLSocket, timeout_s: float) -> None:
    """Send close_notify (RFC 5425, 4.4), end our side, and wait for the end of the other.

    Receivers answer by a close_notify of their own or by closing the connection; both come after they have read all.
    """
    secure.settimeout(timeout_s)
    try:
        plain = secure.unwrap()
    except ssl.SSLEOFError:
        return  # closed in answer, without a close_notify
    with plain:
        plain.shutdown(socket.SHUT_WR)
        _read_to_end(plain, timeout_s)


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0.0:
        raise TimeoutError
    return left


def _header_word(value: str, most: int) -> str:
    """A word of the header: printable ASCII without spaces, "-" for none."""
    return "".join(letter if "!" <= letter <= "~" else "_" for letter in value)[:most] or "-"
