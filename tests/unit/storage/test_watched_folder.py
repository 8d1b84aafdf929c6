"""The watched folder: nothing is read before it is whole, nothing is removed before it is safe."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from app.bootstrap.hospital import open_hospital
from app.bootstrap.sources import make_pollers
from app.domain.errors import StorageFullError, UnreadableImageError
from app.domain.jobs import ArrivalOutcome
from app.services.hospital.records import Arrival, Origin, Receipt
from app.settings import Settings
from app.storage.watched_folder import FolderReport, WatchedFolder
from tests.integration.pacs import films
from tests.phantoms import png_bytes

STILL_S = 5.0
MAX_BYTES = 1000


class FakeReceiver:
    """Keeps what it is given, or raises what it is told to."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.error: Exception | None = None
        self.before: Callable[[], None] = lambda: None

    def receive(self, content: bytes, arrival: Arrival) -> Receipt:
        self.before()
        assert arrival == Arrival(Origin.FOLDER, "inbox")
        if self.error is not None:
            raise self.error
        self.taken.append(content)
        return Receipt("1", ArrivalOutcome.ACCEPTED, None)

    def receive_all(self, *_: object) -> list[Receipt]:
        raise NotImplementedError


class Inbox:
    """A watched folder whose clock the test moves."""

    def __init__(self, folder: Path, *, done: Path | None = None) -> None:
        self.folder, self.receiver, self.now_s = folder, FakeReceiver(), 100.0
        folder.mkdir()
        self.watched = WatchedFolder("inbox", folder, self.receiver, STILL_S, MAX_BYTES, done, now_s=lambda: self.now_s)

    def put(self, name: str, content: bytes = b"film") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def poll_twice(self) -> FolderReport:
        """Look, wait until everything has lain still, and look again."""
        self.watched.poll()
        self.now_s += STILL_S
        return self.watched.poll()

    def left(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path / "inbox")


def test_a_file_is_taken_once_it_has_lain_still_and_removed_after_its_receipt(inbox: Inbox) -> None:
    path = inbox.put("a/b/film.dcm")
    there: list[bool] = []
    inbox.receiver.before = lambda: there.append(path.exists())

    first = inbox.watched.poll()
    inbox.now_s += STILL_S - 0.1
    second = inbox.watched.poll()
    inbox.now_s += 0.1
    third = inbox.watched.poll()

    assert (first, second, third) == (FolderReport(waiting=1), FolderReport(waiting=1), FolderReport(taken=1))
    assert (inbox.receiver.taken, there) == ([b"film"], [True])
    assert inbox.left() == set()


def test_a_file_that_grows_is_waited_for(inbox: Inbox) -> None:
    path = inbox.put("film.dcm", b"half")
    inbox.watched.poll()
    inbox.now_s += STILL_S
    with path.open("ab") as file:
        file.write(b" and half")

    assert inbox.watched.poll() == FolderReport(waiting=1)
    inbox.now_s += STILL_S
    assert inbox.watched.poll() == FolderReport(taken=1)
    assert inbox.receiver.taken == [b"half and half"]


def test_a_file_that_is_replaced_while_it_is_received_is_not_removed(inbox: Inbox) -> None:
    path = inbox.put("film.dcm", b"first")

    def replace() -> None:
        other = inbox.folder / "next.tmp"
        other.write_bytes(b"second")
        other.replace(path)
        inbox.receiver.before = lambda: None

    inbox.receiver.before = replace
    inbox.poll_twice()

    assert path.read_bytes() == b"second"
    inbox.poll_twice()
    assert inbox.receiver.taken == [b"first", b"second"]
    assert inbox.left() == set()


@pytest.mark.parametrize("name", ["film.dcm.part", "film.TMP", ".hidden", ".rsync/film.dcm", "film.dcm~"])
def test_unfinished_and_hidden_files_are_left_alone(inbox: Inbox, name: str) -> None:
    inbox.put(name)

    assert inbox.poll_twice() == FolderReport()
    assert inbox.left() == {name}


def test_links_are_not_followed(inbox: Inbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_bytes(b"not for us")
    (inbox.folder / "link.dcm").symlink_to(secret / "file")
    (inbox.folder / "folder").symlink_to(secret)
    os.mkfifo(inbox.folder / "pipe.dcm")

    assert inbox.poll_twice() == FolderReport()
    assert inbox.receiver.taken == []
    assert (secret / "file").exists()


def test_what_can_never_be_taken_is_moved_aside_with_its_reason(inbox: Inbox) -> None:
    inbox.receiver.error = UnreadableImageError("the data set ends early")
    inbox.put("a/film.dcm", b"broken")

    assert inbox.poll_twice() == FolderReport(refused=1)

    assert inbox.left() == {"refused/a/film.dcm", "refused/a/film.dcm.reason.txt"}
    reason = (inbox.folder / "refused/a/film.dcm.reason.txt").read_text("utf-8")
    assert reason == "unreadable_image: the data set ends early\n"
    assert inbox.poll_twice() == FolderReport()


def test_a_refused_name_that_comes_again_replaces_nothing(inbox: Inbox) -> None:
    inbox.receiver.error = UnreadableImageError("no")
    for content in (b"one", b"two"):
        inbox.put("film.dcm", content)
        inbox.poll_twice()

    kept = {path.read_bytes() for path in (inbox.folder / "refused").glob("*.dcm")}
    assert kept == {b"one", b"two"}


def test_a_file_that_is_too_large_is_refused_unread(inbox: Inbox) -> None:
    inbox.put("film.dcm", bytes(MAX_BYTES + 1))

    assert inbox.poll_twice() == FolderReport(refused=1)
    assert inbox.receiver.taken == []


def test_nothing_is_moved_while_there_is_no_room_and_it_is_said_once(
    inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    inbox.receiver.error = StorageFullError("the spool is full")
    inbox.put("one.dcm")
    inbox.put("two.dcm")

    waits = FolderReport(waiting=2, trouble="storage_full: the spool is full")
    assert inbox.poll_twice() == waits
    assert inbox.watched.poll() == waits
    inbox.receiver.error = None
    assert inbox.watched.poll() == FolderReport(taken=2)

    assert [record.message for record in caplog.records] == ["folder_waits", "folder_goes_on"]


def test_done_files_are_kept_where_that_is_wanted(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox", done=tmp_path / "done")
    inbox.put("a/film.dcm")

    assert inbox.poll_twice() == FolderReport(taken=1)
    assert (tmp_path / "done/a/film.dcm").read_bytes() == b"film"
    assert inbox.left() == set()


def test_a_done_folder_inside_is_not_watched(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox", done=tmp_path / "inbox/done")
    inbox.put("film.dcm")

    assert inbox.poll_twice() == FolderReport(taken=1)
    assert inbox.poll_twice() == FolderReport()
    assert inbox.left() == {"done/film.dcm"}


def test_a_file_that_cannot_be_removed_is_taken_once_and_said_once(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    inbox.put("Smith^John.dcm")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    assert inbox.poll_twice() == FolderReport(taken=1)
    assert inbox.poll_twice() == FolderReport(stuck=1)

    assert len(inbox.receiver.taken) == 1
    assert [record.message for record in caplog.records] == ["folder_file_stuck"]
    assert "Smith" not in caplog.text + str([record.__dict__ for record in caplog.records])


def test_what_a_crash_left_half_way_to_its_end_is_taken_again(inbox: Inbox) -> None:
    inbox.put(".discern-0123456789abcdef")

    assert inbox.poll_twice() == FolderReport(taken=1)
    assert inbox.left() == set()


def test_a_defect_with_one_file_does_not_stop_the_others(inbox: Inbox) -> None:
    inbox.put("one.dcm", b"1")
    os.utime(inbox.folder / "one.dcm", (1, 1))
    inbox.put("two.dcm", b"2")

    def fail_once() -> None:
        inbox.receiver.before = lambda: None
        raise ZeroDivisionError

    inbox.receiver.before = fail_once
    assert inbox.poll_twice() == FolderReport(taken=1, stuck=1)
    assert inbox.receiver.taken == [b"2"]


def test_a_folder_that_is_gone_is_said_once_and_comes_back(inbox: Inbox, caplog: pytest.LogCaptureFixture) -> None:
    inbox.folder.rmdir()
    assert inbox.poll_twice() == FolderReport(trouble="the folder cannot be read: No such file or directory")
    inbox.folder.mkdir()
    inbox.put("film.dcm")
    assert inbox.poll_twice() == FolderReport(taken=1)

    assert [record.message for record in caplog.records] == ["folder_waits"]


def test_a_done_folder_that_is_none_is_said_before_there_is_a_file_to_move(tmp_path: Path) -> None:
    (tmp_path / "done").write_text("a file", "utf-8")
    inbox = Inbox(tmp_path / "inbox", done=tmp_path / "done" / "films")

    assert inbox.watched.poll() == FolderReport(trouble="done_folder is no folder, nor can it be made one")


@pytest.mark.parametrize("name", ["folder", "done_folder", "refused_folder"])
def test_a_folder_that_may_not_be_written_to_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    inbox = Inbox(tmp_path / "inbox", done=tmp_path / "done")
    for made in ("done", "inbox/refused"):
        (tmp_path / made).mkdir()
    closed = tmp_path / {"folder": "inbox", "done_folder": "done", "refused_folder": "inbox/refused"}[name]
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != closed and allowed(path, mode))  # root may always

    assert inbox.watched.poll() == FolderReport(trouble=f"{name} cannot be written to: files cannot be moved")


@pytest.mark.parametrize(
    ("report", "failures"),
    [
        (FolderReport(taken=2, waiting=1), ()),
        (FolderReport(stuck=1), ("1 file cannot be read, moved or removed; the log says why",)),
        (FolderReport(stuck=2, trouble="storage_full: no room"), ("storage_full: no room",)),
    ],
)
def test_what_keeps_a_folder_full_is_a_failure_of_the_source(report: FolderReport, failures: tuple[str, ...]) -> None:
    assert report.as_poll_report().failures == failures
    assert report.as_poll_report().taken == report.taken


def test_a_folder_of_the_settings_that_is_missing_is_an_alert_until_it_is_back(tmp_path: Path) -> None:
    source = {"name": "inbox", "kind": "folder", "folder": str(tmp_path / "inbox")}
    settings = Settings.model_validate({"spool": {"dir": tmp_path / "spool", "reserve_bytes": 0}, "sources": [source]})

    with open_hospital(settings) as side:
        ((_, poll, _),) = make_pollers(side)
        poll()
        missing = side.desk.summary()
        (tmp_path / "inbox").mkdir()
        poll()
        back = side.desk.summary()

    assert missing.alerts == ("source_failing",)
    assert missing.sources["inbox-folder"].endswith("the folder cannot be read: No such file or directory")
    assert back.alerts == ()


def test_a_folder_of_the_settings_feeds_the_job_table(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    source = {"name": "inbox", "kind": "folder", "folder": str(inbox), "still_s": 1e-9}
    settings = Settings.model_validate({"spool": {"dir": tmp_path / "spool", "reserve_bytes": 0}, "sources": [source]})
    sent = films.film(1)
    (inbox / "film.dcm").write_bytes(sent.content)
    (inbox / "film.png").write_bytes(png_bytes(np.zeros((64, 64), np.uint8)))
    (inbox / "film.txt").write_bytes(b"no film")

    with open_hospital(settings) as side:
        ((name, poll, _),) = make_pollers(side)
        poll()
        poll()
        jobs = side.table.jobs()

    assert name == "inbox-folder"
    assert {(job.origin, job.sender) for job in jobs} == {(Origin.FOLDER, "inbox")}
    assert sent.sop_instance_uid in {job.source_uid for job in jobs}
    assert len(jobs) == 2
    assert {path.name for path in inbox.rglob("*.*")} == {"film.txt", "film.txt.reason.txt"}
