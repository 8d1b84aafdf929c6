"""The audit trail: durable before `record` returns, sent on in the background, in order, at least once."""

import contextlib
import fcntl
import json
import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

from app.domain.errors import DestinationError
from app.domain.jobs import RetryPolicy, retry_delay_s
from app.services.hospital.auditing import AuditSink, checked
from app.services.ports import Clock
from app.storage.audit_files import AuditCheck, AuditCursor, AuditFiles
from app.storage.durable_files import write_durably

_log = logging.getLogger(__name__)
_BATCH: Final = 500
_RETRY: Final = RetryPolicy(first_s=1.0, most_s=60.0)
LAG_S: Final = 300.0
"""A receiver that has not read a record for so long lags."""
_SENDING: Final = "sending-"


@dataclass(frozen=True, slots=True)
class ForwardingState:
    """How one sink keeps up.

    Attributes
    ----------
    sent_number
        Of the last record that the receiver has read.
    oldest_waiting
        When the first record that it has not read was written; None where it has read all.
    failures
        In a row.
    error
        Why the last attempt failed, whichever process made it; None after a success.
    waiting
        Records that it has not read.
    """

    sent_number: int
    oldest_waiting: datetime | None
    failures: int = 0
    error: str | None = None
    waiting: int = 0


class AuditLog:
    """Implements `app.services.hospital.ports.AuditTrail`.

    Parameters
    ----------
    files
        The trail.
    clock
        Time of the records.
    sinks
        Where records are sent on to, by a name of letters and digits that the sink's cursor is kept under.
    idle_s
        Longest wait before a sink looks for new records; a record of this process wakes it at once.
    keep_days
        Day files that are older, and that every sink has sent on, are removed once a day; None keeps them.
    """

    def __init__(
        self,
        files: AuditFiles,
        clock: Clock,
        sinks: Mapping[str, AuditSink] | None = None,
        idle_s: float = 5.0,
        keep_days: float | None = None,
    ) -> None:
        self._files, self._clock, self._keep_days = files, clock, keep_days
        self._purged_on: date | None = None
        self._forwarders = {name: _Forwarder(name, sink, files, idle_s) for name, sink in (sinks or {}).items()}

    def start(self) -> None:
        """Begin to send on."""
        for forwarder in self._forwarders.values():
            forwarder.start()

    def close(self, timeout_s: float = 10.0) -> None:
        """Send on what is waiting as far as the time allows, and stop; the rest is sent by the next start."""
        for forwarder in self._forwarders.values():
            forwarder.stop()
        for forwarder in self._forwarders.values():
            forwarder.join(timeout_s)
        self._files.close()

    def record(self, event: str, *, outcome: str = "success", **participants: str) -> None:
        """Write one audit event; see `app.services.hospital.auditing` for the vocabulary.

        Raises
        ------
        ValueError
            If the event is none.
        StorageFullError, StorageUnavailableError
            If it cannot be made durable: what it is about must not go on.
        """
        who = checked(event, outcome, participants)
        at = self._clock.now()
        self._files.append(at, event, outcome, who)
        for forwarder in self._forwarders.values():
            forwarder.wake()
        if self._keep_days is not None and self._purged_on != at.date():
            self._purged_on = at.date()
            self._purge_daily(self._keep_days)

    def verify(self) -> AuditCheck:
        """Check every record kept against the chain."""
        return self._files.verify()

    def _purge_daily(self, keep_days: float) -> None:
        try:
            removed = self.purge(keep_days)
        except OSError as error:
            _log.warning("audit_not_purged", extra={"reason": error.strerror})
            return
        if removed:
            _log.info("audit_purged", extra={"files": removed})

    def purge(self, keep_days: float) -> int:
        """Remove day files older than so many days that every sink has sent on; how many."""
        cursors = [forwarder.cursor() for forwarder in self._forwarders.values()]
        before = (self._clock.now() - timedelta(days=keep_days)).date()
        slowest = min(cursors, key=lambda cursor: (cursor.file, cursor.offset)) if cursors else None
        return self._files.purge(before, slowest)

    def forwarding(self) -> Mapping[str, ForwardingState]:
        """How every sink keeps up; for metrics and alerts.

        Those of this process, and those that another process over the same folder sends to just now.
        """
        known = self._forwarders.keys() | _sent_to_by_others(self._files.folder)
        return {name: _state(self._files, name) for name in sorted(known)}

    def troubles(self, lag_s: float = LAG_S) -> dict[str, str]:
        """Give the receivers that lag by more than some seconds, and why, in words."""
        try:
            states = self.forwarding()
        except OSError as error:
            return {"trail": f"the audit trail cannot be read: {error.strerror}"}
        before = self._clock.now() - timedelta(seconds=lag_s)
        return {
            name: f"{state.waiting} record{'' if state.waiting == 1 else 's'} not read by it, the first of"
            f" {state.oldest_waiting:%Y-%m-%d %H:%M:%S}Z: {state.error or 'no failure is known; is a process running?'}"
            for name, state in states.items()
            if state.oldest_waiting is not None and state.oldest_waiting < before
        }


class _Forwarder:
    """One sink's thread. Of several processes over one folder only one sends; the others wait for its lock."""

    def __init__(self, name: str, sink: AuditSink, files: AuditFiles, idle_s: float) -> None:
        if not name.isalnum():
            raise ValueError(f"{name!r} is no name of a sink: letters and digits expected")
        self._sink, self._files, self._idle_s = sink, files, idle_s
        self._cursor_path = _cursor_path(files.folder, name)
        self._trouble_path = _trouble_path(files.folder, name)
        self._lock_path: Path = files.folder / f"{_SENDING}{name}"
        self._woken, self._stopping = threading.Event(), threading.Event()
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name=f"audit-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._woken.set()

    def stop(self) -> None:
        self._stopping.set()
        self._woken.set()

    def join(self, timeout_s: float) -> None:
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def cursor(self) -> AuditCursor:
        return _cursor(self._cursor_path)

    def _run(self) -> None:
        with contextlib.ExitStack() as held:
            lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            held.callback(os.close, lock)
            while not self._try_lock(lock):
                if self._stopping.wait(self._idle_s):
                    return
            cursor = self.cursor()
            while True:
                stopping = self._stopping.is_set()
                self._woken.clear()
                sent, cursor = self._send_on(cursor)
                if sent:
                    continue
                if stopping:
                    return
                self._pause()

    @staticmethod
    def _try_lock(lock: int) -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _send_on(self, cursor: AuditCursor) -> tuple[bool, AuditCursor]:
        """Send one batch; whether there was one and it arrived, and the cursor behind it."""
        try:
            records, behind, damaged = self._files.read(cursor, _BATCH)
            if damaged:
                _log.error("audit_lines_damaged", extra={"lines": damaged})
            if behind == cursor:
                return False, cursor
            if records:
                self._sink.send(records)
            write_durably(self._cursor_path, json.dumps(asdict(behind)).encode())
        except (DestinationError, OSError) as error:
            self._failed(error.detail if isinstance(error, DestinationError) else str(error.strerror))
            return False, cursor
        except Exception as error:  # noqa: BLE001 - the loop must survive; what it carries stays out of the log
            self._failed(type(error).__name__, logging.ERROR)
            return False, cursor
        self._failures = 0
        with contextlib.suppress(OSError):
            self._trouble_path.unlink(missing_ok=True)
        return True, behind

    def _failed(self, why: str, level: int = logging.WARNING) -> None:
        """Say why, in the log and to whoever asks from another process."""
        self._failures += 1
        _log.log(level, "audit_not_sent", extra={"sink": self._sink.name, "reason": why})
        with contextlib.suppress(OSError):
            beside = self._trouble_path.with_name(f"{self._trouble_path.name}.new")
            beside.write_text(json.dumps({"error": why[:300], "failures": self._failures}), "utf-8")
            beside.replace(self._trouble_path)

    def _pause(self) -> None:
        """Wait for a record; after a failure wait longer each time, whatever is recorded meanwhile."""
        if self._failures:
            self._stopping.wait(retry_delay_s(_RETRY, self._failures))
        else:
            self._woken.wait(self._idle_s)


def _cursor_path(folder: Path, name: str) -> Path:
    return folder / f"cursor-{name}"


def _trouble_path(folder: Path, name: str) -> Path:
    return folder / f"trouble-{name}"


def _cursor(path: Path) -> AuditCursor:
    try:
        return AuditCursor(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return AuditCursor()
    except (ValueError, TypeError):
        _log.warning("audit_cursor_damaged", extra={"sink": path.name})
        return AuditCursor()  # everything once more, rather than something never


def _state(files: AuditFiles, name: str) -> ForwardingState:
    """Say how a sink keeps up, by what lies in the folder."""
    cursor = _cursor(_cursor_path(files.folder, name))
    first, _, _ = files.read(cursor, 1)
    if not first:
        return ForwardingState(cursor.number, None)
    waiting = max(1, files.last_number() - cursor.number)
    try:
        trouble = json.loads(_trouble_path(files.folder, name).read_bytes())
        return ForwardingState(cursor.number, first[0].at, int(trouble["failures"]), str(trouble["error"]), waiting)
    except (OSError, ValueError, KeyError, TypeError):
        return ForwardingState(cursor.number, first[0].at, waiting=waiting)


def _sent_to_by_others(folder: Path) -> set[str]:
    """Give the sinks that some process sends to just now: it holds their lock. Those of old settings have none."""
    found = set()
    for path in folder.glob(f"{_SENDING}*"):
        with path.open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                found.add(path.name.removeprefix(_SENDING))
    return found
