"""Which films to read first: a feed of what was received lately, ordered by what may be missed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from app.domain.reading_order import ReadingItem, Urgency, reading_key
from app.services.hospital.records import Job
from app.services.ports import Clock

MOST_FILMS = 5000
"""Of one feed; more films than that in its days are a reason for a shorter feed."""


class ReadingTable(Protocol):
    """The job table, as far as it is read."""

    def newest_generations(self, since: datetime, limit: int) -> list[Job]:
        """The latest job of every film that was received since, the newest first."""
        ...


@dataclass(frozen=True, slots=True)
class ReadingEntry:
    """One film and its group."""

    job: Job
    urgency: Urgency


class ReadingList:
    """Orders films; what has no answer, or a refusal, stands before what is negative.

    Parameters
    ----------
    table, clock
        The edges.
    """

    def __init__(self, table: ReadingTable, clock: Clock) -> None:
        self._table, self._clock = table, clock

    def entries(self, days: float, limit: int, include_negative: bool = True) -> Sequence[ReadingEntry]:
        """Give the films of some last days in the order they ask to be read."""
        jobs = self._table.newest_generations(self._clock.now() - timedelta(days=days), MOST_FILMS)
        items = [(ReadingItem(job.decision, job.probability, job.received_at, job.id), job) for job in jobs]
        items.sort(key=lambda pair: reading_key(pair[0]))
        return [
            ReadingEntry(job, item.urgency)
            for item, job in items
            if include_negative or item.urgency is not Urgency.NEGATIVE
        ][:limit]
