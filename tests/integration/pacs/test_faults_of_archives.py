"""Archives that fail while the whole service works: what they did not really take is sent again, and only that."""

import random
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.pacs import films, oracle
from tests.integration.pacs.hospital import Hospital, orthanc_source, store_destination, stow_destination
from tests.integration.pacs.network import Network
from tests.integration.pacs.orthanc import Orthanc, wait_until
from tests.integration.pacs.ports import free_port
from tests.integration.pacs.proxy import Answer, Request, proxy

pytestmark = [pytest.mark.integration, pytest.mark.slow]

FILMS = [films.film(number, series="faults") for number in range(6)]
LOCK = threading.Lock()
WANTED = {each.sop_instance_uid: "*" for each in FILMS}


@pytest.mark.parametrize("answer", [Answer(200, b"{}"), Answer(507), Answer(400), Answer(413)], ids=lambda a: a.status)
def test_x7_what_a_full_pacs_says_is_no_delivery_and_is_an_alert_until_it_recovers(
    answer: Answer, pacs: Orthanc, hospital: Callable[..., Hospital]
) -> None:
    with proxy(pacs.url) as gateway:
        gateway.interfere = lambda request: answer if request.method == "POST" else None
        discern = hospital(destinations=[stow_destination(pacs, url=f"{gateway.url}/dicom-web")]).start()
        discern.send(FILMS[:2])

        found = discern.wait_state(lambda summary: "destination_failing" in summary["alerts"], "an alert")
        assert found["deliveries"]["archive"]["confirmed"] == 0
        assert not found["idle"]
        gateway.interfere = lambda _: None
        discern.wait_idle(2)

    oracle.assert_answered_exactly_once(pacs, {each.sop_instance_uid: "*" for each in FILMS[:2]})


def test_x7_what_was_acknowledged_and_is_not_there_is_sent_again(
    pacs: Orthanc, hospital: Callable[..., Hospital]
) -> None:
    lies: list[Request] = []

    def lie_twice(request: Request) -> Answer | None:
        """Say that everything was stored, and throw it away."""
        if request.method != "POST" or len(lies) >= 2:
            return None
        lies.append(request)
        uids = dict.fromkeys(re.findall(rb"\x08\x00\x18\x00UI..(2\.25\.[0-9]+)", request.body, re.DOTALL))
        items = ",".join(f'{{"00081155":{{"vr":"UI","Value":["{uid.decode()}"]}}}}' for uid in uids)
        return Answer(200, f'{{"00081199":{{"vr":"SQ","Value":[{items}]}}}}'.encode())

    with proxy(pacs.url) as gateway:
        gateway.interfere = lie_twice
        discern = hospital(destinations=[stow_destination(pacs, url=f"{gateway.url}/dicom-web")]).start(web=True)
        discern.send(FILMS[:1])
        discern.wait_idle(1)

    assert len(lies) == 2
    oracle.assert_answered_exactly_once(pacs, {FILMS[0].sop_instance_uid: "*"})


def test_x11_only_the_part_that_failed_is_sent_again(pacs: Orthanc, hospital: Callable[..., Hospital]) -> None:
    cut: list[int] = []

    def half(request: Request) -> Answer | None:
        """Pass one object of the first request on, and say that the others failed."""
        if request.method != "POST" or cut:
            return None
        boundary = request.headers["Content-Type"].rpartition("boundary=")[2].encode()
        parts = request.body.split(b"--" + boundary)[1:-1]
        cut.append(len(parts))
        one = b"--" + boundary + parts[0] + b"--" + boundary + b"--\r\n"
        answer = gateway.pass_on(Request("POST", request.path, request.headers, one))
        failed = ",".join(
            f'{{"00081155":{{"vr":"UI","Value":["{uid.decode()}"]}},"00081197":{{"vr":"US","Value":[42752]}}}}'
            for part in parts[1:]
            for uid in re.findall(rb"\x08\x00\x18\x00UI..(2\.25\.[0-9]+)", part, re.DOTALL)[:1]
        )
        document = answer.body.decode().strip().removesuffix("}") + f',"00081198":{{"vr":"SQ","Value":[{failed}]}}}}'
        return Answer(202, document.encode())

    with proxy(pacs.url) as gateway:
        gateway.interfere = half
        discern = hospital(destinations=[stow_destination(pacs, url=f"{gateway.url}/dicom-web")]).start()
        discern.send(FILMS[:1])
        discern.wait_idle(1)

        sizes = [request.body.count(b"\0DICM") for request in gateway.stores()]

    assert sizes[0] == cut[0] > 1
    assert sum(sizes[1:]) == cut[0] - 1
    oracle.assert_answered_exactly_once(pacs, {FILMS[0].sop_instance_uid: "*"})


def test_x10_a_hanging_pacs_keeps_no_other_destination_waiting(
    start_orthanc: Callable[..., Orthanc], hospital: Callable[..., Hospital]
) -> None:
    hanging, lively = start_orthanc("hanging"), start_orthanc("lively")
    discern = hospital(
        destinations=[
            stow_destination(hanging, "stow", timeout_s=2),
            store_destination(hanging, "c-store", timeout_s=2),
            stow_destination(lively, "lively"),
        ]
    ).start()
    hanging.pause()
    try:
        discern.send(FILMS)
        wait_until(lambda: len(oracle.by_source(oracle.results(lively))) == len(FILMS), "the lively one has all", 60)
        discern.wait_state(lambda summary: summary["destinations"].keys() == {"stow", "c-store"}, "both are named", 60)
    finally:
        hanging.resume()
    discern.wait_idle(len(FILMS))

    for archive in (hanging, lively):
        oracle.assert_answered_exactly_once(archive, WANTED)


def test_x15_a_pacs_that_dies_of_a_request_is_read_on_from_when_it_is_back(
    start_orthanc: Callable[..., Orthanc], hospital: Callable[..., Hospital]
) -> None:
    source, archive = start_orthanc("source"), start_orthanc("archive")
    identifiers = [source.store(each.content) for each in FILMS]
    deaths: list[str] = []

    def die(request: Request) -> Answer | None:
        """Fetching the first film kills the PACS, which somebody starts again."""
        if request.path.endswith((f"{identifiers[0]}/file", FILMS[0].sop_instance_uid)) and len(deaths) < 6:
            deaths.append(request.path)
            source.kill()
            return Answer(200, b"x" * 5000, cut=True)
        return None

    def others_are_answered() -> bool:
        if source.process is None:  # started again from here, for it ends with the thread that starts it
            source.start()
        return len(oracle.by_source(oracle.results(archive))) == len(FILMS) - 1

    with proxy(source.url) as gateway:
        gateway.interfere = die
        settings = orthanc_source(
            source, url=gateway.url, dicomweb_url=f"{gateway.url}/dicom-web", start="beginning", sweep_s=3600
        )
        discern = hospital(destinations=[stow_destination(archive)], sources=[settings]).start()
        wait_until(others_are_answered, "all but the deadly", 60)

    assert 3 <= len(deaths) <= 5
    assert "1 film cannot be fetched" in discern.summary()["sources"]["source-changes"]
    assert discern.summary()["jobs"]["succeeded"] == len(FILMS) - 1


def test_kills_at_random_between_a_polled_pacs_and_one_that_commits(
    start_orthanc: Callable[..., Orthanc], net: Network, hospital: Callable[..., Hospital], randomness: random.Random
) -> None:
    port = free_port(net.here)
    archive = start_orthanc("archive", modalities={"discern": ("DISCERN", net.here, port)})
    source = start_orthanc("source")
    discern = hospital(
        destinations=[store_destination(archive, confirm="storage-commitment", commitment_s=15)],
        sources=[orthanc_source(source, start="beginning")],
        settings={"PACS__PORT": str(port)},
    )
    discern.dicom = (net.here, port)
    discern.pacs.listens_at = [discern.dicom]
    discern.start()
    sent = [films.film(number, series="kills") for number in range(40)]
    feeding = threading.Thread(target=feed, args=(source, sent, randomness), daemon=True)
    feeding.start()

    victims: list[Any] = [discern.pacs, discern.pacs, archive, source]
    for _ in range(8):
        threading.Event().wait(randomness.uniform(0.5, 4.0))
        victim = randomness.choice(victims)
        with LOCK:  # nobody feeds a PACS that is being started
            victim.kill()
            victim.start()
    feeding.join(120)
    discern.wait_idle(len(sent), 240)

    oracle.assert_answered_exactly_once(archive, {each.sop_instance_uid: "*" for each in sent})


def feed(source: Orthanc, sent: list[films.Film], randomness: random.Random) -> None:
    """Store films one after another, each until it is there."""
    for each in sent:
        with LOCK:
            source.store(each.content)
        threading.Event().wait(randomness.uniform(0.05, 0.6))
