"""Callers that were turned away are audited; a flood of them fills no disk, for it is counted and written rarely."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from app.domain.errors import ScreeningError
from app.services.hospital.ports import AuditTrail

_log = logging.getLogger(__name__)

MAX_AE_TITLE_CHARACTERS: Final = 16
"""PS3.5, 6.2: value representation AE."""
_EVERY_S: Final = 60.0
_AT_ONCE: Final = 30
_REASON_CHARACTERS: Final = 64


def clean_ae_title(claimed: object) -> str:
    """Give an AE title as a caller claims it, in the characters that one may have.

    Parameters
    ----------
    claimed
        What came over the network; whoever calls can make it anything.

    Returns
    -------
    str
        At most 16 characters of the default repertoire without backslash and control characters (PS3.5, 6.2), others
        replaced by a question mark, spaces around it removed.
    """
    shown = str(claimed).strip()[:MAX_AE_TITLE_CHARACTERS]
    return "".join(each if " " <= each <= "~" and each != "\\" else "?" for each in shown).strip()


@dataclass(slots=True)
class _Refused:
    """What is known of one address and reason: how many wait to be written, and when that may be."""

    sender: str
    waiting: int
    next_s: float


class RefusedCallers:
    """Writes refusals to the audit trail: the first at once, those that follow as one record with their number.

    For each address and reason there is at most one record in `every_s`, and records of at most `at_once` addresses;
    what more addresses do within that time is counted together, under no address. A record that cannot be written is
    tried again: nothing that follows from a refusal has to wait for it.

    Parameters
    ----------
    audit
        The trail.
    every_s
        Shortest time between two records of an address and a reason.
    at_once
        Addresses (with reasons) that are told apart.
    now_s
        A monotonic clock.
    """

    def __init__(
        self,
        audit: AuditTrail,
        every_s: float = _EVERY_S,
        at_once: int = _AT_ONCE,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._audit, self._every_s, self._at_once, self._now_s = audit, every_s, at_once, now_s
        self._lock = threading.Lock()
        self._refused: dict[tuple[str, str], _Refused] = {}

    def refused(self, address: str, ae_title: str, reason: str) -> None:
        """Take note of a caller that was turned away; safe for many threads, and raises nothing of the trail's.

        Parameters
        ----------
        address
            Its network address.
        ae_title
            Its title as it claims, empty where it got no further than its connection or its certificate.
        reason
            A code, of a fixed vocabulary: never anything the caller says.
        """
        sender, reason = clean_ae_title(ae_title), reason[:_REASON_CHARACTERS]
        with self._lock:
            key = (address, reason)
            if key not in self._refused and self._told_apart() >= self._at_once:
                key = ("", reason)
            found = self._refused.setdefault(key, _Refused(sender, 0, float("-inf")))
            found.sender = found.sender or sender
            found.waiting += 1
        self.write_due()

    def write_due(self) -> None:
        """Write what may be written by now; called now and then, so that the end of a flood is written too."""
        now = self._now_s()
        with self._lock:
            due = [key for key, each in self._refused.items() if each.next_s <= now]
            for key in due:
                if not self._refused[key].waiting:
                    del self._refused[key]
        for key in due:
            self._write(key, now + self._every_s)

    def close(self) -> None:
        """Write everything that waits."""
        with self._lock:
            keys = list(self._refused)
        for key in keys:
            self._write(key, float("inf"))

    def _told_apart(self) -> int:
        return sum(bool(address) for address, _ in self._refused)

    def _write(self, key: tuple[str, str], next_s: float) -> None:
        with self._lock:
            found = self._refused.get(key)
            if found is None or not found.waiting:
                return
            sender, count = found.sender, found.waiting
            found.sender, found.waiting, found.next_s = "", 0, next_s
        address, reason = key
        many = {"count": str(count)} if count > 1 else {}
        try:
            self._audit.record(
                "association_refused", outcome="minor_failure", sender=sender, address=address, reason=reason, **many
            )
        except ScreeningError as error:
            _log.warning("refusal_not_audited", extra={"code": error.problem_code, "detail": error.detail})
            with self._lock:
                kept = self._refused.setdefault(key, _Refused(sender, 0, next_s))
                kept.sender, kept.waiting = kept.sender or sender, kept.waiting + count
