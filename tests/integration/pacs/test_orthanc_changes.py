"""Films of an Orthanc by its changes: nothing is missed, whatever happens to it, to us, or to a film."""

import json
import time
from collections.abc import Callable, Iterator

import pytest

from app.domain.errors import IntakeReason, IntakeRefusedError, StorageFullError
from app.pacs.http_access import Access
from app.pacs.orthanc_changes import OrthancChanges, Wanted
from app.pacs.orthanc_client import OrthancClient
from app.pacs.pulled_film import FilmPull
from app.services.hospital.records import Arrival, Origin
from tests.integration.pacs import films
from tests.integration.pacs.orthanc import PASSWORD, USER, Orthanc
from tests.integration.pacs.proxy import Answer, Proxy, Request, proxy
from tests.integration.pacs.taking import Taking, failing

pytestmark = pytest.mark.integration

FROM_BEGINNING = Wanted(frozenset({"CR", "DX"}), from_beginning=True)
FROM_NOW = Wanted(frozenset({"CR", "DX"}))


class Timer:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def taking() -> Taking:
    return Taking()


@pytest.fixture
def follow(pacs: Orthanc, taking: Taking) -> Iterator[Callable[..., OrthancChanges]]:
    """Make pollers as after a restart: all they have is the cursor that was kept."""
    clients: list[OrthancClient] = []

    def make(
        wanted: Wanted = FROM_BEGINNING, url: str = pacs.url, timer: Timer | None = None, limit: int = 1 << 26
    ) -> OrthancChanges:
        clients.append(OrthancClient(Access(url, USER, PASSWORD, timeout_s=5), limit))
        pull = FilmPull(taking, Arrival(Origin.ORTHANC_CHANGES, "source"), taking.note)
        return OrthancChanges("source", clients[-1], pull, taking, taking.knows, taking, wanted, timer or Timer())

    yield make
    for each in clients:
        each.close()


@pytest.fixture
def gateway(pacs: Orthanc) -> Iterator[Proxy]:
    with proxy(pacs.url) as made:
        yield made


def test_every_film_is_taken_once_and_byte_for_byte(
    pacs: Orthanc, taking: Taking, follow: Callable[..., OrthancChanges]
) -> None:
    sent = {each.sop_instance_uid: each.content for each in (films.film(number) for number in range(60))}
    for content in sent.values():
        pacs.store(content)

    first, second = follow(), follow()
    reports = [first.poll(), first.poll(), second.poll()]

    assert [report.taken for report in reports] == [60, 0, 0]
    assert dict(taking.taken) == sent
    assert len(taking.taken) == 60


def test_the_first_reading_begins_with_what_comes_from_now_on(
    pacs: Orthanc, taking: Taking, follow: Callable[..., OrthancChanges]
) -> None:
    pacs.store(films.film(0).content)
    follow(FROM_NOW).poll()
    pacs.store(films.film(1).content)

    follow(FROM_NOW).poll()

    assert taking.uids == [films.film(1).sop_instance_uid]


def test_other_modalities_and_our_own_results_are_not_even_fetched(
    pacs: Orthanc, gateway: Proxy, taking: Taking, follow: Callable[..., OrthancChanges]
) -> None:
    pacs.store(films.film(0, Modality="CT").content)
    pacs.store(films.film(1, Manufacturer="Discern").content)

    report = follow(url=gateway.url).poll()

    assert (report.taken, report.passed_over) == (0, 2)
    assert not [each for each in gateway.seen if each.path.endswith("/file")]
    assert taking.taken == []


def test_without_room_the_cursor_stays_before_the_film(
    pacs: Orthanc, taking: Taking, follow: Callable[..., OrthancChanges]
) -> None:
    for number in range(3):
        pacs.store(films.film(number).content)
    poller = follow()
    taking.interfere = lambda uid: failing(StorageFullError("no room"))(uid) if len(taking.taken) == 1 else None
    assert poller.poll().failures == ("no room",)
    assert len(taking.taken) == 1

    taking.interfere = lambda _: None
    follow().poll()

    assert sorted(taking.uids) == sorted(films.film(number).sop_instance_uid for number in range(3))


def test_a_film_that_can_never_be_taken_is_said_once_and_keeps_no_other_back(
    pacs: Orthanc, taking: Taking, follow: Callable[..., OrthancChanges]
) -> None:
    bad = films.film(0).sop_instance_uid
    for number in range(2):
        pacs.store(films.film(number).content)
    refuse = failing(IntakeRefusedError(IntakeReason.INVALID_UID, "(0008,0018) is no UID"))
    taking.interfere = lambda uid: refuse(uid) if uid == bad else None

    poller = follow()
    reports = [poller.poll(), poller.poll()]

    assert [(each.taken, each.refused) for each in reports] == [(1, 1), (0, 0)]
    assert [kind for kind, _ in taking.notes] == ["source_film_refused"]


def test_a_film_that_is_too_large_is_refused_without_being_read_whole(
    pacs: Orthanc, taking: Taking, follow: Callable[..., OrthancChanges]
) -> None:
    pacs.store(films.film(0).content)

    report = follow(limit=10_000).poll()

    assert report.refused == 1
    assert "too_large" in taking.notes[0][1]


def test_what_is_deleted_before_it_could_be_fetched_is_said_and_passed(
    pacs: Orthanc, gateway: Proxy, taking: Taking, follow: Callable[..., OrthancChanges]
) -> None:
    identifiers = [pacs.store(films.film(number).content) for number in range(3)]

    def delete_before_fetching(request: Request) -> Answer | None:
        if request.path.endswith(f"{identifiers[0]}/file"):
            pacs.delete(identifiers[0])
        if request.path.endswith("bulk-content") and identifiers[1] in pacs.instances().values():
            pacs.delete(identifiers[1])
        return None

    gateway.interfere = delete_before_fetching
    report = follow(url=gateway.url).poll()

    assert (report.taken, report.vanished, report.failures) == (1, 2, ())
    assert [kind for kind, _ in taking.notes] == ["source_film_vanished"] * 2


def test_a_film_that_cannot_be_fetched_is_set_aside_and_tried_again_later(
    pacs: Orthanc, gateway: Proxy, taking: Taking, follow: Callable[..., OrthancChanges]
) -> None:
    broken, sound = pacs.store(films.film(0).content), films.film(1)
    pacs.store(sound.content)
    gateway.interfere = lambda request: Answer(500) if request.path.endswith(f"{broken}/file") else None
    timer = Timer()
    poller = follow(url=gateway.url, timer=timer)

    report = poller.poll()
    assert (report.taken, report.postponed, report.failures) == (1, 1, ())
    gateway.interfere = lambda _: None
    assert poller.poll().postponed == 1  # not yet
    timer.s += 60
    assert poller.poll().taken == 1

    assert sorted(taking.uids) == sorted([films.film(0).sop_instance_uid, sound.sop_instance_uid])
    assert json.loads(taking.kept["changes:source"])["set_aside"] == {}


def test_what_was_set_aside_outlives_a_restart(
    pacs: Orthanc, gateway: Proxy, taking: Taking, follow: Callable[..., OrthancChanges]
) -> None:
    pacs.store(films.film(0).content)
    gateway.interfere = lambda request: Answer(500) if request.path.endswith("/file") else None
    follow(url=gateway.url).poll()
    gateway.interfere = lambda _: None

    assert follow(url=gateway.url).poll().taken == 1


def test_a_film_whose_fetching_breaks_the_pacs_keeps_the_others_back_three_times_only(
    pacs: Orthanc, gateway: Proxy, taking: Taking, follow: Callable[..., OrthancChanges]
) -> None:
    deadly, sound = pacs.store(films.film(0).content), films.film(1)
    pacs.store(sound.content)
    cut = Answer(200, b"x" * 1000, cut=True)
    gateway.interfere = lambda request: cut if request.path.endswith(f"{deadly}/file") else None
    poller = follow(url=gateway.url)

    reports = [poller.poll() for _ in range(4)]

    assert [bool(each.failures) for each in reports] == [True, True, False, False]
    assert taking.uids == [sound.sop_instance_uid]


@pytest.mark.parametrize("status", [401, 503])
def test_a_server_that_refuses_everything_moves_nothing(
    status: int, pacs: Orthanc, gateway: Proxy, taking: Taking, follow: Callable[..., OrthancChanges]
) -> None:
    pacs.store(films.film(0).content)
    gateway.interfere = lambda request: Answer(status) if request.path.endswith("/file") else None
    poller = follow(url=gateway.url)
    for _ in range(5):
        assert str(status) in poller.poll().failures[0]
    gateway.interfere = lambda _: None

    assert poller.poll().taken == 1


def test_a_pacs_that_is_killed_and_comes_back_loses_nothing(
    pacs: Orthanc, taking: Taking, follow: Callable[..., OrthancChanges]
) -> None:
    poller = follow()
    pacs.store(films.film(0).content)
    poller.poll()
    pacs.store(films.film(1).content)
    pacs.kill()
    assert poller.poll().failures
    pacs.start()
    pacs.store(films.film(2).content)

    assert poller.poll().taken == 2
    assert taking.notes == []


def test_a_rebuilt_database_is_looked_at_as_a_whole_without_fetching_what_is_known(
    pacs: Orthanc, taking: Taking, follow: Callable[..., OrthancChanges]
) -> None:
    for number in range(6):
        pacs.store(films.film(number).content)
    poller = follow()
    poller.poll()
    pacs.kill()
    pacs.rebuild()
    time.sleep(1.1)  # Orthanc's dates are of seconds
    pacs.start()
    for number in (*range(6), *range(20, 40)):  # the list becomes longer than it ever was
        pacs.store(films.film(number).content)

    report = poller.poll()

    assert (report.taken, report.known) == (20, 6)
    assert [kind for kind, _ in taking.notes] == ["source_rebuilt"]
    assert poller.poll().taken == 0


def test_a_rebuilt_database_brings_no_studies_of_before_we_were_there(
    pacs: Orthanc, taking: Taking, follow: Callable[..., OrthancChanges]
) -> None:
    old, new = films.film(0, StudyDate="20250101"), films.film(1, StudyDate="20261125")
    pacs.store(films.film(3).content)
    follow(FROM_NOW).poll()
    pacs.kill()
    pacs.rebuild()
    time.sleep(1.1)
    pacs.start()
    for each in (old, new):
        pacs.store(each.content)

    follow(FROM_NOW).poll()

    assert taking.uids == [new.sop_instance_uid]


def test_deleting_the_newest_is_not_taken_for_a_rebuilt_database(
    pacs: Orthanc, taking: Taking, follow: Callable[..., OrthancChanges]
) -> None:
    identifiers = [pacs.store(films.film(number).content) for number in range(4)]
    poller = follow()
    poller.poll()
    for identifier in identifiers[1:]:
        pacs.delete(identifier)
    assert poller.poll().known == 0
    pacs.delete(identifiers[0])
    poller.poll()
    pacs.store(films.film(9).content)

    assert poller.poll().taken == 1
    assert taking.notes == []
