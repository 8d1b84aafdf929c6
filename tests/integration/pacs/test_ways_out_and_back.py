"""The whole service between archives: films fetched by changes or by asking, results sent by every way out."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.pacs import films, oracle
from tests.integration.pacs.hospital import Hospital, orthanc_source, store_destination, stow_destination
from tests.integration.pacs.network import Network
from tests.integration.pacs.orthanc import PASSWORD, USER, Orthanc, wait_until
from tests.integration.pacs.ports import free_port
from tests.integration.pacs.proxy import Answer, Proxy, proxy

pytestmark = [pytest.mark.integration, pytest.mark.slow]

FILMS = [films.film(number, series="whole") for number in range(12)]
WANTED = {each.sop_instance_uid: "*" for each in FILMS}


def test_f1_a_pacs_that_is_polled_gets_its_results_and_no_loop_begins(
    pacs: Orthanc, hospital: Callable[..., Hospital]
) -> None:
    with proxy(pacs.url) as gateway:
        source = orthanc_source(
            pacs, url=gateway.url, dicomweb_url=f"{gateway.url}/dicom-web", modalities=list[str](), start="beginning"
        )
        discern = hospital(destinations=[stow_destination(pacs)], sources=[source]).start()
        for each in FILMS:
            pacs.store(each.content)

        discern.wait_idle(len(FILMS))
        objects, asked = pacs.count(), sweeps(gateway)
        wait_until(lambda: sweeps(gateway) >= asked + 3, "more sweeps", 30)

    assert pacs.count() == objects
    assert sum(discern.summary()["jobs"].values()) == len(FILMS)
    assert discern.summary()["arrivals"].get("own_result", 0) == 0  # not even fetched
    oracle.assert_answered_exactly_once(pacs, WANTED, WANTED)


def sweeps(gateway: Proxy) -> int:
    return sum("/dicom-web/instances?" in each.path for each in gateway.seen)


def test_f9_results_are_sent_by_c_store_and_confirmed_by_storage_commitment(
    start_orthanc: Callable[..., Orthanc], net: Network, hospital: Callable[..., Hospital]
) -> None:
    port = free_port(net.here)
    archive = start_orthanc("archive", modalities={"discern": ("DISCERN", net.here, port)})
    discern = hospital(
        destinations=[store_destination(archive, confirm="storage-commitment")], settings={"PACS__PORT": str(port)}
    )
    discern.dicom = (net.here, port)
    discern.receiver.listens_at = [discern.dicom]
    discern.start(split=True)  # the report comes to the listener, and a worker in another process waits for it

    discern.send(FILMS)
    discern.wait_idle(len(FILMS))

    oracle.assert_answered_exactly_once(archive, WANTED)


@pytest.mark.parametrize("confirm", ["c-find", "qido", "content", "none"])
def test_every_other_way_to_confirm(confirm: str, pacs: Orthanc, hospital: Callable[..., Hospital]) -> None:
    more: dict[str, Any] = {"confirm": confirm}
    if confirm in {"qido", "content"}:
        more |= {"query_url": pacs.dicom_web_url, "user": USER, "password": PASSWORD}
    discern = hospital(destinations=[store_destination(pacs, **more)]).start()

    discern.send(FILMS[:3])
    discern.wait_idle(3)

    oracle.assert_answered_exactly_once(pacs, {each.sop_instance_uid: "*" for each in FILMS[:3]})


def test_x3_what_came_while_we_were_down_is_found(pacs: Orthanc, hospital: Callable[..., Hospital]) -> None:
    discern = hospital(destinations=[stow_destination(pacs)], sources=[orthanc_source(pacs)]).start()
    for each in FILMS[:4]:
        pacs.store(each.content)
    discern.wait_idle(4)
    discern.pacs.kill()
    for each in FILMS[4:]:
        pacs.store(each.content)
    pacs.kill()
    pacs.start()

    discern.start()
    discern.wait_idle(len(FILMS))

    oracle.assert_answered_exactly_once(pacs, WANTED, WANTED)


def test_x12_a_rebuilt_pacs_is_read_anew_and_nothing_is_analysed_twice(
    start_orthanc: Callable[..., Orthanc], hospital: Callable[..., Hospital]
) -> None:
    source, archive = start_orthanc("source"), start_orthanc("archive")
    discern = hospital(destinations=[stow_destination(archive)], sources=[orthanc_source(source)]).start()
    for each in FILMS[:8]:
        source.store(each.content)
    discern.wait_idle(8)
    source.kill()
    source.rebuild()
    source.start()
    for each in (*FILMS[8:], *FILMS[:8]):
        source.store(each.content)

    discern.wait_idle(len(FILMS))

    oracle.assert_answered_exactly_once(archive, WANTED)


def test_a_plain_dicomweb_archive_is_asked(pacs: Orthanc, hospital: Callable[..., Hospital]) -> None:
    source = {
        "name": "vna", "kind": "dicomweb", "url": pacs.dicom_web_url, "user": USER, "password": PASSWORD,
        "sweep_s": 1, "sweep_days": 3650,
    }  # fmt: skip
    discern = hospital(destinations=[stow_destination(pacs)], sources=[source]).start()
    for each in FILMS[:5]:
        pacs.store(each.content)

    discern.wait_idle(5)

    wanted = {each.sop_instance_uid: "*" for each in FILMS[:5]}
    oracle.assert_answered_exactly_once(pacs, wanted, wanted)


def test_x16_refused_credentials_are_visible_and_nothing_is_lost(
    pacs: Orthanc, hospital: Callable[..., Hospital]
) -> None:
    with proxy(pacs.url) as gateway:
        gateway.interfere = lambda _: Answer(401)
        source = orthanc_source(pacs, url=gateway.url, dicomweb_url=f"{gateway.url}/dicom-web", start="beginning")
        archive = stow_destination(pacs, url=f"{gateway.url}/dicom-web")
        discern = hospital(destinations=[archive], sources=[source]).start()
        for each in FILMS[:2]:
            pacs.store(each.content)
        discern.send(FILMS[2:4])

        found = discern.wait_state(
            lambda summary: {"source_failing", "destination_failing"} <= set(summary["alerts"]), "both alerts"
        )
        assert "answered 401" in found["destinations"]["archive"]
        assert "answered 401" in found["sources"]["source-changes"]
        gateway.interfere = lambda _: None
        discern.wait_idle(4)
        discern.wait_state(lambda summary: not summary["alerts"], "no alert any more")

    wanted = {each.sop_instance_uid: "*" for each in FILMS[:4]}
    oracle.assert_answered_exactly_once(pacs, wanted, wanted)
