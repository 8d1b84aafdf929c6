"""Whether an archive holds what it acknowledged: asked by query, or fetched and compared."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from app.domain.errors import DestinationError, TooLargeError
from app.pacs.dicomweb_client import DicomWebClient
from app.pacs.find_scu import FindScu
from app.pacs.object_content import same_dataset
from app.services.hospital.records import Confirmation, ResultObject


class ReadBack(Protocol):
    """One way to confirm."""

    def confirm(self, objects: Sequence[ResultObject]) -> Mapping[str, Confirmation]:
        """Give what is known of each object; see `Destination.confirm`."""
        ...


class Trusted:
    """An acknowledgement is enough."""

    def confirm(self, objects: Sequence[ResultObject]) -> Mapping[str, Confirmation]:
        """Believe."""
        return {each.sop_instance_uid: Confirmation.HELD for each in objects}


class QueryReadBack:
    """Every object is found by its UIDs: by QIDO-RS or C-FIND.

    Parameters
    ----------
    archive
        Is asked.
    """

    def __init__(self, archive: DicomWebClient | FindScu) -> None:
        self._archive = archive

    def confirm(self, objects: Sequence[ResultObject]) -> Mapping[str, Confirmation]:
        """Ask for every object."""
        found = self._archive.held(objects)
        return {
            each.sop_instance_uid: Confirmation.HELD if each.sop_instance_uid in found else Confirmation.MISSING
            for each in objects
        }


class ContentReadBack:
    """Every object is fetched by WADO-RS and compared with ours.

    Parameters
    ----------
    client
        Of the archive.
    """

    def __init__(self, client: DicomWebClient) -> None:
        self._client = client

    def confirm(self, objects: Sequence[ResultObject]) -> Mapping[str, Confirmation]:
        """Fetch and compare every object.

        Raises
        ------
        DestinationError
            ``content_differs`` where there is another object under our UID: sending again would not change it.
        """
        return {each.sop_instance_uid: self._compared(each) for each in objects}

    def _compared(self, each: ResultObject) -> Confirmation:
        differs = f"{self._client.host} holds another object under the UID of a result ({each.kind})"
        try:
            kept = self._client.retrieve(each.study_instance_uid, each.series_instance_uid, each.sop_instance_uid)
        except TooLargeError as error:
            raise DestinationError(differs, reason="content_differs", permanent=True) from error
        except DestinationError as error:
            if error.reason == "not_found":
                return Confirmation.MISSING
            raise
        if not same_dataset(kept, each.content):
            raise DestinationError(differs, reason="content_differs", permanent=True)
        return Confirmation.HELD
