"""Connections before they are associations: limits, TLS handshakes, and who is turned away (PS3.8, PS3.15 B.12)."""

import logging
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from pynetdicom import evt
from pynetdicom.transport import ThreadedAssociationServer

from app.services.hospital.tls_failure import tls_failure

_log = logging.getLogger(__name__)

TurnedAway = Callable[[str, str, str], None]
"""Called with address, calling AE title as the caller claims it (empty before it has said one), and reason."""
ServerContext = Callable[[], ssl.SSLContext]
"""Gives the TLS context for the next connection."""

_REASONS: Final = {
    (1, 3): "caller_not_recognised",
    (1, 7): "called_not_recognised",
    (3, 2): "too_many_associations",
}
"""Source and diagnostic of our A-ASSOCIATE-RJ (PS3.8, 9.3.4)."""


class Doorway:
    """Stands before an association server.

    Connections beyond the limits are refused before a thread is made of them: idle ones must not keep others out. A
    TLS handshake is done in the connection's own thread: a silent caller must hold up nobody.

    Parameters
    ----------
    associations, associations_per_peer
        Connections at once.
    request_s
        A handshake that is not done by then is given up, and so is any other silence in the middle of a PDU.
    tls
        Gives the context for each connection; None is plain DICOM.
    turned_away
        Is told of everybody who is.
    """

    def __init__(
        self,
        associations: int,
        associations_per_peer: int,
        request_s: float,
        tls: ServerContext | None,
        turned_away: TurnedAway,
    ) -> None:
        self._associations, self._per_peer, self._request_s = associations, associations_per_peer, request_s
        self._tls, self._turned_away = tls, turned_away
        self._lock = threading.Lock()
        self._open_by_peer: dict[str, list[socket.socket]] = {}

    def guard(self, server: ThreadedAssociationServer) -> None:
        """Take over a server's hooks (of `socketserver`)."""
        admitted = server.finish_request

        def finish(request: Any, client_address: Any) -> None:  # Any: as socketserver has it
            if self._secured(request, client_address):
                admitted(request, client_address)
            else:
                server.shutdown_request(request)

        server.finish_request = finish  # type: ignore[method-assign]  # socketserver's hooks
        server.verify_request = self._has_room  # type: ignore[method-assign,assignment]
        server.get_request = lambda: self._accepted(server)  # type: ignore[method-assign]

    def on_rejected(self, event: evt.Event) -> None:
        """Take note of an association that was rejected."""
        answer: Any = event.assoc.acceptor.primitive  # Any: an A-ASSOCIATE
        found = (int(answer.result_source or 0), int(answer.diagnostic or 0))
        peer, reason = str(event.assoc.requestor.address or ""), _REASONS.get(found, "rejected")
        _log.warning("association_rejected", extra={"peer": peer, "reason": reason})
        self._turned_away(peer, str(event.assoc.requestor.ae_title), reason)

    def _has_room(self, request: socket.socket, client_address: Any) -> bool:  # Any: as socketserver has it
        peer = str(client_address[0])
        with self._lock:
            for sockets in self._open_by_peer.values():
                sockets[:] = [each for each in sockets if each.fileno() >= 0]
            mine = self._open_by_peer.setdefault(peer, [])
            open_here, open_everywhere = len(mine), sum(map(len, self._open_by_peer.values()))
            if open_here < self._per_peer and open_everywhere < self._associations:
                mine.append(request)
                return True
        reason = "too_many_connections_of_caller" if open_here >= self._per_peer else "too_many_connections"
        _log.warning("connection_refused", extra={"peer": peer, "open": open_here, "reason": reason})
        self._turned_away(peer, "", reason)
        return False

    def _accepted(self, server: ThreadedAssociationServer) -> tuple[socket.socket, Any]:
        assert server.socket is not None
        client, address = server.socket.accept()
        if self._tls is not None:
            client.settimeout(self._request_s)
            try:
                client = self._tls().wrap_socket(client, server_side=True, do_handshake_on_connect=False)
            except BaseException:
                client.close()
                raise
        return client, address

    def _secured(self, connection: socket.socket, client_address: Any) -> bool:  # Any: as socketserver has it
        """Do the handshake where there is one; whether the caller may go on."""
        if not isinstance(connection, ssl.SSLSocket):
            return True
        peer = str(client_address[0])
        try:
            _shake_hands(connection, self._request_s)
        except (ssl.SSLEOFError, ConnectionError, TimeoutError) as error:  # it left: nobody was turned away
            _log.info("connection_ended_in_handshake", extra={"peer": peer, "detail": type(error).__name__})
        except OSError as error:
            reason = _tls_reason(error)
            _log.warning("connection_refused", extra={"peer": peer, "reason": reason})
            self._turned_away(peer, "", reason)
        else:
            return True
        return False


def _shake_hands(connection: ssl.SSLSocket, limit_s: float) -> None:
    """Do the handshake within a time, however slowly its bytes come."""
    end = time.monotonic() + limit_s
    connection.setblocking(False)
    while True:
        try:
            connection.do_handshake()
            break
        except ssl.SSLWantReadError:
            waits: tuple[list[ssl.SSLSocket], list[ssl.SSLSocket]] = ([connection], [])
        except ssl.SSLWantWriteError:
            waits = ([], [connection])
        if not any(select.select(*waits, [], max(0.0, end - time.monotonic()))):
            raise TimeoutError("no handshake in time")
    connection.settimeout(limit_s)


def _tls_reason(error: OSError) -> str:
    """Say why a handshake failed, in OpenSSL's own fixed words."""
    said = tls_failure(error) or "handshake failed"
    return ("tls_" + re.sub("[^a-z0-9]+", "_", said.lower()).strip("_"))[:64]
