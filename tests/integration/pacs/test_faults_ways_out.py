"""Results reach every destination once, whatever it says or does (docs/faults.md, X1, X7, X10, X11, X15 to X18)."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.pacs import films, oracle, senders
from tests.integration.pacs.hospital import Hospital, store_destination, stow_destination
from tests.integration.pacs.network import resize_disk
from tests.integration.pacs.orthanc import PASSWORD, USER, Orthanc
from tests.integration.pacs.proxy import Answer, Proxy, Request, proxy

pytestmark = [pytest.mark.integration, pytest.mark.slow]

MakeHospital = Callable[..., Hospital]
StartOrthanc = Callable[..., Orthanc]


@pytest.fixture
def archive(start_orthanc: StartOrthanc) -> Orthanc:
    return start_orthanc("archive", aet="ARCHIVE")


@pytest.fixture
def gateway(archive: Orthanc) -> Iterator[Proxy]:
    with proxy(archive.url) as made:
        yield made


def through(gateway: Proxy, **more: Any) -> dict[str, Any]:
    return {
        "name": "archive", "kind": "stow", "url": f"{gateway.url}/dicom-web", "user": USER, "password": PASSWORD,
        "timeout_s": 3,
    } | more  # fmt: skip


def is_store(request: Request) -> bool:
    return request.method == "POST" and "/studies" in request.path


def confirmed(summary: Any, name: str = "archive") -> int:
    found: int = summary["deliveries"].get(name, {}).get("confirmed", 0)
    return found


def answered(summary: Any) -> bool:
    """Whether every film has its results, wherever they are."""
    return bool(summary["deliveries"]) and not summary["jobs"]["queued"]


def send(ours: Hospital, count: int) -> dict[str, str | None]:
    statuses = ours.send([films.film(number) for number in range(count)])
    assert set(statuses.values()) == {senders.SUCCESS}
    return dict.fromkeys(statuses)


@pytest.mark.parametrize("kind", ["stow", "c-store"])
def test_x1_results_wait_for_a_pacs_that_is_down_and_arrive_once(
    archive: Orthanc, hospital: MakeHospital, kind: str
) -> None:
    destination = stow_destination(archive) if kind == "stow" else store_destination(archive)
    ours = hospital(destinations=[destination], settings={"WORK__DEADLINE_S": "3"}).start()
    archive.stop()
    sent = send(ours, 5)

    waiting = ours.wait_state(
        lambda found: found["deliveries"].get("archive", {}).get("waiting", 0) >= 10 and found["overdue"] == 5,
        "results wait and are overdue",
    )
    assert confirmed(waiting) == 0
    assert "overdue" in waiting["alerts"]

    archive.start()
    ours.wait_idle(5)
    found = oracle.assert_answered_exactly_once(archive, sent)
    oracle.assert_audited(ours.audit_folder, 5, {"archive": len(found)})


@pytest.mark.parametrize("kind", ["stow", "c-store"])
def test_x7_a_full_pacs_is_never_believed_and_gets_all_once_it_has_room(
    start_orthanc: StartOrthanc, hospital: MakeHospital, small_disk: Callable[[Path, int], Path], tmp_path: Path,
    kind: str,
) -> None:  # fmt: skip
    disk = small_disk(tmp_path / "disk", 1 << 20)
    full = start_orthanc("full", aet="ARCHIVE", storage=disk)
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(max(0, (1 << 20) - 460_000)))
    destination = stow_destination(full) if kind == "stow" else store_destination(full)
    ours = hospital(destinations=[destination]).start()
    sent = send(ours, 6)

    stuck = ours.wait_state(
        lambda found: answered(found) and any(each["attempts"] > 2 for each in open_deliveries(ours)),
        "deliveries are tried again",
    )
    assert confirmed(stuck) <= full.count()

    resize_disk(disk, 512 << 20)
    ours.wait_idle(6)
    oracle.assert_answered_exactly_once(full, sent)


def open_deliveries(ours: Hospital) -> list[dict[str, Any]]:
    """Attempts of deliveries that are not confirmed, from the log."""
    found = [each for each in ours.pacs.events() if each.get("event") == "delivery"]
    return [each for each in found if each.get("state") in {"waiting", "sent"} and "attempts" in each]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, json.dumps({"00081199": {"vr": "SQ"}, "00081198": {"vr": "SQ"}}).encode()),
        Answer(200),
        Answer(202, b"{}"),
        Answer(400, b"full", "text/plain"),
        Answer(507),
        Answer(500),
        Answer(503, headers={"Retry-After": "1"}),
        Answer(200, b'{"00081199": {"vr": "SQ", "Value": [' + b" " * 100, cut=True),
        Answer(401),
        Answer(403),
    ],
    ids=lambda each: f"{each.status}{'cut' if each.cut else ''}{len(each.body) or ''}",
)
def test_x7_x16_an_answer_that_is_no_receipt_is_not_taken_for_one(
    archive: Orthanc, gateway: Proxy, hospital: MakeHospital, answer: Answer
) -> None:
    gateway.interfere = lambda request: answer if is_store(request) else None
    ours = hospital(destinations=[through(gateway)]).start()
    sent = send(ours, 2)

    stuck = ours.wait_state(lambda found: answered(found) and len(gateway.stores()) >= 4, "it is tried again")
    assert confirmed(stuck) == 0
    assert archive.count() == 0

    gateway.interfere = lambda _: None
    if any(each["jobs"]["failed"] for each in [ours.summary()]):
        assert ours.pacs.run("pacs", "replay").returncode == 0
    ours.wait_idle(2)
    oracle.assert_answered_exactly_once(archive, sent)


def test_x10_a_hanging_pacs_holds_up_nobody_else(
    start_orthanc: StartOrthanc, archive: Orthanc, hospital: MakeHospital
) -> None:
    hanging = start_orthanc("hanging", aet="HANGING")
    ours = hospital(destinations=[stow_destination(archive), stow_destination(hanging, "hanging", timeout_s=2)]).start()
    hanging.pause()
    sent = send(ours, 6)

    ours.wait_state(lambda found: confirmed(found) >= 12 and found["deliveries"]["archive"]["waiting"] == 0, "served")
    oracle.assert_answered_exactly_once(archive, sent)

    hanging.resume()
    ours.wait_idle(6)
    assert {each.sop_instance_uid: each.dataset_sha256 for each in oracle.results(hanging)} == {
        each.sop_instance_uid: each.dataset_sha256 for each in oracle.results(archive)
    }


def test_x11_of_a_batch_only_what_failed_is_sent_again(
    archive: Orthanc, gateway: Proxy, hospital: MakeHospital
) -> None:
    interfered = threading.Event()

    def drop_the_last(request: Request) -> Answer | None:
        if not is_store(request) or interfered.is_set():
            return None
        interfered.set()
        boundary = request.headers["Content-Type"].partition("boundary=")[2].partition(";")[0].strip('"').encode()
        parts = request.body.split(b"--" + boundary)
        kept = (b"--" + boundary).join([*parts[:2], parts[-1]])
        taken = gateway.pass_on(Request(request.method, request.path, request.headers, kept))
        assert taken.status == 200
        return Answer(202, taken.body)

    gateway.interfere = drop_the_last
    ours = hospital(destinations=[through(gateway)]).start()
    sent = send(ours, 1)
    ours.wait_idle(1)

    found = oracle.assert_answered_exactly_once(archive, sent)
    first, *later = [request.body.count(b"application/dicom\r\n") for request in gateway.stores()]
    assert first == len(found)
    assert sum(later) == first - 1


def test_x15_a_pacs_that_dies_of_a_request_is_survived(
    archive: Orthanc, gateway: Proxy, hospital: MakeHospital
) -> None:
    deaths: list[float] = []
    one_at_a_time, is_up = threading.Lock(), threading.Event()
    is_up.set()

    def die(request: Request) -> Answer | None:
        with one_at_a_time:
            if is_store(request) and len(deaths) < 3 and is_up.is_set():
                is_up.clear()  # until it answers again: it is not killed while it is being started
                archive.kill()
                deaths.append(time.monotonic())
                return Answer(502)
        return None

    gateway.interfere = die
    ours = hospital(destinations=[through(gateway)]).start()
    sent = send(ours, 3)

    for number in range(3):
        ours.wait_state(lambda _, number=number: len(deaths) > number, "it dies")
        archive.start()
        is_up.set()
    ours.wait_idle(3)

    oracle.assert_answered_exactly_once(archive, sent)


def test_x18_destinations_are_independent(
    start_orthanc: StartOrthanc, archive: Orthanc, hospital: MakeHospital
) -> None:
    second = start_orthanc("second", aet="SECOND")
    ours = hospital(destinations=[stow_destination(archive), store_destination(second, "second")]).start()
    second.kill()
    sent = send(ours, 4)

    halfway = ours.wait_state(lambda found: confirmed(found) >= 8, "the first has everything")
    oracle.assert_answered_exactly_once(archive, sent)
    assert confirmed(halfway, "second") == 0

    second.start()
    ours.wait_idle(4)
    assert {each.sop_instance_uid: each.dataset_sha256 for each in oracle.results(second)} == {
        each.sop_instance_uid: each.dataset_sha256 for each in oracle.results(archive)
    }
