"""C-FIND as a user (PS3.4, C): whether an archive really holds what it acknowledged."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import build_context
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.dsutils import decode, encode
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made when the module is imported
    StudyRootQueryRetrieveInformationModelFind,
)

from app.domain.errors import DestinationError
from app.pacs.association import Peer, accepted_context, associated, attributes, comment_of, exchange, stream_of
from app.services.hospital.records import ResultObject

_PENDING: Final = frozenset({0xFF00, 0xFF01})
_MOST_IDENTIFIER_BYTES: Final = 1 << 20
_SYNTAXES: Final = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


class FindScu:
    """Asks one archive for objects by their UIDs.

    Parameters
    ----------
    peer
        The archive.
    """

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def held(self, objects: Sequence[ResultObject]) -> set[str]:
        """Give the SOP Instance UIDs of those objects that are there.

        Raises
        ------
        DestinationError
            If it cannot be asked.
        """
        model, found = str(StudyRootQueryRetrieveInformationModelFind), set[str]()
        with associated(self._peer, [build_context(model, [*_SYNTAXES])]) as association:
            for number, each in enumerate(objects, 1):
                query = attributes(
                    QueryRetrieveLevel="IMAGE",
                    StudyInstanceUID=each.study_instance_uid,
                    SeriesInstanceUID=each.series_instance_uid,
                    SOPInstanceUID=each.sop_instance_uid,
                )
                answers = found_by(association, self._peer, model, query, most=100, number=number)
                found |= {str(answer.get("SOPInstanceUID", "")) for answer in answers} & {each.sop_instance_uid}
        return found


def found_by(  # one query
    association: Association, peer: Peer, model: str, query: Dataset, most: int, number: int = 1
) -> Iterator[Dataset]:
    """Give the identifiers that match a query.

    Raises
    ------
    DestinationError
        ``query_refused``, ``protocol``, or why no answer came; also where there are more than ``most``.
    """
    context = accepted_context(association, model, *_SYNTAXES)
    if context is None:
        raise DestinationError(
            f"{peer.address} takes no such queries", reason="no_presentation_context", permanent=True
        )
    syntax = context.transfer_syntax[0]
    written = encode(query, syntax.is_implicit_VR, syntax.is_little_endian)
    assert written is not None
    request: Any = C_FIND()  # Any: its attributes are properties without types
    request.MessageID, request.AffectedSOPClassUID, request.Priority = number, model, 0
    request.Identifier = stream_of(written)
    for count, answer in enumerate(exchange(association, peer, request, context)):
        if int(answer.Status) == 0:
            return
        if int(answer.Status) not in _PENDING:
            detail = f"{peer.address} answered a query with {comment_of(answer)}"
            raise DestinationError(detail, reason="query_refused")
        if count >= most:
            raise DestinationError(f"{peer.address} gave more than {most} answers to a query", reason="protocol")
        stream = answer.Identifier
        if stream is None or len(stream.getbuffer()) > _MOST_IDENTIFIER_BYTES:
            raise DestinationError(f"{peer.address} answered a query with no identifier", reason="protocol")
        try:
            yield decode(stream, syntax.is_implicit_VR, syntax.is_little_endian)
        except DestinationError:
            raise
        except Exception as error:  # pydicom raises what it likes where bytes are no data set
            raise DestinationError(f"{peer.address} answered a query with no data set", reason="protocol") from error
