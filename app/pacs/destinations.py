"""Destinations that speak DICOMweb: sent by STOW-RS, found again by QIDO-RS or compared byte for byte."""

from collections.abc import Mapping, Sequence
from typing import Literal

from app.domain.errors import DestinationError
from app.domain.result_identity import ResultKind
from app.pacs.dicomweb_client import DicomWebClient
from app.pacs.object_content import same_dataset
from app.services.hospital.ports import Confirmation, ResultObject, SendOutcome


class StowDestination:
    """`Destination` over DICOMweb.

    Parameters
    ----------
    name, kinds
        As configured.
    client
        Of the server.
    confirm
        ``qido``: every object is found by query; ``content``: it is fetched and its data set compared; ``none``: an
        acknowledgement is enough.
    """

    def __init__(
        self,
        name: str,
        kinds: frozenset[ResultKind],
        client: DicomWebClient,
        confirm: Literal["qido", "content", "none"] = "qido",
    ) -> None:
        self._name, self._kinds, self._client, self._confirm = name, kinds, client, confirm

    @property
    def name(self) -> str:
        """As configured."""
        return self._name

    @property
    def kinds(self) -> frozenset[ResultKind]:
        """Which objects it wants."""
        return self._kinds

    def send(self, objects: Sequence[ResultObject]) -> Mapping[str, SendOutcome]:
        """Send by STOW-RS."""
        return self._client.store(objects)

    def confirm(self, objects: Sequence[ResultObject]) -> Mapping[str, Confirmation]:
        """Look for every object in its study."""
        if self._confirm == "none":
            return {each.sop_instance_uid: Confirmation.HELD for each in objects}
        if self._confirm == "content":
            return {each.sop_instance_uid: self._compared(each) for each in objects}
        return queried(self._client, objects)

    def _compared(self, each: ResultObject) -> Confirmation:
        try:
            content = self._client.retrieve(each.study_instance_uid, each.series_instance_uid, each.sop_instance_uid)
        except DestinationError as error:
            if error.reason == "not_found":
                return Confirmation.MISSING
            raise
        return Confirmation.HELD if same_dataset(content, each.content) else Confirmation.MISSING


def queried(client: DicomWebClient, objects: Sequence[ResultObject]) -> dict[str, Confirmation]:
    """Ask a DICOMweb server for objects by their UIDs, study by study."""
    found: set[str] = set()
    for study in dict.fromkeys(each.study_instance_uid for each in objects):
        wanted = [each.sop_instance_uid for each in objects if each.study_instance_uid == study]
        found |= client.held(study, wanted)
    return {
        each.sop_instance_uid: Confirmation.HELD if each.sop_instance_uid in found else Confirmation.MISSING
        for each in objects
    }
