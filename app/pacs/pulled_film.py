"""One film of a source: fetched, made durable, and whose fault it is if that fails."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from app.domain.errors import (
    DeadlineExceededError,
    DestinationError,
    OverloadedError,
    ScreeningError,
    StorageFullError,
    StorageUnavailableError,
)
from app.services.hospital.ports import Receiver
from app.services.hospital.records import Arrival, PollReport

_log = logging.getLogger(__name__)

OURS: Final = (StorageFullError, StorageUnavailableError, OverloadedError, DeadlineExceededError)
"""Our own trouble: nothing is fetched any more until it is over."""
_OF_THE_FILM: Final = frozenset({"server_error", "protocol", "refused", "too_large"})
"""The server answers, and cannot give this film; any other reason is the server's own trouble."""

Note = Callable[[str, str], None]
"""Writes an event into the job table: its kind, and a sentence that names no patient."""


class Pulled(StrEnum):
    """What became of a film that was to be fetched."""

    TAKEN = "taken"
    VANISHED = "vanished"
    REFUSED = "refused"
    POSTPONED = "postponed"


@dataclass(slots=True)
class Tally:
    """Counts of one poll."""

    counts: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def add(self, what: str, number: int = 1) -> None:
        """Count."""
        self.counts[what] = self.counts.get(what, 0) + number

    def failed(self, error: ScreeningError) -> None:
        """Keep what stopped the poll."""
        self.failures.append(error.detail)

    def report(self) -> PollReport:
        """Give the counts."""
        return PollReport(**self.counts, failures=tuple(self.failures))


class FilmPull:
    """Takes films of one source.

    Parameters
    ----------
    receiver
        Makes them durable.
    arrival
        How they come.
    note
        Is told what will not come.
    """

    def __init__(self, receiver: Receiver, arrival: Arrival, note: Note) -> None:
        self._receiver, self._arrival, self._note = receiver, arrival, note

    def take(self, fetch: Callable[[], bytes], name: str) -> Pulled:
        """Fetch one film and make it durable.

        Parameters
        ----------
        fetch
            Gives its bytes.
        name
            What the source calls it: a UID or a number.

        Raises
        ------
        DestinationError
            If the source does not answer, or not for anything.
        StorageFullError, StorageUnavailableError, OverloadedError, DeadlineExceededError
            If nothing can be taken just now.
        """
        try:
            self._receiver.receive(fetch(), self._arrival)
        except DestinationError as error:
            if error.reason == "not_found":
                self.note("source_film_vanished", f"{name} was gone before it could be fetched")
                return Pulled.VANISHED
            if error.reason not in _OF_THE_FILM:
                raise
            _log.warning("source_film_postponed", extra={"source": self._arrival.sender, "film": name,
                                                         "code": error.reason})  # fmt: skip
            return Pulled.POSTPONED
        except OURS:
            raise
        except ScreeningError as error:
            self.note("source_film_refused", f"{name}: {error.problem_code}: {error.detail}")
            return Pulled.REFUSED
        return Pulled.TAKEN

    def note(self, kind: str, detail: str) -> None:
        """Write an event of this source."""
        _log.warning(kind, extra={"source": self._arrival.sender, "detail": detail})
        self._note(kind, f"{self._arrival.sender}: {detail}")
