"""Day files of audit records, each line chained to the one before it, so that a change or a gap shows.

A line (`app.storage.audit_lines`) holds ``chain``, the HMAC-SHA256 of the chain before and the line without its own.
Several processes may share the folder; a lock file orders them. Without the key nobody can mend a chain that he
changed. Somebody who can write here can still cut off the end; what a receiver was sent (`app.storage.audit`) is the
witness against that.
"""

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import Final

from app.domain.errors import StorageFullError, StorageUnavailableError
from app.services.hospital.auditing import AuditRecord
from app.storage.audit_lines import append_line, canonical, fields_of, last_record, parsed, whole_bytes
from app.storage.durable_files import sync_folder, write_durably

GENESIS: Final = "0" * 64
"""The chain before the first record."""
MAX_VALUE_CHARACTERS: Final = 1024
_PREFIX, _SUFFIX = "audit-", ".jsonl"


@dataclass(frozen=True, slots=True)
class AuditCursor:
    """How far somebody has read: up to a byte of a day file, and the number of the last record before it."""

    file: str = ""
    offset: int = 0
    number: int = 0


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """What `AuditFiles.verify` found; whole where ``problems`` is empty."""

    records: int
    first: int
    last: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Head:
    file: str
    size: int
    number: int
    chain: str


class AuditFiles:
    """An append-only trail in a folder of its own.

    Parameters
    ----------
    folder
        Made where it is not there, for the service's user only.
    key
        Of the chain; kept outside the folder.
    """

    def __init__(self, folder: Path, key: bytes) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder, self._key = folder, key
        self._threads = threading.Lock()
        self._sync = threading.Lock()
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._mark = os.open(folder / "head", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._open: tuple[str, int] | None = None
        self._head: _Head | None = None
        self._synced: tuple[str, int] = ("", 0)

    def close(self) -> None:
        """Close the files; nothing is waiting to be written."""
        with self._threads, self._sync:
            for handle in (self._lock, self._mark, *((self._open[1],) if self._open else ())):
                os.close(handle)
            self._open = None

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self._folder

    def files(self) -> list[str]:
        """Names of the day files, oldest first."""
        return sorted(self._names())

    def _names(self) -> list[str]:
        return [name for name in os.listdir(self._folder) if name.startswith(_PREFIX) and name.endswith(_SUFFIX)]

    def append(self, at: datetime, event: str, outcome: str, participants: Mapping[str, str]) -> AuditRecord:
        """Write one record; it is on the disk when this returns.

        Raises
        ------
        StorageFullError
            If there is no room.
        StorageUnavailableError
            If it cannot be written for another reason.
        """
        who = {name: value[:MAX_VALUE_CHARACTERS] for name, value in sorted(participants.items())}
        try:
            with self._threads, self._locked():
                head = self._tail()
                file = max(f"{_PREFIX}{at.astimezone(UTC):%Y-%m-%d}{_SUFFIX}", head.file)
                record = AuditRecord(head.number + 1, at.astimezone(UTC), event, outcome, who)
                chain = self._chained(head.chain, fields_of(record))
                line = canonical(fields_of(record) | {"chain": chain}) + b"\n"
                size = head.size if file == head.file else 0
                append_line(self._handle(file), line, size)
                written = self._head = _Head(file, size + len(line), record.number, chain)
            self._make_durable(written)
        except OSError as error:
            if error.errno in (ENOSPC, EDQUOT):
                raise StorageFullError("no room for the audit trail") from error
            raise StorageUnavailableError(f"the audit trail cannot be written: {error.strerror}") from error
        return replace(record, digest=chain)

    def read(self, cursor: AuditCursor, most: int) -> tuple[list[AuditRecord], AuditCursor, int]:
        """Read on from a cursor.

        Parameters
        ----------
        cursor
            Where to begin; one whose file has been purged goes on with the next file.
        most
            Records at most.

        Returns
        -------
        list of AuditRecord, AuditCursor, int
            The records, the cursor behind them, and how many damaged lines were passed over.
        """
        records: list[AuditRecord] = []
        damaged = 0
        for file in self.files():
            if file < cursor.file:
                continue
            at = cursor.offset if file == cursor.file else 0
            with (self._folder / file).open("rb") as lines:
                lines.seek(at)
                for line in lines:
                    if len(records) >= most:
                        return records, cursor, damaged
                    if not line.endswith(b"\n"):
                        break  # still being written, or torn
                    at += len(line)
                    try:
                        records.append(parsed(line))
                        cursor = AuditCursor(file, at, records[-1].number)
                    except (ValueError, KeyError, TypeError):
                        damaged += 1
                        cursor = AuditCursor(file, at, cursor.number)
        return records, cursor, damaged

    def last_number(self) -> int:
        """Number of the last record that is on the disk for certain, whoever wrote it; 0 where there is none."""
        marked = (self._folder / "head").read_bytes()[:20]
        return int(marked) if marked.isdigit() else 0

    def verify(self) -> AuditCheck:
        """Follow the chain through every file."""
        with self._threads, self._locked():
            self._tail()
            return self._verified()

    def purge(self, before: date, read_by_all: AuditCursor | None) -> int:
        """Remove day files of before a date; never the newest, and none that somebody has not read to its end.

        Parameters
        ----------
        before
            Files of this day and later stay.
        read_by_all
            What every reader has passed; None where nobody reads.

        Returns
        -------
        int
            Files removed.
        """
        with self._threads, self._locked():
            self._tail()
            removed = 0
            for file in self.files()[:-1]:
                path = self._folder / file
                unread = read_by_all is not None and (
                    file > read_by_all.file or (file == read_by_all.file and read_by_all.offset < path.stat().st_size)
                )
                if file >= f"{_PREFIX}{before:%Y-%m-%d}" or unread:
                    break
                last = last_record(path)
                if last is not None:
                    start = {"n": last.number, "chain": last.digest}
                    write_durably(self._folder / "start", canonical(start | {"seal": self._chained(GENESIS, start)}))
                path.unlink()
                removed += 1
            return removed

    def _verified(self) -> AuditCheck:
        problems: list[str] = []
        number, chain = self._start(problems)
        first, records = 0, 0
        for file in self.files():
            with (self._folder / file).open("rb") as lines:
                for index, line in enumerate(lines, start=1):
                    try:
                        record = parsed(line)
                        fields = json.loads(line)
                    except (ValueError, KeyError, TypeError):
                        problems.append(f"{file}, line {index}: damaged")
                        continue
                    if record.number != number + 1:
                        problems.append(f"{file}, line {index}: number {record.number} follows {number}")
                    fields.pop("chain")
                    if not hmac.compare_digest(self._chained(chain, fields), record.digest):
                        problems.append(
                            f"{file}, line {index}: record {record.number} does not follow from what is before"
                        )
                    number, chain = record.number, record.digest
                    first, records = first or number, records + 1
        marked = self.last_number()
        if marked > number:
            problems.append(f"the trail ends at {number}, but {marked} had been written")
        return AuditCheck(records, first, number, tuple(problems))

    def _start(self, problems: list[str]) -> tuple[int, str]:
        """Give number and chain before the first record kept."""
        try:
            start = json.loads((self._folder / "start").read_bytes())
            seal = start.pop("seal")
            if not hmac.compare_digest(self._chained(GENESIS, start), seal):
                problems.append("start: the mark of what was purged is not ours")
            return int(start["n"]), str(start["chain"])
        except FileNotFoundError:
            return 0, GENESIS
        except (ValueError, KeyError, TypeError, AttributeError):
            problems.append("start: damaged")
            return 0, GENESIS

    def _chained(self, before: str, fields: Mapping[str, object]) -> str:
        return hmac.new(self._key, before.encode() + canonical(fields), hashlib.sha256).hexdigest()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _tail(self) -> _Head:
        """Give the last record, whoever wrote it; cut off a line that a killed process left half written."""
        names = self._names()
        if not names:
            number, chain = self._start([])
            return _Head("", 0, number, chain)
        file = max(names)
        path = self._folder / file
        size = path.stat().st_size
        if self._head is not None and (self._head.file, self._head.size) == (file, size):
            return self._head
        whole = whole_bytes(path, size)
        if whole < size:
            os.truncate(path, whole)
        for name in sorted(names, reverse=True):
            last = last_record(self._folder / name)
            if last is not None:
                self._head = _Head(file, whole, last.number, last.digest)
                return self._head
        number, chain = self._start([])
        self._head = _Head(file, whole, number, chain)
        return self._head

    def _handle(self, file: str) -> int:
        if self._open is not None and self._open[0] == file:
            return self._open[1]
        new = not (self._folder / file).exists()
        handle = os.open(self._folder / file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if new:
            sync_folder(self._folder)
        with self._sync:
            if self._open is not None:
                os.fsync(self._open[1])
                self._synced = (self._open[0], os.fstat(self._open[1]).st_size)
                os.close(self._open[1])
            self._open = (file, handle)
        return handle

    def _make_durable(self, upto: _Head) -> None:
        """Bring everything up to a record to the disk; threads that wait here share one call."""
        with self._sync:
            if (upto.file, upto.size) <= self._synced or self._open is None:
                return
            file, handle = self._open
            size = os.fstat(handle).st_size
            os.fsync(handle)
            self._synced = (file, size)
            os.pwrite(self._mark, f"{upto.number:020d}".encode(), 0)
