"""C-STORE as a user (PS3.4, B): our objects, as their bytes are, over one association."""

import io
from collections.abc import Sequence
from typing import Any, Final

from pydicom import dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import build_context
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.presentation import PresentationContext

from app.domain.errors import DestinationError
from app.pacs.association import Peer, accepted_context, associated, exchange, stream_of
from app.pacs.object_content import dataset_of, transfer_syntax_of
from app.pacs.store_status import outcome_of
from app.services.hospital.records import ResultObject, SendOutcome

_MEDIUM_PRIORITY: Final = 0


class StoreScu:
    """Sends objects to one archive.

    Parameters
    ----------
    peer
        The archive.
    """

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def send(self, objects: Sequence[ResultObject]) -> dict[str, SendOutcome]:
        """Send objects; the outcome of each, by SOP Instance UID.

        An object goes out byte for byte, but where an archive takes its SOP class in Implicit VR Little Endian only
        (the one transfer syntax that everybody has to take, PS3.5, 10.1).

        Raises
        ------
        DestinationError
            If there is no association, or it ended before the first answer.
        """
        found: dict[str, SendOutcome] = {}
        try:
            with associated(self._peer, _contexts(objects)) as association:
                for number, each in enumerate(objects, 1):
                    found[each.sop_instance_uid] = self._send(association, each, number)
        except DestinationError as error:
            if not found:
                raise
            for each in objects:
                found.setdefault(each.sop_instance_uid, SendOutcome(False, error.reason, error.detail))
        return found

    def _send(self, association: Association, each: ResultObject, number: int) -> SendOutcome:
        syntax = transfer_syntax_of(each.content)
        context = accepted_context(association, each.sop_class_uid, syntax, ImplicitVRLittleEndian)
        if context is None:
            detail = f"{self._peer.address} takes no objects of SOP class {UID(each.sop_class_uid).name}"
            return SendOutcome(False, "no_presentation_context", detail, permanent=True)
        request: Any = C_STORE()  # Any: its attributes are properties without types
        request.MessageID, request.Priority = number, _MEDIUM_PRIORITY
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = each.sop_class_uid, each.sop_instance_uid
        as_it_is = context.transfer_syntax[0] == syntax
        request.DataSet = stream_of(dataset_of(each.content) if as_it_is else _implicit(each.content))
        answer = next(exchange(association, self._peer, request, context))
        return outcome_of(int(answer.Status))


def _contexts(objects: Sequence[ResultObject]) -> list[PresentationContext]:
    """Give exactly the contexts that objects need, each once as it is and once in the default transfer syntax."""
    wanted = dict.fromkeys((each.sop_class_uid, transfer_syntax_of(each.content)) for each in objects)
    default = dict.fromkeys((each.sop_class_uid, str(ImplicitVRLittleEndian)) for each in objects)
    return [build_context(sop_class, syntax) for sop_class, syntax in {**wanted, **default}]


def _implicit(content: bytes) -> bytes:
    """Write one of our own objects in Implicit VR Little Endian."""
    found = dcmread(io.BytesIO(content))
    if found.file_meta.TransferSyntaxUID != ExplicitVRLittleEndian:
        raise DestinationError("only plain objects can be written in another transfer syntax", reason="protocol")
    written = encode(found, is_implicit_vr=True, is_little_endian=True)
    if written is None:
        raise DestinationError("an object cannot be written in Implicit VR Little Endian", reason="protocol")
    return written
