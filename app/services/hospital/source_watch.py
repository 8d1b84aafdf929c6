"""Looking at a source again and again: what it brings is logged, that it fails is said once, until it works again."""

import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

from app.domain.errors import ScreeningError
from app.services.hospital.records import PollReport

_log = logging.getLogger(__name__)

_SAID_EVERY_S: Final = 30.0


class SourceTable(Protocol):
    """What watching needs of the job table."""

    def note(self, kind: str, detail: str) -> None:
        """Write an event."""
        ...

    def source_seen(self, name: str, failure: str | None, every_s: float) -> None:
        """Keep that a source was looked at."""
        ...


class SourceWatch:
    """One source's poll, watched.

    Parameters
    ----------
    name
        Of the source, and of the way it is looked at.
    poll
        Looks at it.
    table
        Is told how it goes.
    every_s
        How often it is looked at.
    now_s
        A monotonic clock.
    """

    def __init__(
        self,
        name: str,
        poll: Callable[[], PollReport],
        table: SourceTable,
        every_s: float,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._poll, self._table, self._every_s, self._now_s = name, poll, table, every_s, now_s
        self._failure: str | None = None
        self._next_said = float("-inf")

    def poll(self) -> PollReport:
        """Look once; a failure is in the report, and said when it begins or becomes another one."""
        try:
            report = self._poll()
        except ScreeningError as error:
            report = PollReport(failures=(error.detail,))
        if report.failures:
            self._say(report.failures[0])
        elif report.postponed:
            films = "film" if report.postponed == 1 else "films"
            self._say(f"{report.postponed} {films} cannot be fetched; tried again, later each time")
        else:
            self._say(None)
        if report.taken or report.refused or report.vanished:
            _log.info(
                "source_polled",
                extra={
                    "source": self._name, "taken": report.taken, "known": report.known, "refused": report.refused,
                    "vanished": report.vanished, "postponed": report.postponed,
                },
            )  # fmt: skip
        return report

    def _say(self, failure: str | None) -> None:
        """Write down what changed, and now and then that nothing did."""
        if failure and failure != self._failure:
            _log.warning("source_failing", extra={"source": self._name, "detail": failure})
        if (failure is None) != (self._failure is None):
            self._table.note(
                "source_failing" if failure else "source_working", f"{self._name}: {failure}" if failure else self._name
            )
        elif failure == self._failure and self._now_s() < self._next_said:
            return
        self._table.source_seen(self._name, failure, self._every_s)
        self._failure, self._next_said = failure, self._now_s() + _SAID_EVERY_S
