"""Files that must survive a crash, by the hash of their content: received films, results on their way, answers."""

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from app.domain.errors import StorageFullError, StorageUnavailableError
from app.storage.durable_files import sync_folder

_KEY: Final = re.compile(r"[0-9a-f]{64}")
_MEASURED_FOR_S: Final = 10.0
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class FileSpool:
    """A folder of files named by SHA-256, ``objects/ab/ab…``; several processes may share it.

    A file is there whole or not at all: it is written under another name, synced, renamed, and its folder synced. What
    a crash leaves half-written lies in ``partial/`` and is removed by `remove_partial`.

    Parameters
    ----------
    root
        The spool's own folder; made where it is missing, readable by its owner only.
    max_bytes
        More than that is not held.
    reserve_bytes
        What stays free on the file system, so that databases and logs can go on.
    """

    def __init__(self, root: Path, max_bytes: int, reserve_bytes: int) -> None:
        self._objects, self._partial = root / "objects", root / "partial"
        self._max_bytes, self._reserve_bytes = max_bytes, reserve_bytes
        self._lock = threading.Lock()
        self._used_bytes, self._measured_at = 0, float("-inf")
        try:
            for folder in (root, self._objects, self._partial):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StorageUnavailableError(f"the spool cannot be made: {error.strerror}") from error

    def put(self, content: bytes) -> str:
        """Write durably; see `app.services.hospital.ports.Spool`."""
        key = hashlib.sha256(content).hexdigest()
        path = self._path(key)
        if path.exists():
            with contextlib.suppress(FileNotFoundError):
                os.utime(path)  # young again: nobody may clean it away before it has its row
                sync_folder(path.parent)  # whoever wrote it may not have come so far
                return key
        self._refuse_without_room(len(content))
        partial = self._partial / secrets.token_hex(16)
        try:
            with contextlib.ExitStack() as cleanup:
                cleanup.callback(partial.unlink, missing_ok=True)
                with partial.open("xb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                path.parent.mkdir(exist_ok=True, mode=0o700)
                partial.replace(path)
                sync_folder(path.parent)
                sync_folder(self._objects)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise StorageFullError(f"the spool's file system is full ({len(content)} bytes to write)") from error
            raise StorageUnavailableError(f"the spool cannot be written to: {error.strerror}") from error
        with self._lock:
            self._used_bytes += len(content)
        return key

    def get(self, key: str) -> bytes:
        """Read a file and check its hash.

        Raises
        ------
        StorageUnavailableError
            If it is gone, unreadable, or not what was written.
        """
        try:
            content = self._path(key).read_bytes()
        except OSError as error:
            raise StorageUnavailableError(f"spool file {key[:12]}… cannot be read: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != key:
            raise StorageUnavailableError(f"spool file {key[:12]}… is not what was written")
        return content

    def holds(self, key: str) -> bool:
        """Whether a file is there."""
        return self._path(key).exists()

    def remove(self, key: str) -> None:
        """Remove a file; one that is not there is no error."""
        path = self._path(key)
        with contextlib.suppress(FileNotFoundError):
            size = path.stat().st_size
            path.unlink()
            with self._lock:
                self._used_bytes -= size

    def used_bytes(self) -> int:
        """Bytes held, measured every ten seconds, for other processes write here too."""
        with self._lock:
            if time.monotonic() - self._measured_at > _MEASURED_FOR_S:
                self._used_bytes = sum(size for _, size, _ in self.entries())
                self._measured_at = time.monotonic()
            return self._used_bytes

    def entries(self) -> Iterator[tuple[str, int, float]]:
        """Give key, bytes and time of last change (seconds since 1970) of every file."""
        for folder in self._objects.iterdir():
            for path in folder.iterdir():
                with contextlib.suppress(FileNotFoundError):
                    found = path.stat()
                    yield path.name, found.st_size, found.st_mtime

    def remove_partial(self, older_than_s: float = 3600.0) -> int:
        """Remove what crashed writers left; returns how many files that were."""
        removed, now = 0, time.time()
        for path in self._partial.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if now - path.stat().st_mtime >= older_than_s:
                    path.unlink()
                    removed += 1
        return removed

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key[:80]!r} is no SHA-256 in hex")
        return self._objects / key[:2] / key

    def _refuse_without_room(self, size: int) -> None:
        used = self.used_bytes()
        if used + size > self._max_bytes:
            raise StorageFullError(f"the spool holds {used} of {self._max_bytes} bytes; {size} more do not fit")
        free = shutil.disk_usage(self._objects).free
        if free - size < self._reserve_bytes:
            raise StorageFullError(
                f"{free} bytes are free, {self._reserve_bytes} are kept in reserve; {size} do not fit"
            )
