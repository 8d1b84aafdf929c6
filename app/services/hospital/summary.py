"""The queue in numbers, and which of them ask for somebody."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.domain.jobs import CLOCK_STEP_S, ArrivalOutcome, DeliveryState, JobState

ALERTS: Final = (
    "overdue", "parked", "conflict", "no_worker", "spool_nearly_full", "source_failing", "destination_failing",
    "audit_lagging", "certificate_expiring",
)  # fmt: skip
"""What an operator may have to look at; docs/operations.md says what each means."""
_SILENT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Summary:
    """The queue in numbers.

    Attributes
    ----------
    at
        When it was counted.
    jobs, arrivals
        By state and by outcome.
    deliveries
        By destination, then by state.
    oldest_open_s
        Age of the oldest open film; None where nothing is open.
    overdue
        Open films older than the deadline.
    workers
        Name to seconds since its last sign of life.
    spool_bytes, spool_max_bytes
        Held, and allowed.
    sources, destinations
        Those that keep failing, and why, in words.
    audit
        Receivers of audit events that lag, and why, in words.
    certificates
        Certificates of ours that have ended, are about to, or cannot be used, in words.
    """

    at: datetime
    jobs: Mapping[JobState, int]
    arrivals: Mapping[ArrivalOutcome, int]
    deliveries: Mapping[str, Mapping[DeliveryState, int]]
    oldest_open_s: float | None
    overdue: int
    workers: Mapping[str, float]
    spool_bytes: int
    spool_max_bytes: int
    sources: Mapping[str, str]
    destinations: Mapping[str, str]
    audit: Mapping[str, str]
    certificates: Mapping[str, str]

    @property
    def idle(self) -> bool:
        """Whether nothing is open: every acknowledged film is answered and confirmed, or parked."""
        return self.jobs[JobState.QUEUED] == self.jobs[JobState.RUNNING] == 0

    @property
    def alerts(self) -> tuple[str, ...]:
        """Those of `ALERTS` that hold now."""
        found = []
        if self.overdue:
            found.append("overdue")
        if self.jobs[JobState.FAILED]:
            found.append("parked")
        if self.arrivals[ArrivalOutcome.CONFLICT]:
            found.append("conflict")
        if not self.idle and not any(-CLOCK_STEP_S <= seen_s <= _SILENT_S for seen_s in self.workers.values()):
            found.append("no_worker")
        if self.spool_bytes > 0.9 * self.spool_max_bytes:
            found.append("spool_nearly_full")
        if self.sources:
            found.append("source_failing")
        if self.destinations:
            found.append("destination_failing")
        if self.audit:
            found.append("audit_lagging")
        if self.certificates:
            found.append("certificate_expiring")
        return tuple(found)
