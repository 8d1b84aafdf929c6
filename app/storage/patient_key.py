"""The key between patients' numbers and their hashes: made once for a spool, never shown."""

import contextlib
import os
import secrets
from pathlib import Path
from typing import Final

from app.domain.errors import StorageUnavailableError
from app.storage.durable_files import sync_folder

_FILE: Final = "patient-key"
_BYTES: Final = 32


def patient_key(folder: Path) -> bytes:
    """Give a spool's key; the first process that asks makes it, whole or not at all.

    Parameters
    ----------
    folder
        The spool's.

    Returns
    -------
    bytes
        32 random bytes.

    Raises
    ------
    StorageUnavailableError
        If the spool cannot be written to, or what it holds is no key.
    """
    path = folder / _FILE
    try:
        if not path.exists():
            _make(path)
        key = path.read_bytes()
    except OSError as error:
        raise StorageUnavailableError(f"the spool's {_FILE} cannot be made or read: {error.strerror}") from error
    if len(key) != _BYTES:
        raise StorageUnavailableError(f"the spool's {_FILE} is damaged; with another key priors are not found again")
    return key


def _make(path: Path) -> None:
    """Make a key under another name and give it its own, which only the first of several processes can."""
    beside = path.with_name(f"{_FILE}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(beside)
        sync_folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)
