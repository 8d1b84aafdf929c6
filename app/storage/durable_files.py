"""What it takes for a small file, or for a file's name, to outlast a loss of power."""

import os
from pathlib import Path


def write_durably(path: Path, content: bytes) -> None:
    """Replace a small file: write beside it, fsync, rename, fsync the folder.

    Raises
    ------
    OSError
        If it cannot be written; the file is what it was.
    """
    beside = path.with_name(f"{path.name}.new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make files that were made, renamed or removed in a folder durable as such."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
