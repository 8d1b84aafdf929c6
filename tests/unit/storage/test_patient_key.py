"""A spool's key is made once, whole, and never made anew."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.domain.errors import StorageUnavailableError
from app.storage.patient_key import patient_key


def test_every_process_gets_the_key_that_was_made_first(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(patient_key, [tmp_path] * 32))

    assert len(keys) == 1
    assert len(keys.pop()) == 32
    assert [each.name for each in tmp_path.iterdir()] == ["patient-key"]
    assert (tmp_path / "patient-key").stat().st_mode & 0o777 == 0o600


def test_two_spools_have_two_keys(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()

    assert patient_key(folders[0]) != patient_key(folders[1])


def test_a_key_that_could_not_be_written_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StorageUnavailableError, match="No space left"):
            patient_key(tmp_path)

    assert list(tmp_path.iterdir()) == []
    assert len(patient_key(tmp_path)) == 32


def test_a_damaged_key_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "patient-key").write_bytes(b"half a key")

    with pytest.raises(StorageUnavailableError, match="damaged"):
        patient_key(tmp_path)

    assert (tmp_path / "patient-key").read_bytes() == b"half a key"
