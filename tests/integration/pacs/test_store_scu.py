"""Results go out by C-STORE: what an archive takes, refuses, or leaves without an answer."""

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pynetdicom import AE, evt

from app.domain.errors import DestinationError
from app.pacs.association import Peer
from app.pacs.find_scu import FindScu
from app.pacs.object_content import dataset_of
from app.pacs.store_scu import StoreScu
from app.pacs.tls import client_context
from app.services.hospital.records import SendOutcome
from tests.integration.pacs import films
from tests.integration.pacs.archives import dcmtk, listener
from tests.integration.pacs.certificates import Authority
from tests.integration.pacs.network import resize_disk
from tests.integration.pacs.orthanc import Orthanc
from tests.integration.pacs.results import as_result

pytestmark = pytest.mark.integration

OBJECTS = [as_result(films.film(number)) for number in range(3)]
UIDS = [each.sop_instance_uid for each in OBJECTS]
TAKEN = dict.fromkeys(UIDS, SendOutcome(True))


def peer(port: int, title: str = "STORESCP", **more: Any) -> Peer:
    return Peer("127.0.0.1", port, title, **({"timeout_s": 5.0} | more))


def test_what_is_sent_is_found_again_and_nothing_else_is(pacs: Orthanc) -> None:
    archive = Peer(pacs.host, pacs.dicom_port, pacs.aet)

    sent = StoreScu(archive).send(OBJECTS[:2])

    assert sent == dict.fromkeys(UIDS[:2], SendOutcome(True))
    assert FindScu(archive).held(OBJECTS) == set(UIDS[:2])


def test_an_object_sent_twice_is_taken_twice_and_there_once(pacs: Orthanc) -> None:
    archive = StoreScu(Peer(pacs.host, pacs.dicom_port, pacs.aet))

    assert archive.send(OBJECTS[:1]) == archive.send(OBJECTS[:1]) == {UIDS[0]: SendOutcome(True)}

    assert pacs.count() == 1


def test_an_object_arrives_byte_for_byte(tmp_path: Path) -> None:
    with dcmtk("storescp", "+B", "+xa", folder=tmp_path) as port:  # +B: written as it came
        assert StoreScu(peer(port)).send(OBJECTS) == TAKEN

    kept = {dcmread(path).SOPInstanceUID: path.read_bytes() for path in tmp_path.iterdir() if path.suffix != ".log"}
    assert {uid: dataset_of(content) for uid, content in kept.items()} == {
        each.sop_instance_uid: dataset_of(each.content) for each in OBJECTS
    }


def test_an_archive_that_takes_implicit_vr_only_is_served(tmp_path: Path) -> None:
    with dcmtk("storescp", "+xi", folder=tmp_path) as port:
        assert StoreScu(peer(port)).send(OBJECTS) == TAKEN

    kept = {dcmread(path).SOPInstanceUID: dcmread(path) for path in tmp_path.iterdir() if path.suffix != ".log"}
    for each in OBJECTS:
        assert kept[each.sop_instance_uid].is_implicit_VR
        assert kept[each.sop_instance_uid].PixelData == dcmread(io.BytesIO(each.content)).PixelData


def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    with dcmtk("storescp", folder=tmp_path) as port:
        pass

    with pytest.raises(DestinationError) as raised:
        StoreScu(peer(port)).send(OBJECTS)

    assert raised.value.reason == "unreachable"


def test_a_name_without_an_address_is_unreachable() -> None:
    with pytest.raises(DestinationError) as raised:
        StoreScu(Peer("nowhere.invalid", 104, "ARCHIVE")).send(OBJECTS)

    assert raised.value.reason == "unreachable"


def test_a_rejected_association_says_why(start_orthanc: Callable[..., Orthanc]) -> None:
    pacs = start_orthanc(settings={"DicomCheckCalledAet": True})

    with pytest.raises(DestinationError) as raised:
        StoreScu(Peer(pacs.host, pacs.dicom_port, "SOMEBODYELSE")).send(OBJECTS)

    assert raised.value.reason == "rejected"
    assert "called AE title not recognised" in raised.value.detail


def test_an_aborted_association_is_not_taken_for_sent(tmp_path: Path) -> None:
    with dcmtk("storescp", "--abort-after", folder=tmp_path) as port, pytest.raises(DestinationError) as raised:
        StoreScu(peer(port)).send(OBJECTS)

    assert raised.value.reason == "connection_lost"


def silent(connection: Any) -> None:
    """Take the connection, and nothing else."""
    time.sleep(60)


def test_a_peer_that_never_answers_is_given_up_in_time() -> None:
    started = time.monotonic()

    with listener(silent) as port, pytest.raises(DestinationError) as raised:
        StoreScu(peer(port, timeout_s=1.0)).send(OBJECTS)

    assert raised.value.reason == "association_aborted"
    assert time.monotonic() - started < 10


def test_an_archive_that_hangs_in_the_middle_is_given_up_in_time(pacs: Orthanc) -> None:
    large = as_result(films.film(4, height=3000, width=3000))
    archive = StoreScu(Peer(pacs.host, pacs.dicom_port, pacs.aet, timeout_s=2.0))
    archive.send(OBJECTS[:1])

    pacs.pause()
    started = time.monotonic()
    try:
        with pytest.raises(DestinationError) as raised:
            archive.send([large])
    finally:
        pacs.resume()

    assert raised.value.reason in {"timeout", "association_aborted"}
    assert time.monotonic() - started < 15


@pytest.fixture
def answering() -> Iterator[Any]:
    """An archive whose statuses a test chooses, by the number of the object."""
    chosen: dict[int, Any] = {}
    ae = AE("ANSWERS")
    for context in {each.sop_class_uid for each in OBJECTS}:
        ae.add_supported_context(context)

    def on_store(event: evt.Event) -> Any:
        status = chosen.get(int(event.request.MessageID or 0), 0)
        if status == "reads nothing":
            time.sleep(60)
        return status() if callable(status) else status

    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, on_store)])
    assert server is not None
    assert server.socket is not None
    chosen[0] = server.socket.getsockname()[1]
    yield chosen
    server.shutdown()


def commented(status: int, comment: str) -> Dataset:
    made = Dataset()
    made.Status, made.ErrorComment = status, comment
    return made


def test_every_object_has_its_own_answer(answering: Any) -> None:
    answering |= {1: 0xB007, 2: lambda: commented(0xA700, "full, says Doe^John"), 3: 0xC123}

    found = StoreScu(peer(answering[0])).send(OBJECTS)

    assert found[UIDS[0]] == SendOutcome(True, "warning_b007")
    assert (found[UIDS[1]].accepted, found[UIDS[1]].permanent, found[UIDS[1]].code) == (False, False, "failure_a700")
    assert (found[UIDS[2]].accepted, found[UIDS[2]].permanent, found[UIDS[2]].code) == (False, True, "failure_c123")
    assert "Doe" not in str(found)


def test_what_was_answered_before_an_archive_hung_is_kept(answering: Any) -> None:
    answering |= {2: "reads nothing"}

    found = StoreScu(peer(answering[0], timeout_s=1.0)).send(OBJECTS)

    assert found[UIDS[0]].accepted
    assert [found[uid].code for uid in UIDS[1:]] == ["timeout", "timeout"]


def test_a_sop_class_that_nobody_takes_keeps_no_other_back(answering: Any, tmp_path: Path) -> None:
    strange = as_result(films.film(5, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.34"))

    found = StoreScu(peer(answering[0])).send([strange, OBJECTS[0]])

    assert (found[strange.sop_instance_uid].code, found[strange.sop_instance_uid].permanent) == (
        "no_presentation_context",
        True,
    )
    assert found[UIDS[0]].accepted


@pytest.mark.parametrize("trouble", ["none", "expired", "unknown authority", "no certificate of ours"])
def test_tls_on_both_sides(trouble: str, tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    server = ours.issue("archive", expired=trouble == "expired")
    client = ours.issue("discern")
    trusted = (theirs if trouble == "unknown authority" else ours).certificate
    shown = (None, None) if trouble == "no certificate of ours" else (client.certificate, client.key)
    context = client_context(trusted, *shown)
    options = ["+tls", str(server.key), str(server.certificate), "+cf", str(ours.certificate), "-rc"]

    with dcmtk("storescp", *options, folder=tmp_path) as port:
        scu = StoreScu(peer(port, tls=context, timeout_s=3.0))
        if trouble == "none":
            assert scu.send(OBJECTS) == TAKEN
            return
        with pytest.raises(DestinationError) as raised:
            scu.send(OBJECTS)

    assert raised.value.reason in {"tls", "association_aborted"}
    if trouble == "expired":
        assert "expired" in raised.value.detail


def test_a_full_pacs_has_taken_nothing_and_recovers(
    start_orthanc: Callable[..., Orthanc], small_disk: Callable[..., Path], tmp_path: Path
) -> None:
    disk = small_disk(tmp_path / "small", 2 << 20)
    pacs = start_orthanc("full", storage=disk)
    archive = Peer(pacs.host, pacs.dicom_port, pacs.aet, timeout_s=10)
    large = [as_result(films.film(number, series="large", height=900, width=900)) for number in range(4)]

    outcomes = StoreScu(archive).send(large)

    accepted = {uid for uid, outcome in outcomes.items() if outcome.accepted}
    assert accepted <= FindScu(archive).held(large)
    assert len(accepted) < len(large)
    assert not any(outcome.permanent for outcome in outcomes.values())
    resize_disk(disk, 64 << 20)
    again = StoreScu(archive).send(large)
    assert all(outcome.accepted for outcome in again.values())
    assert FindScu(archive).held(large) == {each.sop_instance_uid for each in large}
