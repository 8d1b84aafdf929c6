"""Packages of npm that tests drive, fetched once into a cache outside the repository."""

import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

TRIES = 3


def kept(name: str, arguments: Sequence[str]) -> Path:
    """Give the folder that an npm command filled on first use.

    Archives that it leaves (``npm pack``) are unpacked, to ``package/``. All is done under another name and then given
    its own, so that nobody finds half of it, and tests that run at the same time do not take it from each other. A
    registry that does not answer is asked again.

    Raises
    ------
    RuntimeError
        With what npm said, if it failed each time.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "discern-tests"
    folder = cache / name
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        fetched = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=cache))
        try:
            _fetch(arguments, fetched)
            if not folder.exists():
                fetched.rename(folder)
        finally:
            shutil.rmtree(fetched, ignore_errors=True)
    return folder


def _fetch(arguments: Sequence[str], folder: Path) -> None:
    said = ""
    for number in range(TRIES):
        time.sleep(5.0 * number)
        (folder / "package.json").write_text('{"private": true}', encoding="ascii")
        done = subprocess.run(["npm", *arguments], cwd=folder, timeout=300, check=False, capture_output=True, text=True)
        if done.returncode == 0:
            for archive in folder.glob("*.tgz"):
                with tarfile.open(archive) as packed:
                    packed.extractall(folder, filter="data")
                archive.unlink()
            return
        said = done.stderr[-500:]
    raise RuntimeError(f"npm {' '.join(arguments)} failed {TRIES} times: {said}")
