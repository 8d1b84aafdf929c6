"""The states of work that must not be lost, and when it is tried again: pure functions of what is known.

::

    film      queued → running → succeeded          every destination confirmed that it holds every result
                    ↘ failed (parked; replay)       nothing is tried any more until somebody looks
                    ↘ cancelled                     taken back by an operator, or the source is gone

    delivery  waiting → sent → confirmed            one object at one destination
                    ↘ parked                        refused for good, or tried too often
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final


class JobState(StrEnum):
    """Where a film's work stands."""

    QUEUED = "queued"
    """Received and safe; no worker has taken it yet, or it waits for its next attempt."""
    RUNNING = "running"
    """Being checked, screened or built; or built, with results still on their way."""
    SUCCEEDED = "succeeded"
    """Answered, by a screening or a coded refusal, and confirmed by every destination."""
    FAILED = "failed"
    """Parked: it needs somebody's eyes. `replay` starts it again."""
    CANCELLED = "cancelled"
    """Ended without results on purpose; ``error_code`` says why."""


ENDED: Final = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


class JobStage(StrEnum):
    """What was last done for good; a worker that takes over goes on from here."""

    RECEIVED = "received"
    BUILT = "built"
    """Answered; result objects lie in the spool, deliveries are planned."""
    DELIVERED = "delivered"


class DeliveryState(StrEnum):
    """Where one result object stands at one destination."""

    WAITING = "waiting"
    SENT = "sent"
    """The destination acknowledged it; it has not been read back yet."""
    CONFIRMED = "confirmed"
    """Storage commitment, or found again by query, says that it is there."""
    PARKED = "parked"


class ArrivalOutcome(StrEnum):
    """What became of something that reached us; every acknowledgement has one."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    """The same object again: acknowledged, and nothing more to do."""
    CONFLICT = "conflict"
    """The same UID with other content: acknowledged, kept, flagged; the first one's result stands."""
    OWN_RESULT = "own_result"
    """A result of ours came back: acknowledged and dropped, so that no loop begins."""


CLOCK_STEP_S: Final = 300.0
"""The clocks of machines that work together differ by less; a clock that is set by more has jumped."""
_LONGEST_REST_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait before trying again.

    Attributes
    ----------
    first_s, most_s
        The delay after the first failure, and the longest one; it doubles in between.
    attempts
        After so many failures the work is parked; None never parks what may still succeed.
    """

    first_s: float = 2.0
    most_s: float = 600.0
    attempts: int | None = None

    def __post_init__(self) -> None:
        """Refuse what would never wait or never try."""
        if not 0.0 < self.first_s <= self.most_s:
            raise ValueError(f"first_s is {self.first_s}, most_s {self.most_s}; 0 < first_s <= most_s expected")
        if self.attempts is not None and self.attempts < 1:
            raise ValueError(f"attempts is {self.attempts}; at least 1 expected")


def retry_delay_s(policy: RetryPolicy, failures: int) -> float | None:
    """Give the seconds to wait after a number of failures in a row; None where the work is to be parked.

    Parameters
    ----------
    policy
        Delays and how often.
    failures
        At least 1.

    Returns
    -------
    float or None
        ``first_s * 2 ** (failures - 1)``, at most ``most_s``.

    Raises
    ------
    ValueError
        If there was no failure.
    """
    if failures < 1:
        raise ValueError(f"failures is {failures}; at least 1 expected")
    if policy.attempts is not None and failures >= policy.attempts:
        return None
    return min(policy.most_s, policy.first_s * 2.0 ** min(failures - 1, 60))


def rest_after_crashes_s(crashes: int) -> float:
    """Give the seconds a film rests after its worker died over it so often in a row.

    A film that was under way is taken up first after a restart. Without a rest it would meet every kill that has other
    reasons, and be taken for their cause.

    Parameters
    ----------
    crashes
        Runs that never came to an end.

    Returns
    -------
    float
        0 up to one; then 5, 10, 20 … up to 300.
    """
    return 0.0 if crashes < 2 else min(_LONGEST_REST_S, 5.0 * 2.0 ** min(crashes - 2, 60))


def longest_wait_s(most_s: float) -> float:
    """Give the longest time that anything here waits for its next attempt.

    Parameters
    ----------
    most_s
        Of the retry policy, seconds.
    """
    return max(most_s, _LONGEST_REST_S)


def is_due(at: datetime, now: datetime, longest_s: float) -> bool:
    """Whether a time has come that was set to be at most so long ahead.

    Parameters
    ----------
    at, now
        Aware.
    longest_s
        The longest wait there is.

    Returns
    -------
    bool
        True, too, where it lies further ahead than any wait and `CLOCK_STEP_S`: it was set by a clock that has been set
        back since, and whoever waited for it would wait for as long as the clock was wrong.
    """
    ahead_s = (at - now).total_seconds()
    return ahead_s <= 0.0 or ahead_s > longest_s + CLOCK_STEP_S
