"""A folder that films are put into: each is taken once it lies still, and removed only after its receipt."""

import contextlib
import logging
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from app.domain.errors import (
    DeadlineExceededError,
    OverloadedError,
    ScreeningError,
    StorageFullError,
    StorageUnavailableError,
    TooLargeError,
)
from app.services.hospital.ports import Receiver
from app.services.hospital.records import Arrival, Origin, PollReport

_log = logging.getLogger(__name__)

_UNFINISHED: Final = (".part", ".partial", ".filepart", ".crdownload", ".tmp", ".temp", "~")
_LATER: Final = (StorageFullError, StorageUnavailableError, OverloadedError, DeadlineExceededError)
"""What is the service's trouble and not the file's: everything stays where it is."""
_MOST_PER_POLL: Final = 500
_DEEPEST: Final = 16
_REASON: Final = ".reason.txt"
_CLAIMED: Final = ".discern-"
"""How files begin that were read and are about to go; one that a crash left is taken like any other."""

Signature: TypeAlias = tuple[int, int, int, int]
"""Inode, bytes, times of last change of content and of the inode: another one is another file."""


@dataclass(frozen=True, slots=True)
class FolderReport:
    """What one look at the folder came to; no file is named, for names of files name patients.

    Attributes
    ----------
    taken, refused
        Files that are durable now; files that can never be taken, moved aside.
    waiting
        Files that still change, or that the service has no room for just now.
    stuck
        Files that cannot be read or moved; said in the log when it began.
    trouble
        What keeps the folder from being emptied, in words; None where nothing does.
    """

    taken: int = 0
    refused: int = 0
    waiting: int = 0
    stuck: int = 0
    trouble: str | None = None

    def as_poll_report(self) -> PollReport:
        """Say it as any other source does; files that are stuck are a failure until they are gone or changed."""
        stuck = f"{self.stuck} file{'' if self.stuck == 1 else 's'} cannot be read, moved or removed; the log says why"
        failure = self.trouble or (stuck if self.stuck else None)
        return PollReport(taken=self.taken, refused=self.refused, failures=(failure,) if failure else ())


@dataclass(frozen=True, slots=True)
class _Seen:
    signature: Signature
    since_s: float


class WatchedFolder:
    """Takes files out of a folder and its sub-folders; `poll` is called again and again, by one thread.

    Symbolic links are never followed, neither to files nor to folders. What a crash interrupts is taken again: the
    file is still there, and the receiver knows it.

    Parameters
    ----------
    name
        Of the source, for the log and as the sender.
    folder
        Watched.
    receiver
        Takes the contents.
    still_s
        A file is complete once nothing of it has changed for so long.
    max_bytes
        Larger files are refused unread.
    done
        Where files go after their receipt; None removes them.
    refused
        Where files go that can never be taken, each with its reason beside it; None is ``refused`` in the folder.
    now_s
        A monotonic clock.
    """

    def __init__(  # noqa: PLR0917  # what a deployment may change of it
        self,
        name: str,
        folder: Path,
        receiver: Receiver,
        still_s: float,
        max_bytes: int,
        done: Path | None = None,
        refused: Path | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._folder, self._receiver, self._now_s = name, folder, receiver, now_s
        self._still_s, self._max_bytes = still_s, max_bytes
        self._done, self._refused = done, refused or folder / "refused"
        self._seen: dict[str, _Seen] = {}
        self._stuck: dict[str, Signature] = {}
        self._trouble: str | None = None

    def poll(self) -> FolderReport:
        """Take what is complete; nothing of a single file makes it raise."""
        counts = {"taken": 0, "refused": 0, "waiting": 0, "stuck": 0}
        try:
            found = self._found()
        except OSError as error:
            unreadable = f"the folder cannot be read: {error.strerror}"
            self._say(unreadable)
            return FolderReport(trouble=unreadable)
        self._seen = {path: each for path, each in self._seen.items() if path in found}
        self._stuck = {path: each for path, each in self._stuck.items() if found.get(path) == each}
        complete = [path for path, signature in found.items() if self._is_complete(path, signature)]
        counts["waiting"], counts["stuck"] = len(found) - len(complete) - len(self._stuck), len(self._stuck)
        complete.sort(key=lambda path: found[path][2])
        trouble = self._closed()
        for number, path in enumerate(complete):
            if number >= _MOST_PER_POLL:
                counts["waiting"] += len(complete) - number
                break
            try:
                counts[self._take(path, found[path])] += 1
            except _LATER as error:
                trouble = f"{error.problem_code}: {error.detail}"
                counts["waiting"] += len(complete) - number
                break
        self._say(trouble)
        return FolderReport(**counts, trouble=trouble)

    def _closed(self) -> str | None:
        """Say which folder files cannot be moved out of or into, before there is a file to move."""
        for name, folder in (("folder", self._folder), ("done_folder", self._done), ("refused_folder", self._refused)):
            if folder is None:
                continue
            there = next((each for each in (folder, *folder.parents) if each.exists()), folder)
            if not there.is_dir():
                return f"{name} is no folder, nor can it be made one"
            if not os.access(there, os.W_OK | os.X_OK):
                return f"{name} cannot be written to: files cannot be moved"
        return None

    def _say(self, trouble: str | None) -> None:
        """Say what keeps the folder from being emptied when that begins, and when it is over."""
        kind = trouble.partition(":")[0] if trouble else None
        if kind == self._trouble:
            return
        if trouble is not None:
            _log.warning("folder_waits", extra={"source": self._name, "detail": trouble})
        else:
            _log.info("folder_goes_on", extra={"source": self._name})
        self._trouble = kind

    def _found(self) -> dict[str, Signature]:
        """Give the regular files that are to be taken, by their path below the folder."""
        own = {each.resolve() for each in (self._done, self._refused) if each is not None}
        found: dict[str, Signature] = {}
        for folder, folders, files, descriptor in os.fwalk(self._folder, onerror=self._unless_gone):
            depth = len(Path(folder).relative_to(self._folder).parts)
            folders[:] = [
                each
                for each in folders
                if not each.startswith(".") and depth < _DEEPEST and (Path(folder) / each).resolve() not in own
            ]
            for name in files:
                hidden = name.startswith(".") and not name.startswith(_CLAIMED)
                if hidden or name.lower().endswith(_UNFINISHED):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        found[os.path.relpath(os.path.join(folder, name), self._folder)] = _signature(status)
        return found

    def _unless_gone(self, error: OSError) -> None:
        """Let sub-folders vanish or be closed to us; the folder itself must be there."""
        if error.filename is None or Path(error.filename) == self._folder:
            raise error
        _log.debug("folder_passed_over", extra={"source": self._name, "detail": error.strerror})

    def _is_complete(self, path: str, signature: Signature) -> bool:
        if path in self._stuck:
            return False
        seen = self._seen.get(path)
        if seen is None or seen.signature != signature:
            self._seen[path] = seen = _Seen(signature, self._now_s())
        return self._now_s() - seen.since_s >= self._still_s

    def _take(self, path: str, signature: Signature) -> str:
        """Take one file; gives what became of it."""
        try:
            content = self._read(path, signature)
        except OSError as error:
            return self._stay(path, signature, f"cannot be read: {error.strerror}")
        except TooLargeError as error:
            return self._put_aside(path, signature, error)
        if content is None:
            return "waiting"
        try:
            self._receiver.receive(content, Arrival(Origin.FOLDER, self._name))
        except _LATER:
            raise
        except ScreeningError as error:
            return self._put_aside(path, signature, error)
        except Exception:  # noqa: BLE001 - one file must not keep all others from being taken
            _log.exception("folder_defect", extra={"source": self._name})
            return self._stay(path, signature, "made the service fail")
        self._clear(path, signature, self._done, "was taken")
        return "taken"

    def _read(self, path: str, signature: Signature) -> bytes | None:
        """Read a file that still is what was seen; None where it changed or is gone."""
        try:
            descriptor = os.open(self._folder / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            if _signature(os.fstat(descriptor)) != signature:
                return None
            size = signature[1]
            if size > self._max_bytes:
                raise TooLargeError(f"the file has {size} bytes; {self._max_bytes} at most")
            content = file.read(size + 1)
            return content if len(content) == size and _signature(os.fstat(descriptor)) == signature else None

    def _put_aside(self, path: str, signature: Signature, error: ScreeningError) -> str:
        """Move what can never be taken out of the way, and say beside it why."""
        moved = self._clear(path, signature, self._refused, "is refused")
        if moved is not None:
            with contextlib.suppress(OSError):
                moved.with_name(moved.name + _REASON).write_text(f"{error.problem_code}: {error.detail}\n", "utf-8")
        return "refused"

    def _clear(self, path: str, signature: Signature, target: Path | None, what: str) -> Path | None:
        """Remove a file that was read, or move it to another folder, unless another one took its name meanwhile."""
        claimed: Path | None = None
        try:
            claimed = self._claim(path, signature)
            if claimed is None:
                return None
            if target is not None:
                return _move(claimed, target / path)
            claimed.unlink(missing_ok=True)
        except OSError as error:
            if claimed is not None and claimed.exists():
                _move(claimed, self._folder / path)
            self._stay(path, signature, f"{what}, but cannot be {'moved' if target else 'removed'}: {error.strerror}")
        return None

    def _claim(self, path: str, signature: Signature) -> Path | None:
        """Give a file a name that nobody else writes to; None where it is not the file that was read any more."""
        claimed = (self._folder / path).with_name(f"{_CLAIMED}{secrets.token_hex(8)}")
        try:
            (self._folder / path).rename(claimed)
        except FileNotFoundError:
            return None
        if _signature(claimed.lstat())[:3] == signature[:3]:
            return claimed
        _move(claimed, self._folder / path)
        return None

    def _stay(self, path: str, signature: Signature, why: str) -> str:
        """Leave a file alone until it changes; said once, without its name."""
        with contextlib.suppress(OSError):  # its inode may have been touched by trying
            signature = _signature((self._folder / path).lstat())
        self._stuck[path] = signature
        _log.warning("folder_file_stuck", extra={"source": self._name, "detail": f"a file {why}"})
        return "stuck"


def _move(source: Path, target: Path) -> Path:
    """Move a file, to another file system too; where the name is taken, to one beside it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    while target.exists() or target.is_symlink():
        target = target.with_name(f"{target.stem[:100]}-{secrets.token_hex(4)}{target.suffix}")
    shutil.move(source, target)
    return target


def _signature(status: os.stat_result) -> Signature:
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
