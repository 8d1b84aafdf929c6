"""C-STORE, C-ECHO and storage commitment reports as a provider (PS3.4, B, A, J); acknowledged only once durable."""

import logging
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID, AllTransferSyntaxes
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made when the module is imported
    StorageCommitmentPushModel,
    Verification,
)
from pynetdicom.transport import ThreadedAssociationServer

from app.domain.errors import ScreeningError
from app.pacs.dimse_status import (
    CANNOT_UNDERSTAND,
    DATA_SET_MISMATCH,
    PROCESSING_FAILURE,
    SUCCESS,
    status_of,
)
from app.pacs.doorway import Doorway, ServerContext, TurnedAway
from app.pacs.own_objects import IMPLEMENTATION_NAME, IMPLEMENTATION_UID
from app.services.hospital.ports import Commitment, Receiver
from app.services.hospital.records import Arrival, Origin
from app.services.hospital.refused_callers import clean_ae_title

_log = logging.getLogger(__name__)
_MAX_PDU_BYTES: Final = 131_072
_PREAMBLE: Final = b"\0" * 128 + b"DICM"


@dataclass(frozen=True, slots=True)
class ListenerLimits:
    """What callers may cost.

    Attributes
    ----------
    object_bytes, held_bytes
        Of one object, and of everything that is being received at once; beyond that an association is aborted.
    associations, associations_per_peer
        At once, connections that have not asked for one yet among them.
    request_s
        A connection that asks for no association by then is closed.
    idle_s
        An association that is silent for so long is ended.
    """

    object_bytes: int = 64 * 1024 * 1024
    held_bytes: int = 512 * 1024 * 1024
    associations: int = 50
    associations_per_peer: int = 20
    request_s: float = 5.0
    idle_s: float = 30.0


class _Held:
    """Counts the bytes that are being received, by association."""

    def __init__(self, limits: ListenerLimits) -> None:
        self._limits, self._lock = limits, threading.Lock()
        self._by_association: dict[int, int] = {}

    def add(self, association: int, size: int) -> bool:
        """Count; False where a limit is passed."""
        with self._lock:
            held = self._by_association.get(association, 0) + size
            self._by_association[association] = held
            return (
                held <= self._limits.object_bytes + 65_536
                and sum(self._by_association.values()) <= self._limits.held_bytes
            )

    def of(self, association: int) -> int:
        """Give what an association holds."""
        with self._lock:
            return self._by_association.get(association, 0)

    def release(self, association: int) -> None:
        """Forget what an association held."""
        with self._lock:
            self._by_association.pop(association, None)


class StoreScp:
    """The DICOM listener.

    Parameters
    ----------
    receiver
        Takes what arrives.
    ae_title
        Ours.
    callers
        AE titles that may call; empty is any.
    any_called
        Whether other called AE titles than ours are answered.
    limits
        Of callers.
    tls
        Gives the server side's context for each connection; None is plain DICOM.
    commitment
        Is told of storage commitment results.
    turned_away
        Is told of callers that are refused.
    """

    def __init__(  # noqa: PLR0917  # what a deployment may change of it
        self,
        receiver: Receiver,
        ae_title: str,
        callers: Collection[str] = (),
        any_called: bool = False,
        limits: ListenerLimits = ListenerLimits(),  # frozen
        tls: ServerContext | None = None,
        commitment: Commitment | None = None,
        turned_away: TurnedAway = lambda *_: None,
    ) -> None:
        self._receiver, self._limits, self._commitment = receiver, limits, commitment
        self._doorway = Doorway(limits.associations, limits.associations_per_peer, limits.request_s, tls, turned_away)
        self._held = _Held(limits)
        ae = AE(ae_title)
        ae.implementation_class_uid, ae.implementation_version_name = IMPLEMENTATION_UID, IMPLEMENTATION_NAME
        ae.require_called_aet = not any_called
        ae.require_calling_aet = list(callers)
        ae.maximum_associations = limits.associations
        ae.maximum_pdu_size = _MAX_PDU_BYTES
        ae.acse_timeout = limits.request_s
        ae.network_timeout = ae.dimse_timeout = limits.idle_s
        ae.add_supported_context(Verification)
        ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        for context in AllStoragePresentationContexts:
            if context.abstract_syntax is not None:
                ae.add_supported_context(context.abstract_syntax, list(AllTransferSyntaxes))
        self._ae = ae

    @contextmanager
    def listening(self, host: str, port: int, drain_s: float = 10.0) -> Iterator[int]:
        """Listen until the block is left; gives the port.

        Raises
        ------
        OSError
            If the address is taken.
        """
        handlers: list[Any] = [  # Any: pynetdicom's handler tuples
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_C_ECHO, _on_echo),
            (evt.EVT_N_EVENT_REPORT, self._on_event_report),
            (evt.EVT_PDU_RECV, self._on_pdu),
            (evt.EVT_CONN_CLOSE, self._on_close),
            (evt.EVT_REJECTED, self._doorway.on_rejected),
        ]
        server = self._ae.start_server((host, port), block=False, evt_handlers=handlers)
        assert isinstance(server, ThreadedAssociationServer)
        self._doorway.guard(server)
        try:
            assert server.socket is not None
            yield int(server.socket.getsockname()[1])
        finally:
            self._stop(server, drain_s)

    def _stop(self, server: ThreadedAssociationServer, drain_s: float) -> None:
        """Take no new associations; let those that transfer finish within the time."""
        server.shutdown()
        limit = time.monotonic() + drain_s
        while self._ae.active_associations and time.monotonic() < limit:
            for association in self._ae.active_associations:
                if not self._held.of(id(association)):
                    _send_away(association)
            time.sleep(0.05)
        self._ae.shutdown()

    def _on_pdu(self, event: evt.Event) -> None:
        size = sum(item.item_length for item in getattr(event.pdu, "presentation_data_value_items", ()))
        if size and not self._held.add(id(event.assoc), size):
            _log.warning("association_aborted", extra={"reason": "too_large", "peer": _peer(event)})
            self._held.release(id(event.assoc))
            event.assoc.abort()

    def _on_close(self, event: evt.Event) -> None:
        self._held.release(id(event.assoc))

    def _on_store(self, event: evt.Event) -> Dataset | int:
        try:
            return self._store(event)
        except Exception:  # noqa: BLE001 - the listener goes on; the sender is told to keep the object
            _log.exception("store_defect", extra={"peer": _peer(event)})
            return _status(PROCESSING_FAILURE, "the service failed; its log has the reason")
        finally:
            self._held.release(id(event.assoc))

    def _store(self, event: evt.Event) -> Dataset | int:
        request: Any = event.request  # Any: pynetdicom's request is one of twelve; this is a C-STORE
        sop_class, sop_instance = str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID)
        stream = request.DataSet
        dataset = stream.getvalue() if stream is not None else b""
        if not dataset:
            return _status(CANNOT_UNDERSTAND, "the data set is missing")
        if not (_is_uid(sop_class) and _is_uid(sop_instance)):
            return _status(DATA_SET_MISMATCH, "invalid_uid: the command's SOP UIDs are no UIDs")
        sender = clean_ae_title(event.assoc.requestor.ae_title)
        content = _part_10(sop_class, sop_instance, event.context.transfer_syntax, sender, dataset)
        if len(content) > self._limits.object_bytes:
            return _status(CANNOT_UNDERSTAND, f"too_large: more than {self._limits.object_bytes} bytes")
        try:
            self._receiver.receive(content, Arrival(Origin.C_STORE, sender, sop_instance))
        except ScreeningError as error:
            return _status(*status_of(error))
        return SUCCESS

    def _on_event_report(self, event: evt.Event) -> tuple[int, None]:
        """Take a storage commitment result (PS3.4, J.3.3)."""
        try:
            report = event.event_information
            outcome = {
                str(item.ReferencedSOPInstanceUID): committed
                for keyword, committed in (("ReferencedSOPSequence", True), ("FailedSOPSequence", False))
                for item in report.get(keyword) or ()
            }
            if self._commitment is not None:
                self._commitment(str(report.TransactionUID), outcome)
        except ScreeningError as error:
            return status_of(error)[0], None
        except Exception:  # noqa: BLE001 - the listener goes on
            _log.exception("event_report_defect", extra={"peer": _peer(event)})
            return PROCESSING_FAILURE, None
        return SUCCESS, None


def _send_away(association: Association) -> None:
    """End an association, or a connection that has not asked for one: an abort is no event of it (PS3.8, 9.2, Sta2)."""
    if association.requestor.primitive is None and association.dul.socket is not None:
        association.dul.socket.close()
        # What waits for its request is told that none will come, as `receive_pdu` says it.
        association.dul.to_user_queue.put(None)  # type: ignore[arg-type]  # what it gives for nothing
    else:
        association.abort()


def _on_echo(event: evt.Event) -> int:
    _log.debug("echo", extra={"peer": _peer(event)})
    return SUCCESS


def _part_10(sop_class: str, sop_instance: str, transfer_syntax: str, sender: str, dataset: bytes) -> bytes:
    """Put preamble and file meta information (PS3.10, 7.1) before a data set that is left as it came."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(sop_class), UID(sop_instance)
    meta.TransferSyntaxUID = UID(transfer_syntax)
    meta.ImplementationClassUID, meta.ImplementationVersionName = IMPLEMENTATION_UID, IMPLEMENTATION_NAME
    meta.SourceApplicationEntityTitle = sender[:16]
    buffer = DicomBytesIO()
    write_file_meta_info(buffer, meta)
    return _PREAMBLE + buffer.getvalue() + dataset


def _status(code: int, comment: str) -> Dataset:
    status = Dataset()
    status.Status = code
    status.ErrorComment = comment[:64]
    return status


def _is_uid(text: str) -> bool:
    return 0 < len(text) <= 64 and all(part.isdigit() for part in text.split("."))


def _peer(event: evt.Event) -> str:
    return str(getattr(event.assoc.requestor, "address", ""))
