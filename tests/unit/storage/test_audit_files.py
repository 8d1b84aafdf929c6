import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import StorageFullError
from app.storage.audit_files import AuditCursor, AuditFiles

KEY = b"a key of this test"
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[AuditFiles]:
    files = AuditFiles(tmp_path / "audit", KEY)
    yield files
    files.close()


def fill(files: AuditFiles, count: int, at: datetime = NOON) -> None:
    for index in range(count):
        files.append(at, "received", "success", {"sender": f"MODALITY{index}", "job_id": str(index)})


def day_file(files: AuditFiles) -> Path:
    return files.folder / files.files()[-1]


def test_what_is_written_is_read_in_order_and_whole(trail: AuditFiles) -> None:
    fill(trail, 5)

    records, cursor, damaged = trail.read(AuditCursor(), 100)
    assert [record.number for record in records] == [1, 2, 3, 4, 5]
    assert [record.participants["job_id"] for record in records] == ["0", "1", "2", "3", "4"]
    assert (damaged, cursor.number) == (0, 5)
    assert trail.read(cursor, 100) == ([], cursor, 0)
    assert trail.verify().problems == ()
    assert day_file(trail).stat().st_mode & 0o777 == 0o600
    assert trail.folder.stat().st_mode & 0o777 == 0o700


def test_batches_join_to_the_whole(trail: AuditFiles) -> None:
    fill(trail, 7)

    cursor, numbers = AuditCursor(), []
    while True:
        records, cursor, _ = trail.read(cursor, 2)
        if not records:
            break
        numbers += [record.number for record in records]

    assert numbers == [1, 2, 3, 4, 5, 6, 7]


@settings(max_examples=40, deadline=None)
@given(line=st.integers(0, 4), data=st.data())
def test_any_changed_byte_shows(tmp_path_factory: pytest.TempPathFactory, line: int, data: st.DataObject) -> None:
    files = AuditFiles(tmp_path_factory.mktemp("audit") / "a", KEY)
    fill(files, 5)
    path = day_file(files)
    lines = path.read_bytes().splitlines(keepends=True)
    at = data.draw(st.integers(0, len(lines[line]) - 2))
    letter = data.draw(st.integers(33, 126).filter(lambda value: value != lines[line][at]))
    changed = lines[line][:at] + bytes([letter]) + lines[line][at + 1 :]
    path.write_bytes(b"".join([*lines[:line], changed, *lines[line + 1 :]]))

    problems = files.verify().problems

    files.close()
    assert problems != ()


@pytest.mark.parametrize("line", [0, 2, 4])
def test_a_missing_line_shows_wherever_it_was(trail: AuditFiles, line: int) -> None:
    fill(trail, 5)
    path = day_file(trail)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:line] + lines[line + 1 :]))

    assert trail.verify().problems != ()


def test_swapped_lines_and_a_chain_made_without_the_key_show(trail: AuditFiles, tmp_path: Path) -> None:
    fill(trail, 3)
    path = day_file(trail)
    lines = path.read_bytes().splitlines(keepends=True)

    path.write_bytes(lines[1] + lines[0] + lines[2])
    assert trail.verify().problems != ()

    forger = AuditFiles(tmp_path / "forged", b"another key")
    fill(forger, 3)
    path.write_bytes(day_file(forger).read_bytes())
    forger.close()
    assert len(trail.verify().problems) == 3


def test_a_removed_day_shows_and_a_purged_one_does_not(trail: AuditFiles) -> None:
    for day in range(3):
        fill(trail, 2, NOON + timedelta(days=day))

    assert trail.purge(date(2026, 11, 26), AuditCursor("audit-2026-11-27.jsonl", 0, 4)) == 1
    assert trail.verify().problems == ()
    assert trail.verify().first == 3

    (trail.folder / trail.files()[0]).unlink()
    assert trail.verify().problems != ()


def test_nothing_is_purged_that_somebody_has_not_read(trail: AuditFiles) -> None:
    fill(trail, 2, NOON)
    fill(trail, 2, NOON + timedelta(days=1))
    first = trail.folder / trail.files()[0]
    size = first.stat().st_size

    assert trail.purge(date(2027, 1, 1), AuditCursor()) == 0
    assert trail.purge(date(2027, 1, 1), AuditCursor(first.name, size - 1, 1)) == 0
    assert trail.purge(date(2027, 1, 1), AuditCursor(first.name, size, 2)) == 1
    assert trail.purge(date(2027, 1, 1), None) == 0, "the newest file stays"


def test_after_everything_old_is_gone_the_numbers_go_on(tmp_path: Path) -> None:
    files = AuditFiles(tmp_path, KEY)
    fill(files, 2, NOON)
    fill(files, 1, NOON + timedelta(days=1))
    files.purge(date(2027, 1, 1), None)
    files.close()

    again = AuditFiles(tmp_path, KEY)
    fill(again, 1, NOON + timedelta(days=2))

    assert [record.number for record in again.read(AuditCursor(), 9)[0]] == [3, 4]
    assert again.verify().problems == ()
    again.close()


@pytest.mark.parametrize("rest", [b'{"at":"2026', b"\x00" * 300, b'{"n":4}garbage'])
def test_a_torn_last_line_is_cut_off_and_the_trail_goes_on(tmp_path: Path, rest: bytes) -> None:
    files = AuditFiles(tmp_path, KEY)
    fill(files, 3)
    path = day_file(files)
    files.close()
    with path.open("ab") as file:
        file.write(rest)

    again = AuditFiles(tmp_path, KEY)
    assert [record.number for record in again.read(AuditCursor(), 9)[0]] == [1, 2, 3]
    fill(again, 1)

    assert [record.number for record in again.read(AuditCursor(), 9)[0]] == [1, 2, 3, 4]
    assert again.verify().problems == ()
    again.close()


def test_a_damaged_last_line_stops_nothing_but_shows(tmp_path: Path) -> None:
    files = AuditFiles(tmp_path, KEY)
    fill(files, 3)
    path = day_file(files)
    lines = path.read_bytes().splitlines(keepends=True)
    files.close()
    path.write_bytes(b"".join(lines[:2]) + b"rubbish\n")

    again = AuditFiles(tmp_path, KEY)
    fill(again, 1)

    assert again.read(AuditCursor(), 9)[2] == 1
    assert again.verify().problems != ()
    again.close()


def test_a_cut_off_end_shows(trail: AuditFiles) -> None:
    fill(trail, 5)
    path = day_file(trail)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]))

    assert trail.verify().problems == ("the trail ends at 3, but 5 had been written",)


def test_a_clock_that_goes_back_writes_no_earlier_file(trail: AuditFiles) -> None:
    fill(trail, 1, NOON)
    fill(trail, 1, NOON - timedelta(days=3))

    assert trail.files() == ["audit-2026-11-25.jsonl"]
    assert trail.verify().problems == ()


def test_many_threads_of_two_openers_make_one_chain(tmp_path: Path) -> None:
    openers = [AuditFiles(tmp_path, KEY), AuditFiles(tmp_path, KEY)]
    threads = [threading.Thread(target=fill, args=(openers[index % 2], 25)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    check = openers[0].verify()
    for opener in openers:
        opener.close()
    assert (check.records, check.last, check.problems) == (200, 200, ())


def test_a_full_disk_is_said_and_leaves_no_half_line(trail: AuditFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(trail, 2)
    write = os.write

    def half(handle: int, content: bytes) -> int:
        if len(content) > 50:
            return write(handle, content[:50])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(StorageFullError):
        fill(trail, 1)
    monkeypatch.undo()
    fill(trail, 1)

    assert [record.number for record in trail.read(AuditCursor(), 9)[0]] == [1, 2, 3]
    assert trail.verify().problems == ()


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from app.storage.audit_files import AuditFiles
files = AuditFiles(Path(sys.argv[1]), b"a key of this test")
while True:
    record = files.append(datetime(2026, 11, 25, 12, tzinfo=UTC), "received", "success", {"job_id": "x" * 900})
    print(record.number, flush=True)
"""


def test_what_was_acknowledged_survives_kills(tmp_path: Path) -> None:
    acknowledged: list[int] = []
    for _ in range(6):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        acknowledged += [int(process.stdout.readline()) for _ in range(15)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in process.stdout.read().splitlines() if line]
        process.stdout.close()
        process.wait(10)

    files = AuditFiles(tmp_path, KEY)
    numbers = [record.number for record in files.read(AuditCursor(), 10**6)[0]]
    check = files.verify()
    files.close()
    assert check.problems == ()
    assert set(acknowledged) <= set(numbers)
    assert numbers == list(range(1, len(numbers) + 1))


def test_long_values_are_cut_and_lines_stay_json(trail: AuditFiles) -> None:
    trail.append(NOON, "refused", "minor_failure", {"sender": 'A"\n\\B' + "x" * 5000})

    lines = day_file(trail).read_bytes().splitlines()
    assert len(lines) == 1
    assert len(json.loads(lines[0])["who"]["sender"]) == 1024
