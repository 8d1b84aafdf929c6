"""DICOMweb as a client (PS3.18): QIDO-RS, WADO-RS and STOW-RS; what comes is bounded, and never parsed by pydicom."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import httpx2

from app.domain.errors import DestinationError, TooLargeError, UnreadableImageError
from app.pacs.http_access import Access, answer_of, body_of, host_of, open_client, refuse_status
from app.pacs.multipart import parts_of, written
from app.pacs.store_status import outcome_of
from app.services.hospital.records import ResultObject, SendOutcome

_MOST_ANSWER_BYTES: Final = 64 * 1024 * 1024
_MOST_STOW_BYTES: Final = 128 * 1024 * 1024
_MOST_ENVELOPE_BYTES: Final = 65_536
_SUCCESS: Final = frozenset({200, 202})
_STOW_ANSWERS: Final = _SUCCESS | {400, 409}
"""Those whose body may say what became of each object (PS3.18, 10.5.3)."""
_PROCESSING_FAILURE: Final = 0x0110
_JSON: Final = "application/dicom+json"
_DICOM: Final = "application/dicom"
_REFERENCED, _FAILED = "00081199", "00081198"
_REFERENCED_INSTANCE, _FAILURE_REASON, _WARNING_REASON = "00081155", "00081197", "00081196"

Attributes = Mapping[str, Any]
"""One data set of the DICOM JSON model (PS3.18, annex F)."""


class DicomWebClient:
    """One DICOMweb server; safe for several threads.

    Parameters
    ----------
    access
        How to reach it; ``url`` is the root that ``/studies`` is below.
    max_object_bytes
        Of one retrieved object.
    """

    def __init__(self, access: Access, max_object_bytes: int = 64 * 1024 * 1024) -> None:
        self._access, self._max_object_bytes = access, max_object_bytes
        self._root, self._limit_s = access.url.rstrip("/"), access.whole_s
        self._client = open_client(access)

    @property
    def host(self) -> str:
        """Host and port."""
        return host_of(self._root)

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def search(self, path: str, query: Sequence[tuple[str, str]], limit: int, offset: int = 0) -> list[Attributes]:
        """Search (QIDO-RS); an empty list where nothing matches.

        Parameters
        ----------
        path
            ``"studies"``, ``"instances"``, ``"studies/<uid>/instances"``, …
        query
            Attribute and value, ``includefield`` among them.
        limit, offset
            Page.

        Raises
        ------
        DestinationError
            If it fails.
        """
        params: list[tuple[str, str | int | float | bool | None]] = [
            *query,
            ("limit", str(limit)),
            ("offset", str(offset)),
        ]
        url = f"{self._root}/{path}"
        with answer_of(self._client, "GET", url, headers={"Accept": _JSON}, params=params) as response:
            if response.status_code in {204, 404}:
                return []
            refuse_status(response)
            body = self._answer(response)
        found = self._json(body) if body else []
        if not isinstance(found, list):
            raise DestinationError(f"{self.host} answered a search with no list", reason="protocol")
        return [each for each in found if isinstance(each, dict)]

    def held(self, objects: Sequence[ResultObject]) -> set[str]:
        """Give the SOP Instance UIDs of those objects that are really there.

        Raises
        ------
        DestinationError
            If it cannot be asked.
        """
        found: set[str] = set()
        for each in objects:
            path = f"studies/{each.study_instance_uid}/series/{each.series_instance_uid}/instances"
            matches = self.search(path, [("SOPInstanceUID", each.sop_instance_uid)], 100)
            found |= {first_value(match, "00080018") or "" for match in matches} & {each.sop_instance_uid}
        return found

    def retrieve(self, study_uid: str, series_uid: str, sop_instance_uid: str) -> bytes:
        """Fetch one object in the transfer syntax it is kept in (WADO-RS).

        Raises
        ------
        DestinationError
            If it fails; ``not_found`` where it is gone.
        TooLargeError
            If it is larger than allowed.
        """
        accept = f'multipart/related; type="{_DICOM}"; transfer-syntax=*'
        url = f"{self._root}/studies/{study_uid}/series/{series_uid}/instances/{sop_instance_uid}"
        with answer_of(self._client, "GET", url, headers={"Accept": accept}) as response:
            refuse_status(response)
            body = body_of(response, self._max_object_bytes + _MOST_ENVELOPE_BYTES, self._limit_s)
            content_type = response.headers.get("Content-Type", "")
        if "multipart" not in content_type.lower():
            return body
        try:
            return next(parts_of(body, content_type))
        except (StopIteration, UnreadableImageError) as error:
            raise DestinationError(f"{self.host} answered with half an object", reason="connection_lost") from error

    def store(self, objects: Sequence[ResultObject]) -> dict[str, SendOutcome]:
        """Store objects of one study or several (STOW-RS), a few at a time.

        Returns
        -------
        dict
            What was said of each, by SOP Instance UID; one that the answer leaves out was not accepted, whatever the
            status says: a full Orthanc answers 200 and names nothing.

        Raises
        ------
        DestinationError
            If nothing could be sent, or the server refused the request as a whole.
        """
        outcomes: dict[str, SendOutcome] = {}
        for batch in _batches(objects):
            try:
                outcomes |= self._store(batch)
            except DestinationError as error:
                if error.reason == "too_large" and len(batch) > 1:
                    outcomes |= self._one_by_one(batch)
                elif not outcomes:
                    raise
                else:
                    said = SendOutcome(False, error.reason, error.detail)
                    outcomes |= {each.sop_instance_uid: said for each in batch}
        return outcomes

    def _one_by_one(self, batch: Sequence[ResultObject]) -> dict[str, SendOutcome]:
        """Store objects that were too many for one request; one that is too large alone keeps no other back."""
        outcomes: dict[str, SendOutcome] = {}
        for each in batch:
            try:
                outcomes |= self._store([each])
            except DestinationError as error:
                outcomes[each.sop_instance_uid] = SendOutcome(False, error.reason, error.detail)
        return outcomes

    def _store(self, batch: Sequence[ResultObject]) -> dict[str, SendOutcome]:
        body, content_type = written([each.content for each in batch], _DICOM)
        headers = {"Content-Type": content_type, "Accept": _JSON}
        with answer_of(self._client, "POST", f"{self._root}/studies", content=body, headers=headers) as response:
            if response.status_code not in _STOW_ANSWERS:
                refuse_status(response)
            answer = self._answer(response)
            status = response.status_code
        try:
            document = self._json(answer) if answer else {}
        except DestinationError:
            document = {}
        outcomes = stow_outcomes(document)
        if not outcomes and status not in _SUCCESS:
            raise DestinationError(f"{self.host} answered {status}", reason="refused", permanent=True)
        return {uid: outcomes[uid] for each in batch if (uid := each.sop_instance_uid) in outcomes}

    def _answer(self, response: httpx2.Response) -> bytes:
        try:
            return body_of(response, _MOST_ANSWER_BYTES, self._limit_s)
        except TooLargeError as error:
            raise DestinationError(error.detail, reason="protocol") from error

    def _json(self, body: bytes) -> Any:  # Any: JSON
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise DestinationError(f"{self.host} answered with no JSON", reason="protocol") from error


def first_value(attributes: Attributes, tag: str) -> str | None:
    """Give the first value of an element as text; None where there is none."""
    element = attributes.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return str(values[0]) if isinstance(values, list) and values else None


def stow_outcomes(document: Any) -> dict[str, SendOutcome]:  # Any: JSON of an answer to STOW-RS
    """Read an answer to STOW-RS (PS3.18, 10.5.3): what was said of each object it names."""
    found: dict[str, SendOutcome] = {}
    if isinstance(document, list):
        document = document[0] if document else {}
    if not isinstance(document, dict):
        return found
    for item in _items(document, _REFERENCED):
        uid = first_value(item, _REFERENCED_INSTANCE)
        if uid:
            warning = first_value(item, _WARNING_REASON)
            found[uid] = SendOutcome(True, f"warning_{_hexadecimal(warning)}" if warning else "")
    for item in _items(document, _FAILED):
        uid, reason = first_value(item, _REFERENCED_INSTANCE), first_value(item, _FAILURE_REASON)
        if uid:
            code = int(reason) if reason and reason.isdecimal() else 0
            found[uid] = outcome_of(code or _PROCESSING_FAILURE)
    return found


def _batches(objects: Sequence[ResultObject]) -> Iterator[list[ResultObject]]:
    """Cut objects into requests of bounded size."""
    batch: list[ResultObject] = []
    size = 0
    for each in objects:
        if batch and size + len(each.content) > _MOST_STOW_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(each)
        size += len(each.content)
    if batch:
        yield batch


def _items(document: Attributes, tag: str) -> list[Attributes]:
    element = document.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return [each for each in values if isinstance(each, dict)] if isinstance(values, list) else []


def _hexadecimal(text: str) -> str:
    return f"{int(text):04x}" if text.isdecimal() else "unknown"
