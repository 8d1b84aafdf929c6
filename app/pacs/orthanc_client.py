"""Orthanc's own REST interface, as far as its changes are followed; what comes is bounded and never parsed as DICOM."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.domain.errors import DestinationError, TooLargeError
from app.pacs.http_access import Access, answer_of, body_of, host_of, open_client, refuse_status

_MOST_ANSWER_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the list of changes.

    Attributes
    ----------
    number
        Grows; begins anew when the database is rebuilt.
    instance
        Orthanc's identifier of an instance that is new; None for other changes.
    mark
        What tells this change from another one of the same number in another database.
    date
        When it was, by Orthanc's clock; sorts as text.
    """

    number: int
    instance: str | None
    mark: str
    date: str


@dataclass(frozen=True, slots=True)
class Changes:
    """A page of changes, in order; ``done`` where no more follow."""

    changes: tuple[Change, ...]
    done: bool
    last: int


@dataclass(frozen=True, slots=True)
class Listed:
    """What Orthanc's index says of an instance or a series, without its file being read."""

    identifier: str
    parent: str
    tags: Mapping[str, str]


class OrthancClient:
    """One Orthanc; safe for several threads.

    Parameters
    ----------
    access
        How to reach it; ``url`` is its REST root.
    max_object_bytes
        Of one file.
    """

    def __init__(self, access: Access, max_object_bytes: int = 64 * 1024 * 1024) -> None:
        self._client, self._root = open_client(access), access.url.rstrip("/")
        self._limit_s, self._max_object_bytes = access.whole_s, max_object_bytes

    @property
    def host(self) -> str:
        """Host and port."""
        return host_of(self._root)

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def changes(self, since: int, limit: int) -> Changes:
        """Give changes with larger numbers.

        Raises
        ------
        DestinationError
            If it fails; as for all methods.
        """
        return self._changes(f"/changes?since={since}&limit={limit}")

    def last_change(self) -> Change | None:
        """Give the newest change whose object is still there; None where there is none."""
        found = self._changes("/changes?last").changes
        return found[-1] if found else None

    def listed(self, identifiers: Collection[str], level: str) -> dict[str, Listed]:
        """Look several things up in the index, by identifier; those that are gone are left out.

        Parameters
        ----------
        identifiers
            Orthanc's.
        level
            ``Instance``, ``Series`` or ``Study``.
        """
        if not identifiers:
            return {}
        query = {"Resources": list(identifiers), "Level": level}
        found = self._json("POST", "/tools/bulk-content", json.dumps(query).encode())
        if not isinstance(found, list):
            raise self._unexpected()
        return {each.identifier: each for each in map(self._listed, found) if each.identifier}

    def file(self, instance: str) -> bytes:
        """Give the file of an instance as it is kept.

        Raises
        ------
        TooLargeError
            If it is larger than allowed.
        """
        return self._bytes("GET", f"/instances/{instance}/file", None, self._max_object_bytes)

    def _changes(self, path: str) -> Changes:
        found = self._json("GET", path)
        try:
            return Changes(
                tuple(
                    Change(
                        int(each["Seq"]),
                        str(each["ID"]) if each["ChangeType"] == "NewInstance" else None,
                        f"{each['ChangeType']} {each['ID']} {each['Date']}",
                        str(each["Date"]),
                    )
                    for each in found["Changes"]
                ),
                bool(found["Done"]),
                int(found["Last"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise self._unexpected() from error

    @staticmethod
    def _listed(found: Any) -> Listed:  # Any: JSON
        content = found if isinstance(found, dict) else {}
        parent = content.get("ParentSeries") or content.get("ParentStudy") or ""
        tags = content.get("MainDicomTags")
        return Listed(str(content.get("ID", "")), str(parent), tags if isinstance(tags, dict) else {})

    def _json(self, method: str, path: str, content: bytes | None = None) -> Any:  # Any: JSON
        try:
            return json.loads(self._bytes(method, path, content, _MOST_ANSWER_BYTES))
        except TooLargeError as error:
            raise DestinationError(error.detail, reason="protocol") from error
        except (ValueError, RecursionError) as error:
            raise self._unexpected() from error

    def _bytes(self, method: str, path: str, content: bytes | None, most_bytes: int) -> bytes:
        with answer_of(self._client, method, self._root + path, content=content) as response:
            refuse_status(response)
            return body_of(response, most_bytes, self._limit_s)

    def _unexpected(self) -> DestinationError:
        return DestinationError(f"{self.host} does not answer as Orthanc does", reason="protocol")
