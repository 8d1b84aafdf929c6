import errno
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.errors import StorageFullError, StorageUnavailableError
from app.storage.spool import FileSpool
from tests.phantoms import digest


@pytest.fixture
def spool(tmp_path: Path) -> FileSpool:
    return FileSpool(tmp_path / "spool", 10_000, 0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(content=st.binary(max_size=300))
def test_what_was_put_is_given_back(spool: FileSpool, content: bytes) -> None:
    key = spool.put(content)

    assert key == digest(content)
    assert spool.get(key) == content


def test_the_same_content_is_one_file_and_young_again(spool: FileSpool) -> None:
    key = spool.put(b"film")
    path = spool._path(key)
    os.utime(path, (1.0, 1.0))

    assert spool.put(b"film") == key
    assert len(list(spool.entries())) == 1
    assert path.stat().st_mtime > time.time() - 60


def test_files_are_for_their_owner_only_and_named_by_nothing_but_their_hash(spool: FileSpool, tmp_path: Path) -> None:
    spool.put(b"film")

    folders = [path for path in (tmp_path / "spool").rglob("*") if path.is_dir()]
    assert all(path.stat().st_mode & 0o077 == 0 for path in [tmp_path / "spool", *folders])
    names = [path.name for path in (tmp_path / "spool").rglob("*") if path.is_file()]
    assert names == [digest(b"film")]


def test_beyond_its_bound_nothing_is_taken_and_nothing_is_left(spool: FileSpool) -> None:
    spool.put(b"x" * 9_000)

    with pytest.raises(StorageFullError, match="9000 of 10000"):
        spool.put(b"y" * 2_000)

    assert spool.used_bytes() == 9_000
    assert list((spool._partial).iterdir()) == []


def test_the_reserve_stays_free(tmp_path: Path) -> None:
    spool = FileSpool(tmp_path, 10**18, 10**17)

    with pytest.raises(StorageFullError, match="reserve"):
        spool.put(b"film")


def test_a_full_disk_is_said_and_leaves_nothing(spool: FileSpool, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(StorageFullError):
        spool.put(b"film")

    assert list(spool._partial.iterdir()) == []
    assert list(spool.entries()) == []


def test_a_broken_disk_is_said(spool: FileSpool, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)

    with pytest.raises(StorageUnavailableError, match="Input/output"):
        spool.put(b"film")


def test_content_is_synced_before_it_has_its_name_and_the_folder_after(
    spool: FileSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        kind = "folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file"
        steps.append(kind)
        real_fsync(descriptor)

    def replace(self: Path, target: Any) -> Path:
        steps.append("rename")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)

    spool.put(b"film")

    assert steps == ["file", "rename", "folder", "folder"]


def test_a_changed_or_lost_file_is_never_given(spool: FileSpool) -> None:
    key = spool.put(b"film")
    spool._path(key).write_bytes(b"other")

    with pytest.raises(StorageUnavailableError, match="not what was written"):
        spool.get(key)
    spool.remove(key)
    spool.remove(key)
    with pytest.raises(StorageUnavailableError, match="cannot be read"):
        spool.get(key)


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "a" * 63, "A" * 64, "a" * 64 + "/"])
def test_only_hashes_are_names(spool: FileSpool, key: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        spool.get(key)


def test_what_crashed_writers_left_is_removed_once_it_is_old(spool: FileSpool) -> None:
    old, young = spool._partial / "old", spool._partial / "young"
    old.write_bytes(b"half a film")
    young.write_bytes(b"being written")
    os.utime(old, (1.0, 1.0))

    assert spool.remove_partial() == 1
    assert not old.exists()
    assert young.exists()


def test_many_writers_of_the_same_and_of_other_content(spool: FileSpool) -> None:
    keys: list[str] = []
    threads = [
        threading.Thread(target=lambda n=number: keys.append(spool.put(b"%d" % (n % 5)))) for number in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(keys) == 20
    assert {key for key, _, _ in spool.entries()} == set(keys)
    assert len(set(keys)) == 5
