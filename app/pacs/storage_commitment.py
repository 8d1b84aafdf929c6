"""Storage commitment as a user (PS3.4, J): an archive is asked to answer for what it was given, and says so later."""

import secrets
import threading
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydicom import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import build_context, evt
from pynetdicom.dimse_primitives import N_ACTION
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made when the module is imported
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from app.domain.errors import DestinationError, ScreeningError
from app.pacs.association import Peer, accepted_context, associated, attributes, comment_of, exchange, stream_of
from app.pacs.dimse_status import PROCESSING_FAILURE, SUCCESS, status_of
from app.services.hospital.ports import Commitment, CommitmentLedger
from app.services.hospital.records import Confirmation, ResultObject

_REQUEST: Final = 1
_SYNTAXES: Final = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


class CommitmentScu:
    """Asks one archive to commit to objects.

    The report comes on the same association, if it comes within ``wait_s``; else on one that the archive opens to our
    listener.

    Parameters
    ----------
    peer
        The archive.
    commitment
        Is told of a report that comes on the same association.
    wait_s
        How long such a report is waited for.
    """

    def __init__(self, peer: Peer, commitment: Commitment, wait_s: float = 1.0) -> None:
        self._peer, self._commitment, self._wait_s = peer, commitment, wait_s

    def ask(self, transaction_uid: str, objects: Sequence[ResultObject]) -> None:
        """Ask for commitment (N-ACTION).

        Raises
        ------
        DestinationError
            If it cannot be asked, or refuses; ``no_presentation_context`` where it knows no storage commitment.
        """
        reported = threading.Event()

        def on_report(event: evt.Event) -> tuple[int, None]:
            try:
                self._commitment(*report_of(event.event_information))
            except ScreeningError as error:
                return status_of(error)[0], None
            except Exception:  # noqa: BLE001 - whatever an archive sends, the association goes on
                return PROCESSING_FAILURE, None
            finally:
                reported.set()
            return SUCCESS, None

        model = str(StorageCommitmentPushModel)
        with associated(self._peer, [build_context(model, [*_SYNTAXES])], on_report) as association:
            context = accepted_context(association, model, *_SYNTAXES)
            if context is None:
                detail = f"{self._peer.address} knows no storage commitment"
                raise DestinationError(detail, reason="no_presentation_context", permanent=True)
            syntax = context.transfer_syntax[0]
            written = encode(_action(transaction_uid, objects), syntax.is_implicit_VR, syntax.is_little_endian)
            assert written is not None
            request: Any = N_ACTION()  # Any: its attributes are properties without types
            request.MessageID, request.ActionTypeID = 1, _REQUEST
            request.RequestedSOPClassUID = model
            request.RequestedSOPInstanceUID = StorageCommitmentPushModelInstance
            request.ActionInformation = stream_of(written)
            answers = exchange(association, self._peer, request, context)
            answer = next(answers)
            answers.close()  # type: ignore[attr-defined]  # a generator: lets the association's thread take the report
            if int(answer.Status) != SUCCESS:
                detail = f"{self._peer.address} answered a request for commitment with {comment_of(answer)}"
                raise DestinationError(detail, reason="commitment_refused")
            reported.wait(self._wait_s)


class CommitmentReadBack:
    """Confirms by storage commitment; what was asked and said is in a ledger that the listener writes to as well.

    Parameters
    ----------
    destination
        Its name.
    scu
        Asks.
    ledger
        What was asked and said.
    ask_again_s
        A request that brought no report for so long is repeated; its own report still counts.
    """

    def __init__(
        self, destination: str, scu: CommitmentScu, ledger: CommitmentLedger, ask_again_s: float = 600.0
    ) -> None:
        self._destination, self._scu, self._ledger, self._ask_again_s = destination, scu, ledger, ask_again_s

    def confirm(self, objects: Sequence[ResultObject]) -> Mapping[str, Confirmation]:
        """Give what the archive said; ask it where it was not asked yet."""
        uids = [each.sop_instance_uid for each in objects]
        known = self._standing(uids)
        unasked = [each for each in objects if each.sop_instance_uid not in known]
        if unasked:
            self._ask(unasked)
            known = self._standing(uids)
        found = {uid: _confirmation(known.get(uid)) for uid in uids}
        self._ledger.forget(self._destination, [uid for uid in uids if found[uid] is not Confirmation.PENDING])
        return found

    def _standing(self, uids: Sequence[str]) -> Mapping[str, bool | None]:
        return self._ledger.standing(self._destination, uids, self._ask_again_s)

    def _ask(self, objects: Sequence[ResultObject]) -> None:
        transaction_uid = f"2.25.{uuid.UUID(bytes=secrets.token_bytes(16), version=4).int}"
        uids = [each.sop_instance_uid for each in objects]
        self._ledger.asked(transaction_uid, self._destination, uids)
        try:
            self._scu.ask(transaction_uid, objects)
        except DestinationError:
            self._ledger.withdrawn(transaction_uid)
            raise


def report_of(report: Dataset) -> tuple[str, dict[str, bool]]:
    """Read a storage commitment result (PS3.4, J.3.3): its transaction, and what became of each object."""
    outcome = {
        str(item.ReferencedSOPInstanceUID): committed
        for keyword, committed in (("ReferencedSOPSequence", True), ("FailedSOPSequence", False))
        for item in report.get(keyword) or ()
    }
    return str(report.TransactionUID), outcome


def _action(transaction_uid: str, objects: Sequence[ResultObject]) -> Dataset:
    return attributes(
        TransactionUID=UID(transaction_uid),
        ReferencedSOPSequence=[
            attributes(ReferencedSOPClassUID=each.sop_class_uid, ReferencedSOPInstanceUID=each.sop_instance_uid)
            for each in objects
        ],
    )


def _confirmation(committed: bool | None) -> Confirmation:
    if committed is None:
        return Confirmation.PENDING
    return Confirmation.HELD if committed else Confirmation.MISSING
