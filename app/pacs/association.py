"""Associations that we ask for (PS3.8): every wait has an end, every failure one class, and nothing sent is logged."""

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

from app.domain.errors import DestinationError
from app.pacs.own_objects import IMPLEMENTATION_NAME, IMPLEMENTATION_UID
from app.services.hospital.tls_failure import tls_failure

_MAX_PDU_BYTES: Final = 131_072
_REJECTIONS: Final[Mapping[tuple[int, int], str]] = {
    (1, 1): "no reason given",
    (1, 2): "application context not supported",
    (1, 3): "calling AE title not recognised",
    (1, 7): "called AE title not recognised",
    (2, 1): "no reason given by its protocol machine",
    (2, 2): "protocol version not supported",
    (3, 1): "congested",
    (3, 2): "too many associations",
}
"""Source and diagnostic of an A-ASSOCIATE-RJ (PS3.8, 9.3.4)."""
_MAY_PASS: Final = frozenset({(3, 1), (3, 2)})
_TRANSIENT_RESULT: Final = 2


@dataclass(frozen=True, slots=True)
class Peer:
    """One application entity and how we call it.

    Attributes
    ----------
    host, port, ae_title
        Where it is, and its title.
    calling_ae_title
        Ours.
    tls
        Client side context; None is plain DICOM.
    timeout_s
        Of connecting, of each answer, and of each time it takes no more bytes.
    """

    host: str
    port: int
    ae_title: str
    calling_ae_title: str = "DISCERN"
    tls: ssl.SSLContext | None = None
    timeout_s: float = 30.0

    @property
    def address(self) -> str:
        """Host and port, which is all that is ever said of it."""
        return f"{self.host}:{self.port}"


@contextlib.contextmanager
def associated(
    peer: Peer,
    contexts: Sequence[PresentationContext],
    on_event_report: Callable[[evt.Event], Any] | None = None,  # Any: pynetdicom's handlers give what they like
) -> Iterator[Association]:
    """Open an association for a block; released after it, aborted where it fails.

    Raises
    ------
    DestinationError
        ``unreachable``, ``tls``, ``timeout``, ``rejected``, ``no_presentation_context``, ``association_aborted``.
    """
    ae = _Entity(peer.calling_ae_title)
    ae.implementation_class_uid, ae.implementation_version_name = IMPLEMENTATION_UID, IMPLEMENTATION_NAME
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = peer.timeout_s
    ae.network_timeout = 4 * peer.timeout_s
    handlers: list[Any] = []  # Any: pynetdicom's handler tuples
    if on_event_report is not None:
        handlers.append((evt.EVT_N_EVENT_REPORT, on_event_report))
    try:
        association = ae.associate(
            peer.host,
            peer.port,
            contexts=list(contexts),
            ae_title=peer.ae_title,
            max_pdu=_MAX_PDU_BYTES,
            tls_args=(peer.tls, peer.host) if peer.tls else None,
            evt_handlers=handlers,
        )
    except OSError as error:
        raise DestinationError(f"{peer.address} has no address: {error.strerror}", reason="unreachable") from error
    if not association.is_established:
        raise _refusal(peer, association, ae.connection)
    try:
        yield association
    except BaseException:
        association.abort()
        raise
    if association.is_established:
        association.release()


def exchange(
    association: Association,
    peer: Peer,
    request: Any,  # Any: one of pynetdicom's twelve request primitives; so are its answers
    context: PresentationContext,
) -> Iterator[Any]:
    """Send a request as it is and give its answers, as many as the caller wants.

    pynetdicom's own ``send_…`` methods encode data sets anew, and write identifiers into the log.

    Raises
    ------
    DestinationError
        ``timeout``, ``connection_lost``, ``protocol``.
    """
    _hold(association, peer)
    try:
        association.dimse.send_msg(request, context.context_id or 0)
        while True:
            _, answer = association.dimse.get_msg(block=True)
            if answer is None:
                raise _silence(peer, association)
            if not isinstance(answer, type(request)) or not answer.is_valid_response:
                raise DestinationError(f"{peer.address} answered out of turn", reason="protocol")
            yield answer
    finally:
        association._reactor_checkpoint.set()


def accepted_context(association: Association, sop_class: str, *syntaxes: str) -> PresentationContext | None:
    """Give the context that a SOP class was accepted in, the first of some transfer syntaxes that was."""
    for syntax in syntaxes:
        for context in association.accepted_contexts:
            if context.abstract_syntax == sop_class and context.transfer_syntax[0] == syntax:
                return context
    return None


def stream_of(dataset: bytes) -> BytesIO:
    """Give a data set as the primitives want it."""
    return BytesIO(dataset)


def comment_of(answer: Any) -> str:  # Any: as above
    """Give an answer's status in words that name nobody: an Error Comment may hold a name, so it is left out."""
    return f"0x{int(answer.Status):04X}"


def attributes(**values: Any) -> Dataset:  # Any: values of elements
    """Make a data set of keywords."""
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def _hold(association: Association, peer: Peer) -> None:
    """Stop the association's own thread from taking the answer; as its ``send_…`` methods do, but not for ever."""
    limit = time.monotonic() + peer.timeout_s
    association._reactor_checkpoint.clear()
    while not association._is_paused:
        if not association.is_alive() or time.monotonic() > limit:
            association._reactor_checkpoint.set()
            raise _silence(peer, association)
        time.sleep(0.0005)
    if not association.is_established:
        association._reactor_checkpoint.set()
        raise _silence(peer, association)


def _silence(peer: Peer, association: Association) -> DestinationError:
    if association.is_aborted or not association.is_established or association.acse.is_aborted():
        return DestinationError(f"{peer.address} broke the association off", reason="connection_lost")
    return DestinationError(f"{peer.address} did not answer in {peer.timeout_s:g} s", reason="timeout")


def _refusal(peer: Peer, association: Association, connection: "_Socket | None") -> DestinationError:
    if association.is_rejected:
        answer: Any = association.acceptor.primitive  # Any: an A-ASSOCIATE
        found = (int(answer.result_source or 0), int(answer.diagnostic or 0))
        detail = f"{peer.address} rejected the association: {_REJECTIONS.get(found, f'source and reason {found}')}"
        passing = answer.result == _TRANSIENT_RESULT or found in _MAY_PASS
        return DestinationError(detail, reason="rejected", permanent=not passing)
    if association.acceptor.primitive is not None and not association.accepted_contexts:
        return DestinationError(f"{peer.address} takes nothing of what it was offered",
                                reason="no_presentation_context", permanent=True)  # fmt: skip
    if connection is not None and connection.failure is None:
        return DestinationError(f"{peer.address} did not accept the association in time, or aborted it",
                                reason="association_aborted")  # fmt: skip
    return _unconnected(peer, connection.failure if connection else None)


def _unconnected(peer: Peer, failure: OSError | None) -> DestinationError:
    """Say why there was no connection."""
    if failure is not None and (said := tls_failure(failure)):
        return DestinationError(f"{peer.address}: TLS: {said}", reason="tls", permanent=True)
    if isinstance(failure, TimeoutError):
        return DestinationError(f"{peer.address} did not answer in {peer.timeout_s:g} s", reason="timeout")
    why = (failure.strerror if failure else None) or "no connection"
    return DestinationError(f"{peer.address} cannot be reached: {why}", reason="unreachable")


class _Socket(AssociationSocket):
    """A connection whose limits outlast connecting, and whose failure is kept.

    pynetdicom takes the limit away once connected, so that a peer that reads nothing would hold us for ever; it only
    logs why there is no connection, and leaves the socket open.
    """

    failure: OSError | None = None

    def connect(self, primitive: T_CONNECT) -> None:
        """Connect."""
        made = self.socket
        assert made is not None
        try:
            made.settimeout(self.assoc.connection_timeout)
            if self.tls_args:
                made = self.tls_args[0].wrap_socket(made, server_hostname=self.tls_args[1])
            made.connect(primitive.address_info.as_tuple)
        except OSError as error:
            made.close()
            self.socket, self.failure = None, error
            primitive.result = "Evt17"
        else:
            self.socket, self._is_connected = made, True
            primitive.result = "Evt2"
        self.provider_queue.put(primitive)
        self._ready.set()

    def _shutdown_socket(self) -> None:
        """Close the connection, also where its other end is gone already."""
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()


class _Entity(AE):
    """An application entity whose associations use such connections."""

    connection: _Socket | None = None

    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: tuple[ssl.SSLContext, str] | None
    ) -> AssociationSocket:
        """Make the connection of one association."""
        self.connection = _Socket(assoc, address=address)
        self.connection.tls_args = tls_args
        return self.connection
