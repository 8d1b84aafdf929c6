"""Looking at a source again and again: what it brings is logged, that it fails is said once, until it works again."""

import logging
from collections.abc import Callable

from app.domain.errors import DestinationError, ScreeningError
from app.services.hospital.ports import PollReport

_log = logging.getLogger(__name__)


class SourceWatch:
    """One source's poll, watched.

    Parameters
    ----------
    name
        Of the source, and of the way it is looked at.
    poll
        Looks at it.
    note
        Writes an event into the job table.
    """

    def __init__(self, name: str, poll: Callable[[], PollReport], note: Callable[[str, str], None]) -> None:
        self._name, self._poll, self._note = name, poll, note
        self._failing = False

    def poll(self) -> PollReport:
        """Look once.

        Raises
        ------
        ScreeningError
            Why it failed; for the log of whoever repeats this.
        """
        try:
            report = self._poll()
            if report.failures:
                raise DestinationError(report.failures[0], reason="source_failing")
        except ScreeningError as error:
            if not self._failing:
                self._failing = True
                self._note("source_failing", f"{self._name}: {error.detail}")
            raise
        if self._failing:
            self._failing = False
            self._note("source_working", self._name)
        if report.taken or report.refused or report.vanished or report.postponed:
            _log.info(
                "source_polled",
                extra={
                    "source": self._name, "taken": report.taken, "known": report.known, "refused": report.refused,
                    "vanished": report.vanished, "postponed": report.postponed,
                },
            )  # fmt: skip
        return report
