"""What the tests rely on of Orthanc, seen on the Orthanc that is here."""

import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from tests.integration.pacs.network import Network, resize_disk
from tests.integration.pacs.orthanc import PASSWORD, USER, Orthanc, wait_until
from tests.phantoms import chest_film, dicom_bytes, dicom_dataset

pytestmark = pytest.mark.integration


def film(seed: int = 0, height: int = 64, width: int = 56) -> bytes:
    return dicom_bytes(dicom_dataset(chest_film(height, width, bits=12, seed=seed), bits=12))


def stow(orthanc: Orthanc, *contents: bytes) -> httpx2.Response:
    body = b"".join(b"--cut\r\nContent-Type: application/dicom\r\n\r\n" + each + b"\r\n" for each in contents)
    return orthanc.rest.post(
        "/dicom-web/studies",
        content=body + b"--cut--\r\n",
        headers={
            "Content-Type": 'multipart/related; type="application/dicom"; boundary=cut',
            "Accept": "application/dicom+json",
        },
    )


def named(answer: httpx2.Response) -> int:
    """How many objects an answer to STOW-RS says anything about: Referenced or Failed SOP Sequence."""
    return sum(len(answer.json().get(tag, {}).get("Value", ())) for tag in ("00081199", "00081198"))


def test_it_keeps_what_it_was_given_through_a_kill(pacs: Orthanc) -> None:
    contents = {film(seed) for seed in range(3)}
    identifiers = [pacs.store(each) for each in contents]

    pacs.kill()
    assert not pacs.answers()
    pacs.start()

    assert {pacs.file(each) for each in identifiers} == contents
    assert pacs.count() == 3


def test_it_is_reached_from_this_machine_only(pacs: Orthanc, net: Network) -> None:
    assert httpx2.get(f"{pacs.url}/system", trust_env=False).status_code == 401
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", pacs.http_port), timeout=1)
    routes = subprocess.run(["ip", "-n", net.name, "route", "show"], check=True, capture_output=True, text=True).stdout
    assert "default" not in routes


def test_two_of_them_send_to_each_other(start_orthanc: Callable[..., Orthanc], net: Network) -> None:
    archive = start_orthanc("archive", aet="ARCHIVE")
    source = start_orthanc("source", modalities={"archive": ("ARCHIVE", net.there, archive.dicom_port)})

    answer = source.send([source.store(film())], "archive")

    assert answer["FailedInstancesCount"] == 0
    assert set(archive.instances()) == set(source.instances())


def test_it_reaches_a_receiver_of_ours(start_orthanc: Callable[..., Orthanc], net: Network) -> None:
    with socket.create_server((net.here, 0)) as listener:
        source = start_orthanc(modalities={"us": ("DISCERN", net.here, listener.getsockname()[1])})
        listener.settimeout(20)
        job = source.post("/modalities/us/store", {"Resources": [source.store(film())], "Synchronous": False})
        connection, (address, _) = listener.accept()
        connection.close()

    assert address == net.there
    assert job["ID"]


@pytest.mark.parametrize("plugin", ["libOrthancGdcm.so", "libOrthancDicomWeb.so"])
def test_plugins_can_be_left_out(start_orthanc: Callable[..., Orthanc], plugin: str) -> None:
    only = start_orthanc(plugins=[plugin])

    answers = only.rest.get("/dicom-web/studies").status_code

    assert answers == (200 if "DicomWeb" in plugin else 404)


def test_a_full_one_answers_200_without_saying_what_it_stored(
    start_orthanc: Callable[..., Orthanc], small_disk: Callable[[Path, int], Path], tmp_path: Path
) -> None:
    disk = small_disk(tmp_path / "disk", 3 << 20)
    full = start_orthanc(storage=disk)
    contents = [film(seed, 1024, 1024) for seed in range(3)]

    answers = [stow(full, each) for each in contents]

    assert [each.status_code for each in answers] == [200, 200, 200]
    assert named(answers[0]) == 1
    assert named(answers[-1]) == 0
    assert full.count() < 3

    resize_disk(disk, 64 << 20)
    assert named(stow(full, contents[-1])) == 1


def test_a_full_one_refuses_c_store_as_out_of_resources(
    start_orthanc: Callable[..., Orthanc], small_disk: Callable[[Path, int], Path], tmp_path: Path
) -> None:
    full = start_orthanc(storage=small_disk(tmp_path / "disk", 3 << 20))
    paths = []
    for seed in range(3):
        paths.append(tmp_path / f"{seed}.dcm")
        paths[-1].write_bytes(film(seed, 1024, 1024))

    sent = subprocess.run(
        ["storescu", "-v", "-R", "-aec", full.aet, full.host, str(full.dicom_port), *map(str, paths)],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert "Refused: OutOfResources" in sent.stdout + sent.stderr


def test_a_hanging_one_takes_connections_and_says_nothing(pacs: Orthanc) -> None:
    pacs.pause()

    with pytest.raises(httpx2.ReadTimeout):
        httpx2.get(f"{pacs.url}/system", auth=(USER, PASSWORD), timeout=0.5, trust_env=False)
    pacs.resume()
    wait_until(pacs.answers, "it answers again", 10)


def test_a_rebuilt_one_begins_its_changes_anew(pacs: Orthanc) -> None:
    for seed in range(3):
        pacs.store(film(seed))
    before = pacs.get("/changes?last")["Last"]

    pacs.kill()
    pacs.rebuild()
    pacs.start()

    assert pacs.get("/changes?last")["Last"] < before
    assert pacs.count() == 0
