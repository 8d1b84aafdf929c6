"""Recent films of a DICOMweb archive are found by asking for them, whatever the archive makes of the question."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from app.domain.errors import StorageFullError
from app.pacs.dicomweb_client import DicomWebClient
from app.pacs.http_access import Access
from app.pacs.pulled_film import FilmPull
from app.pacs.query_sweep import QuerySweep, Window
from app.services.hospital.records import Arrival, Origin
from tests.integration.pacs import films
from tests.integration.pacs.films import Film
from tests.integration.pacs.orthanc import PASSWORD, USER, Orthanc
from tests.integration.pacs.proxy import Answer, Proxy, Request, proxy
from tests.integration.pacs.taking import Taking, failing

pytestmark = pytest.mark.integration

CR_AND_DX = ("CR", "DX")


class Timer:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def recent(number: int, date: str = "20261125", **elements: str) -> Film:
    return films.film(number, series="sweep", StudyDate=date, **elements)


@pytest.fixture
def taking() -> Taking:
    return Taking()


@pytest.fixture
def gateway(pacs: Orthanc) -> Iterator[Proxy]:
    with proxy(pacs.url) as made:
        yield made


@pytest.fixture
def sweep(gateway: Proxy, taking: Taking) -> Iterator[Callable[..., QuerySweep]]:
    clients: list[DicomWebClient] = []

    def make(timer: Timer | None = None, days: int = 2, modalities: tuple[str, ...] = CR_AND_DX) -> QuerySweep:
        clients.append(DicomWebClient(Access(f"{gateway.url}/dicom-web", USER, PASSWORD, timeout_s=5)))
        pull = FilmPull(taking, Arrival(Origin.DICOMWEB, "source"), taking.note)
        window = Window(modalities, days)
        return QuerySweep("source", clients[-1], pull, taking, taking.knows, taking, window, timer or Timer())

    yield make
    for each in clients:
        each.close()


def test_what_is_recent_is_taken_once_and_byte_for_byte(
    pacs: Orthanc, taking: Taking, sweep: Callable[..., QuerySweep]
) -> None:
    wanted = [recent(number) for number in range(8)] + [recent(8, "20261122"), recent(9, "20261126")]
    unwanted = [recent(10, "20261101"), recent(11, "20270101"), recent(12, Modality="CT")]
    for each in (*wanted, *unwanted):
        pacs.store(each.content)

    reports = [sweep().poll(), sweep().poll()]

    assert [(each.taken, each.known) for each in reports] == [(10, 0), (0, 10)]
    assert dict(taking.taken) == {each.sop_instance_uid: each.content for each in wanted}


def test_a_long_absence_widens_the_window(pacs: Orthanc, taking: Taking, sweep: Callable[..., QuerySweep]) -> None:
    sweep().poll()
    pacs.store(recent(0, "20261130").content)
    taking.today += timedelta(days=20)

    assert sweep().poll().taken == 1
    assert taking.kept == {"sweep:source": "2026-12-15"}


def test_a_sweep_that_failed_is_no_whole_one(pacs: Orthanc, taking: Taking, sweep: Callable[..., QuerySweep]) -> None:
    pacs.store(recent(0).content)
    taking.interfere = failing(StorageFullError("no room"))
    assert sweep().poll().failures == ("no room",)
    assert taking.kept == {}
    taking.interfere = lambda _: None

    assert sweep().poll().taken == 1


def test_pages_are_read_to_their_end_also_where_an_archive_gives_fewer_than_asked_for(
    pacs: Orthanc, gateway: Proxy, taking: Taking, sweep: Callable[..., QuerySweep]
) -> None:
    for number in range(9):
        pacs.store(recent(number).content)

    def three_at_a_time(request: Request) -> Answer | None:
        if "limit=500" not in request.path:
            return None
        return gateway.pass_on(
            Request(request.method, request.path.replace("limit=500", "limit=3"), request.headers, b"")
        )

    gateway.interfere = three_at_a_time

    assert sweep().poll().taken == 9


def test_an_archive_that_ignores_offsets_is_not_asked_for_ever(
    pacs: Orthanc, gateway: Proxy, taking: Taking, sweep: Callable[..., QuerySweep]
) -> None:
    for number in range(4):
        pacs.store(recent(number).content)

    def first_page_always(request: Request) -> Answer | None:
        head, found, tail = request.path.partition("offset=")
        if not found:
            return None
        _, _, more = tail.partition("&")
        return gateway.pass_on(Request(request.method, f"{head}offset=0&{more}", request.headers, b""))

    gateway.interfere = first_page_always

    assert sweep().poll().taken == 4
    assert len(gateway.seen) < 20


def test_an_archive_that_knows_no_such_query_is_asked_study_by_study(
    pacs: Orthanc, gateway: Proxy, taking: Taking, sweep: Callable[..., QuerySweep]
) -> None:
    wanted = [recent(number) for number in range(6)]
    for each in (*wanted, recent(6, Modality="CT"), recent(7, "20261001")):
        pacs.store(each.content)
    gateway.interfere = lambda request: Answer(400) if "/dicom-web/instances?" in request.path else None

    assert sweep().poll().taken == 6
    assert dict(taking.taken) == {each.sop_instance_uid: each.content for each in wanted}


def test_our_own_results_are_not_fetched_where_every_modality_is_wanted(
    pacs: Orthanc, taking: Taking, sweep: Callable[..., QuerySweep]
) -> None:
    pacs.store(recent(0, Manufacturer="Discern").content)
    pacs.store(recent(1).content)

    report = sweep(modalities=()).poll()

    assert (report.taken, report.passed_over) == (1, 1)


def test_a_film_that_cannot_be_fetched_waits_longer_each_time_and_keeps_no_other_back(
    pacs: Orthanc, gateway: Proxy, taking: Taking, sweep: Callable[..., QuerySweep]
) -> None:
    broken = recent(0)
    for number in range(3):
        pacs.store(recent(number).content)
    gateway.interfere = lambda request: Answer(500) if request.path.endswith(broken.sop_instance_uid) else None
    timer = Timer()
    poller = sweep(timer)

    for _ in range(40):
        poller.poll()
        timer.s += 60

    fetched = [each for each in gateway.seen if each.path.endswith(broken.sop_instance_uid)]
    assert len(taking.taken) == 2
    assert 4 <= len(fetched) <= 7
    gateway.interfere = lambda _: None
    timer.s += 24 * 3600
    assert poller.poll().taken == 1


@pytest.mark.parametrize("trouble", ["cut", "garbage", "unauthorised", "no list"])
def test_an_archive_in_trouble_is_said_and_loses_nothing(
    trouble: str, pacs: Orthanc, gateway: Proxy, taking: Taking, sweep: Callable[..., QuerySweep]
) -> None:
    pacs.store(recent(0).content)
    answers = {
        "cut": Answer(200, b"[" + b" " * 1000, cut=True),
        "garbage": Answer(200, b"<html>"),
        "unauthorised": Answer(401),
        "no list": Answer(200, json.dumps({"00080018": {}}).encode()),
    }
    gateway.interfere = lambda request: answers[trouble] if "limit=" in request.path else None
    poller = sweep()
    assert poller.poll().failures
    gateway.interfere = lambda _: None

    assert poller.poll().taken == 1
