"""Nothing acknowledged is lost on its way in, and nothing that is not whole gets in (docs/faults.md, X2 to X14)."""

import io
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from tests.integration.pacs import films, hostile, oracle, senders
from tests.integration.pacs.hospital import Hospital, orthanc_source, stow_destination
from tests.integration.pacs.network import resize_disk
from tests.integration.pacs.orthanc import Orthanc, wait_until
from tests.phantoms import dicom_bytes

pytestmark = [pytest.mark.integration, pytest.mark.slow]

MakeHospital = Callable[..., Hospital]
StartOrthanc = Callable[..., Orthanc]
STABLE_AGE_S = 60


@pytest.fixture
def archive(start_orthanc: StartOrthanc) -> Orthanc:
    return start_orthanc("archive", aet="ARCHIVE")


def uids(sent: list[films.Film]) -> dict[str, str | None]:
    return dict.fromkeys(each.sop_instance_uid for each in sent)


def test_x2_a_pacs_killed_before_its_study_is_stable_is_still_read(
    start_orthanc: StartOrthanc, archive: Orthanc, hospital: MakeHospital
) -> None:
    source = start_orthanc("source", aet="SOURCE", settings={"StableAge": STABLE_AGE_S})
    ours = hospital(sources=[orthanc_source(source)], destinations=[stow_destination(archive)])
    sent = [films.film(number) for number in range(3)]
    for each in sent:
        source.store(each.content)

    source.kill()
    ours.start()
    time.sleep(2)
    source.start()
    ours.wait_idle(3)

    oracle.assert_answered_exactly_once(archive, uids(sent))


def test_x3_what_was_routed_while_we_were_down_is_found_by_the_sweep(
    start_orthanc: StartOrthanc, archive: Orthanc, hospital: MakeHospital
) -> None:
    source = start_orthanc("source", aet="SOURCE")
    ours = hospital(sources=[orthanc_source(source)], destinations=[stow_destination(archive)]).start()
    early, missed = ([films.film(number) for number in numbers] for numbers in (range(2), range(2, 6)))
    for each in early:
        source.store(each.content)
    ours.wait_idle(2)

    ours.pacs.kill()
    for each in missed:
        source.store(each.content)
    source.rest.delete("/changes").raise_for_status()  # the cursor has nothing to follow
    ours.start()
    ours.wait_idle(6)

    oracle.assert_answered_exactly_once(archive, uids(early + missed))


def test_x5_duplicates_are_one_film_and_other_content_is_a_conflict(archive: Orthanc, hospital: MakeHospital) -> None:
    ours = hospital(destinations=[stow_destination(archive)]).start(web=True)
    sent = [films.film(number) for number in range(4)]
    again = [films.Film(each.number, each.sop_instance_uid, "", films.resent(each)) for each in sent]
    other = films.other_content(sent[0])

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(ours.send, [sent, again, sent, again, sent]))
        stowed = pool.submit(ours.stow, [each.content for each in sent]).result()
    conflicting = ours.send([other])
    summary = ours.wait_idle(4)

    assert all(status == senders.SUCCESS for each in outcomes for status in each.values())
    assert stowed.status_code == 200
    assert set(conflicting.values()) == {senders.SUCCESS}
    oracle.assert_answered_exactly_once(archive, uids(sent))
    assert summary["arrivals"]["accepted"] == 4
    assert summary["arrivals"]["conflict"] == 1
    assert summary["arrivals"]["duplicate"] == 20
    assert "conflict" in summary["alerts"]
    assert [each["conflict"] for each in ours.jobs() if each["source_uid"] == other.sop_instance_uid] == [True]


def test_x6_an_association_cut_at_any_byte_leaves_nothing(archive: Orthanc, hospital: MakeHospital) -> None:
    ours = hospital(destinations=[stow_destination(archive)]).start(web=True)
    whole = films.film(0)
    cuts = [films.film(number, height=700, width=600) for number in range(1, 9)]

    for number, film in enumerate(cuts):
        with cut_after(ours.dicom, 2_000 + 90_000 * number) as relay:
            assert senders.c_store(relay, [film.content], timeout_s=5) == [None]
    body = b"--cut\r\nContent-Type: application/dicom\r\n\r\n" + cuts[0].content[:300_000]
    with socket.create_connection(("127.0.0.1", ours.http_port), timeout=5) as half:
        head = (
            "POST /dicomweb/studies HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n"
            'Content-Type: multipart/related; type="application/dicom"; boundary=cut\r\n\r\n'
        )
        half.sendall(head.encode() + body)
    answer = ours.stow([whole.content])
    ours.wait_idle(1)

    assert answer.status_code == 200
    oracle.assert_answered_exactly_once(archive, uids([whole]))
    assert oracle.traces_of_patients(ours.pacs.temporary, ours.web.temporary) == []
    partial = ours.spool / "partial"
    assert not [each for each in partial.rglob("*") if each.is_file()]


class cut_after:  # noqa: N801 - reads as a verb
    """A relay that passes on so many bytes and then cuts the wire."""

    def __init__(self, target: tuple[str, int], limit: int) -> None:
        self.target, self.limit = target, limit

    def __enter__(self) -> tuple[str, int]:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self.relay, daemon=True)
        self.thread.start()
        address: tuple[str, int] = self.listener.getsockname()
        return address

    def __exit__(self, *_: object) -> None:
        self.listener.close()
        self.thread.join(10)

    def relay(self) -> None:
        near, _ = self.listener.accept()
        with near, socket.create_connection(self.target) as far:
            back = threading.Thread(target=self.pump, args=(far, near, 1 << 30), daemon=True)
            back.start()
            self.pump(near, far, self.limit)

    @staticmethod
    def pump(source: socket.socket, target: socket.socket, limit: int) -> None:
        passed = 0
        try:
            while passed < limit and (part := source.recv(min(4096, limit - passed))):
                target.sendall(part)
                passed += len(part)
        except OSError:
            return


def test_x8_a_full_disk_of_ours_refuses_and_recovers(
    archive: Orthanc, hospital: MakeHospital, small_disk: Callable[[Path, int], Path], tmp_path: Path
) -> None:
    disk = small_disk(tmp_path / "disk", 12 << 20)
    ours = hospital(
        destinations=[stow_destination(archive)],
        settings={"SPOOL__DIR": str(disk / "spool"), "SPOOL__RESERVE_BYTES": str(6 << 20)},
    )
    ours.spool = disk / "spool"
    ours.start(web=True)
    sent = [films.film(number, height=700, width=600) for number in range(12)]

    statuses = ours.send(sent)
    taken = {uid for uid, status in statuses.items() if senders.is_taken(status)}
    stowed = ours.stow([films.film(50, height=700, width=600).content])

    refused = set(statuses.values()) - {senders.SUCCESS}
    assert taken
    assert refused == {senders.OUT_OF_RESOURCES}
    assert stowed.status_code in {507, 409}
    assert not senders.stowed(stowed)[0]

    resize_disk(disk, 512 << 20)
    later = ours.send([each for each in sent if each.sop_instance_uid not in taken])
    ours.wait_idle(12)

    assert set(later.values()) == {senders.SUCCESS}
    oracle.assert_answered_exactly_once(archive, uids(sent))


def test_x10_a_hundred_idle_sockets_starve_nobody(archive: Orthanc, hospital: MakeHospital) -> None:
    ours = hospital(destinations=[stow_destination(archive)]).start()
    sent = [films.film(number) for number in range(3)]
    idle: list[socket.socket] = []
    try:
        idle += [socket.create_connection(ours.dicom, timeout=5) for _ in range(100)]
        started = time.monotonic()
        statuses: dict[str, int | None] = {}

        def is_served() -> bool:
            statuses.update(ours.send(sent, timeout_s=10))
            return set(statuses.values()) == {senders.SUCCESS}

        wait_until(is_served, "a sender is served beside 100 idle sockets", 30)
        assert time.monotonic() - started < 20
    finally:
        for each in idle:
            each.close()
    ours.wait_idle(3)
    oracle.assert_answered_exactly_once(archive, uids(sent))


@pytest.mark.parametrize("start", ["now", "beginning"])
def test_x12_a_pacs_with_a_new_database_is_read_from_the_beginning(
    start_orthanc: StartOrthanc, archive: Orthanc, hospital: MakeHospital, start: str
) -> None:
    source = start_orthanc("source", aet="SOURCE")
    settings = orthanc_source(source, sweep_s=3600, start=start)
    ours = hospital(sources=[settings], destinations=[stow_destination(archive)]).start()
    old = [films.film(number) for number in range(5)]
    for each in old:
        source.store(each.content)
    ours.wait_idle(5)

    source.kill()
    source.rebuild()
    source.start()
    today = datetime.now(UTC).strftime("%Y%m%d")
    of_the_past = films.film(5, StudyDate="20200101")
    new = [films.film(number, StudyDate=today) for number in range(6, 8)]
    for each in [of_the_past, *new, *old[:2]]:
        source.store(each.content)
    # What a rebuilt archive gets back of the years before we were connected is none of ours, but where all is wanted.
    wanted = [*old, *new] + ([of_the_past] if start == "beginning" else [])
    ours.wait_idle(len(wanted), 60)

    oracle.assert_answered_exactly_once(archive, uids(wanted))


def test_x13_a_deleted_film_ends_and_a_moved_one_is_flagged(
    start_orthanc: StartOrthanc, archive: Orthanc, hospital: MakeHospital
) -> None:
    source = start_orthanc("source", aet="SOURCE")
    ours = hospital(sources=[orthanc_source(source)], destinations=[stow_destination(archive)])
    gone, moved, stays = (films.film(number) for number in (0, 3, 6))
    source.delete(source.store(gone.content))
    for each in (moved, stays):
        source.store(each.content)
    ours.start(web=True)
    ours.wait_idle(2)

    merged = dcmread(io.BytesIO(moved.content))
    merged.PatientID = f"{films.CANARY}-merged"
    assert set(ours.send([films.Film(3, moved.sop_instance_uid, "", dicom_bytes(merged))]).values()) == {0}
    summary = ours.wait_idle(2)

    oracle.assert_answered_exactly_once(archive, uids([moved, stays]))
    assert summary["arrivals"]["conflict"] == 1
    assert [each["conflict"] for each in ours.jobs() if each["source_uid"] == moved.sop_instance_uid] == [True]


def test_x14_hostile_objects_are_refused_in_bounded_memory(
    archive: Orthanc, hospital: MakeHospital, tmp_path: Path
) -> None:
    folder = tmp_path / "watched"
    folder.mkdir()
    watched: dict[str, Any] = {"name": "folder", "kind": "folder", "folder": str(folder), "poll_s": 0.2, "still_s": 0.3}
    ours = hospital(destinations=[stow_destination(archive)], sources=[watched]).start(web=True)
    evil = hostile.refused_at_once()
    before = ours.pacs.memory_bytes(), ours.web.memory_bytes()

    for name, content in evil.items():
        answer = ours.stow([content])
        assert 400 <= answer.status_code < 500, name
        (folder / f"{len(content)}.dcm").write_bytes(content)
    accepted = [films.film(0), *hostile.polyglots().values()]
    bomb = hostile.jpeg2000_bomb()
    statuses = ours.send(accepted)
    bombed = senders.c_store(ours.dicom, [bomb])
    wait_until(lambda: not list(folder.glob("*.dcm")), "the watched folder is emptied", 60)
    taken = {uid for uid, status in statuses.items() if senders.is_taken(status)}
    expected: dict[str, str | None] = dict.fromkeys(taken, "*")
    if senders.is_taken(bombed[0]):
        expected[str(dcmread(io.BytesIO(bomb)).SOPInstanceUID)] = "too_large"
    ours.wait_idle(len(expected))

    oracle.assert_answered_exactly_once(archive, expected)
    after = ours.pacs.memory_bytes(), ours.web.memory_bytes()
    assert accepted[0].sop_instance_uid in taken
    assert all(now - then < 700 << 20 for then, now in zip(before, after, strict=True)), (before, after)
    assert not (tmp_path / "evil").exists()
    assert set(ours.send([films.film(1)]).values()) == {senders.SUCCESS}
