"""Results go out by STOW-RS: what counts as taken, what is sent again, and what an operator has to look at."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import DestinationError
from app.pacs.dicomweb_client import DicomWebClient
from app.pacs.http_access import Access
from app.pacs.read_back import ContentReadBack, QueryReadBack
from app.services.hospital.records import Confirmation, SendOutcome
from tests.integration.pacs import films
from tests.integration.pacs.archives import listener, tls_gateway
from tests.integration.pacs.certificates import Authority
from tests.integration.pacs.network import resize_disk
from tests.integration.pacs.orthanc import PASSWORD, USER, Orthanc
from tests.integration.pacs.proxy import Answer, Proxy, Request, proxy
from tests.integration.pacs.results import as_result

pytestmark = pytest.mark.integration

OBJECTS = [as_result(films.film(number, series="stow")) for number in range(3)]
UIDS = [each.sop_instance_uid for each in OBJECTS]
TAKEN = dict.fromkeys(UIDS, SendOutcome(True))
HELD = dict.fromkeys(UIDS, Confirmation.HELD)


@pytest.fixture
def gateway(pacs: Orthanc) -> Iterator[Proxy]:
    with proxy(pacs.url) as made:
        yield made


def client_of(url: str, **more: Any) -> DicomWebClient:
    values: dict[str, Any] = {"user": USER, "password": PASSWORD, "timeout_s": 5.0} | more
    return DicomWebClient(Access(f"{url}/dicom-web", **values))


@pytest.fixture
def client(gateway: Proxy) -> Iterator[DicomWebClient]:
    made = client_of(gateway.url)
    yield made
    made.close()


def said(taken: tuple[int, ...] = (), refused: tuple[tuple[int, int], ...] = ()) -> bytes:
    """An answer to STOW-RS."""

    def item(number: int, **more: Any) -> dict[str, Any]:
        return {"00081155": {"vr": "UI", "Value": [UIDS[number]]}} | more

    failed = [item(number, **{"00081197": {"vr": "US", "Value": [reason]}}) for number, reason in refused]
    return json.dumps(
        {
            "00081199": {"vr": "SQ", "Value": [item(number) for number in taken]},
            "00081198": {"vr": "SQ", "Value": failed},
        }
    ).encode()


def to_stores(answer: Answer | Callable[[Request], Answer | None]) -> Callable[[Request], Answer | None]:
    """Answer what is stored, and pass everything else on."""

    def interfere(request: Request) -> Answer | None:
        if request.method != "POST":
            return None
        return answer(request) if callable(answer) else answer

    return interfere


def test_what_is_sent_is_there_once_and_is_found_by_query_and_by_content(pacs: Orthanc, client: DicomWebClient) -> None:
    assert client.store(OBJECTS) == client.store(OBJECTS) == TAKEN

    assert pacs.count() == len(OBJECTS)
    assert QueryReadBack(client).confirm(OBJECTS) == ContentReadBack(client).confirm(OBJECTS) == HELD


def test_what_is_not_there_is_missing_in_both_read_backs(client: DicomWebClient) -> None:
    client.store(OBJECTS[:1])

    expected = {UIDS[0]: Confirmation.HELD, UIDS[1]: Confirmation.MISSING, UIDS[2]: Confirmation.MISSING}

    assert QueryReadBack(client).confirm(OBJECTS) == ContentReadBack(client).confirm(OBJECTS) == expected


def test_another_object_under_our_uid_is_seen_by_content_only(pacs: Orthanc, client: DicomWebClient) -> None:
    other = films.film(0, series="stow", SeriesDescription="somebody else's")
    assert other.sop_instance_uid == UIDS[0]
    pacs.store(other.content)

    assert QueryReadBack(client).confirm(OBJECTS[:1])[UIDS[0]] is Confirmation.HELD
    with pytest.raises(DestinationError) as raised:
        ContentReadBack(client).confirm(OBJECTS[:1])

    assert raised.value.reason == "content_differs"


def test_a_corrected_patient_is_no_other_object(pacs: Orthanc, client: DicomWebClient) -> None:
    pacs.store(films.film(0, series="stow", PatientID="corrected", AccessionNumber="A1").content)

    assert ContentReadBack(client).confirm(OBJECTS[:1])[UIDS[0]] is Confirmation.HELD


def test_a_full_pacs_that_answers_200_has_taken_nothing_and_recovers(
    start_orthanc: Callable[..., Orthanc], small_disk: Callable[..., Any], tmp_path: Path
) -> None:
    disk = small_disk(tmp_path / "small", 2 << 20)
    pacs = start_orthanc("full", storage=disk)
    client = client_of(pacs.url)
    large = [as_result(films.film(number, series="large", height=900, width=900)) for number in range(6)]

    outcomes = client.store(large)

    accepted = {uid for uid, outcome in outcomes.items() if outcome.accepted}
    held = {uid for uid, found in QueryReadBack(client).confirm(large).items() if found is Confirmation.HELD}
    assert accepted <= held
    assert len(held) < len(large)
    assert not any(outcome.permanent for outcome in outcomes.values())
    resize_disk(disk, 64 << 20)
    assert {uid for uid, each in client.store(large).items() if each.accepted} == {
        each.sop_instance_uid for each in large
    }
    client.close()


def test_a_200_that_names_nothing_is_no_acknowledgement(gateway: Proxy, client: DicomWebClient) -> None:
    for body in (said(), b"", b"{}", b"[]", b"null", b'"ok"', b"<NativeDicomModel/>"):
        gateway.interfere = to_stores(Answer(200, body))

        assert client.store(OBJECTS) == {}, body


def test_each_object_of_a_partly_failed_request_has_its_own_answer(gateway: Proxy, client: DicomWebClient) -> None:
    gateway.interfere = to_stores(Answer(202, said((0,), ((1, 0xA700), (2, 0xC000)))))

    found = client.store(OBJECTS)

    assert found[UIDS[0]] == SendOutcome(True)
    assert [(found[uid].accepted, found[uid].permanent) for uid in UIDS[1:]] == [(False, False), (False, True)]


def test_a_409_says_what_failed(gateway: Proxy, client: DicomWebClient) -> None:
    gateway.interfere = to_stores(Answer(409, said((), ((0, 0x0111), (1, 0xA900), (2, 0x0110)))))

    found = client.store(OBJECTS)

    assert [found[uid].code for uid in UIDS] == ["already_there", "failure_a900", "failure_0110"]
    assert [found[uid].accepted for uid in UIDS] == [True, False, False]


def test_names_that_nobody_sent_are_not_listened_to(gateway: Proxy, client: DicomWebClient) -> None:
    gateway.interfere = to_stores(Answer(200, said((0, 1, 2))))

    assert set(client.store(OBJECTS[:1])) == {UIDS[0]}


@pytest.mark.parametrize(
    ("status", "reason", "permanent"),
    [
        (301, "refused", True),
        (400, "refused", True),
        (401, "unauthorised", False),
        (403, "unauthorised", False),
        (404, "not_found", False),
        (429, "busy", False),
        (500, "server_error", False),
        (502, "unavailable", False),
        (503, "busy", False),
        (507, "full", False),
    ],
)
def test_statuses_of_a_whole_request(
    status: int, reason: str, permanent: bool, gateway: Proxy, client: DicomWebClient
) -> None:
    answer = Answer(status, b"Doe^John was refused", headers={"Location": "http://127.0.0.1:1/"})
    gateway.interfere = to_stores(answer)

    with pytest.raises(DestinationError) as raised:
        client.store(OBJECTS)

    assert (raised.value.reason, raised.value.permanent) == (reason, permanent)
    assert str(status) in raised.value.detail
    assert "Doe" not in raised.value.detail


def test_what_is_too_much_at_once_is_sent_one_by_one(gateway: Proxy, client: DicomWebClient) -> None:
    def limited(request: Request) -> Answer | None:
        return Answer(413) if len(request.body) > len(OBJECTS[0].content) + 2000 else None

    gateway.interfere = to_stores(limited)

    assert client.store(OBJECTS) == TAKEN


def test_one_object_that_is_too_large_keeps_no_other_back(gateway: Proxy, client: DicomWebClient) -> None:
    large = as_result(films.film(9, series="stow", height=800, width=800))
    gateway.interfere = to_stores(lambda request: Answer(413) if len(request.body) > 500_000 else None)

    found = client.store([large, *OBJECTS])

    assert found[large.sop_instance_uid].code == "too_large"
    assert not found[large.sop_instance_uid].permanent
    assert {uid: found[uid] for uid in UIDS} == TAKEN


@pytest.mark.parametrize("trouble", ["silence", "cut", "dead"])
def test_a_server_in_trouble_is_given_up_in_time(trouble: str, gateway: Proxy) -> None:
    client = client_of(gateway.url, timeout_s=1.0)
    answers = {"silence": Answer(200, said((0, 1, 2)), wait_s=4.0), "cut": Answer(200, said((0, 1, 2)), cut=True)}
    gateway.interfere = to_stores(answers[trouble]) if trouble in answers else gateway.interfere
    if trouble == "dead":
        client = client_of("http://127.0.0.1:9")
    started = time.monotonic()

    with pytest.raises(DestinationError) as raised:
        client.store(OBJECTS)

    assert time.monotonic() - started < 3
    assert raised.value.reason == {"silence": "timeout", "cut": "connection_lost", "dead": "unreachable"}[trouble]
    client.close()


def test_a_hanging_pacs_is_given_up_in_time(pacs: Orthanc) -> None:
    client = client_of(pacs.url, timeout_s=1.0)
    client.store(OBJECTS[:1])
    pacs.pause()
    started = time.monotonic()
    try:
        with pytest.raises(DestinationError) as raised:
            client.store([as_result(films.film(9, height=3000, width=3000))])
    finally:
        pacs.resume()

    assert raised.value.reason == "timeout"
    assert time.monotonic() - started < 5
    client.close()


def test_an_answer_that_trickles_is_given_up_in_time(gateway: Proxy) -> None:
    def trickle(connection: Any) -> None:
        connection.recv(1 << 20)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(100):
                connection.sendall(b" ")
                time.sleep(0.2)

    with listener(trickle) as port:
        client = client_of(f"http://127.0.0.1:{port}", whole_s=1.5)
        started = time.monotonic()
        with pytest.raises(DestinationError) as raised:
            client.search("instances", [], 10)
        client.close()

    assert raised.value.reason == "timeout"
    assert time.monotonic() - started < 4


def test_a_wrong_password_is_said_without_it(pacs: Orthanc) -> None:
    client = client_of(pacs.url, password="pa55-word")

    with pytest.raises(DestinationError) as raised:
        client.store(OBJECTS)

    assert raised.value.reason == "unauthorised"
    assert "pa55" not in repr(raised.value)
    client.close()


def test_a_token_is_shown(gateway: Proxy) -> None:
    client = client_of(gateway.url, user=None, password=None, token="t0ken")
    gateway.interfere = to_stores(Answer(200, said((0, 1, 2))))

    assert client.store(OBJECTS) == TAKEN
    assert gateway.stores()[0].headers["Authorization"] == "Bearer t0ken"
    client.close()


@pytest.mark.parametrize("trouble", ["none", "expired", "unknown authority", "no certificate of ours"])
def test_tls_on_both_sides(trouble: str, start_orthanc: Callable[..., Orthanc], tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    server = ours.issue("pacs", expired=trouble == "expired")
    shown = ours.issue("discern")
    pacs = start_orthanc("tls")
    with tls_gateway(tmp_path, pacs.url, server, ours.certificate) as port:
        certificate = {} if trouble == "no certificate of ours" else {
            "client_certificate": shown.certificate, "client_key": shown.key,
        }  # fmt: skip
        trusted = (theirs if trouble == "unknown authority" else ours).certificate
        client = client_of(f"https://127.0.0.1:{port}", ca=trusted, **certificate)
        if trouble == "none":
            assert client.store(OBJECTS) == TAKEN
            client.close()
            return
        with pytest.raises(DestinationError) as raised:
            client.store(OBJECTS)
        client.close()

    assert raised.value.reason in {"tls", "refused"}
    if trouble == "expired":
        assert raised.value.detail == f"127.0.0.1:{port}: TLS: certificate has expired"
