"""The DICOM listener on loopback, with real associations; what it takes is kept by a receiver of the test."""

import io
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pynetdicom import AE

from app.domain import errors
from app.domain.errors import IntakeReason, IntakeRefusedError, ScreeningError, StorageFullError, UnreadableImageError
from app.pacs.dimse_status import STATUS_OF, status_of
from app.pacs.store_scp import ListenerLimits, StoreScp
from app.pacs.tls import server_context
from tests.integration.pacs import films
from tests.integration.pacs.senders import c_store
from tests.integration.pacs.taking import Taking, failing
from tests.unit.pacs.certificates import authority, signed

LIMITS = ListenerLimits(object_bytes=200_000, associations=12, associations_per_peer=8, request_s=1.0, idle_s=3.0)


@contextmanager
def listening(taking: Taking, **options: object) -> Iterator[tuple[str, int]]:
    listener = StoreScp(taking, "DISCERN", limits=LIMITS, **options)  # type: ignore[arg-type]  # its own options
    with listener.listening("127.0.0.1", 0, drain_s=2.0) as port:
        yield "127.0.0.1", port


def dataset_bytes(content: bytes) -> bytes:
    meta = dcmread(io.BytesIO(content)).file_meta
    return content[132 + 12 + meta.FileMetaInformationGroupLength :]


def test_an_object_is_handed_on_byte_for_byte_behind_a_header_of_ours() -> None:
    taking, film = Taking(), films.film(1)

    with listening(taking) as address:
        assert c_store(address, [film.content]) == [0x0000]

    ((uid, content),) = taking.taken
    assert uid == film.sop_instance_uid
    assert dataset_bytes(content) == dataset_bytes(film.content)
    meta = dcmread(io.BytesIO(content)).file_meta
    assert meta.SourceApplicationEntityTitle == "MODALITY"
    assert meta.TransferSyntaxUID == dcmread(io.BytesIO(film.content)).file_meta.TransferSyntaxUID


@pytest.mark.parametrize(
    ("error", "status", "comment"),
    [
        (StorageFullError("the spool holds 9 of 10 bytes"), 0xA700, "storage_full: the spool holds 9 of 10 bytes"),
        (UnreadableImageError("x" * 200), 0xC000, ("unreadable_image: " + "x" * 200)[:64]),
        (IntakeRefusedError(IntakeReason.MISSING_UID, "Study Instance UID is missing"), 0xA900, None),
    ],
)
def test_a_refusal_has_its_status_and_says_why(error: ScreeningError, status: int, comment: str | None) -> None:
    taking = Taking()
    taking.interfere = failing(error)

    with listening(taking) as address:
        assert c_store(address, [films.film(1).content]) == [status]

    assert taking.taken == []
    if comment is not None:
        assert status_of(error) == (status, comment)


def test_a_defect_is_a_processing_failure_and_the_listener_lives_on(caplog: pytest.LogCaptureFixture) -> None:
    taking = Taking()

    def broken(_: str) -> None:
        raise RuntimeError("a defect")

    with listening(taking) as address:
        taking.interfere = broken
        assert c_store(address, [films.film(1).content]) == [0x0110]
        taking.interfere = lambda _: None
        assert c_store(address, [films.film(2).content]) == [0x0000]

    assert "store_defect" in caplog.text


def test_an_object_beyond_the_limit_is_cut_off_and_others_are_taken() -> None:
    taking = Taking()
    large = films.film(1, PixelData=b"\0" * 1_000_000, Rows=500, Columns=1000)

    with listening(taking) as address:
        (status,) = c_store(address, [large.content], timeout_s=10.0)
        assert status != 0x0000
        assert c_store(address, [films.film(2).content]) == [0x0000]

    assert taking.uids == [films.film(2).sop_instance_uid]


def test_many_objects_below_the_limit_are_no_large_one() -> None:
    taking = Taking()

    with listening(taking) as address:
        statuses = c_store(address, [films.film(number).content for number in range(1, 12)])

    assert statuses == [0x0000] * 11


class TurnedAway:
    """Keeps who was; waits for it, for the listener says so in its own thread."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []
        self._said = threading.Condition()

    def __call__(self, address: str, ae_title: str, reason: str) -> None:
        with self._said:
            self.told.append((address, ae_title, reason))
            self._said.notify_all()

    def wait(self, count: int) -> list[tuple[str, str, str]]:
        with self._said:
            assert self._said.wait_for(lambda: len(self.told) >= count, 15.0), self.told
            return list(self.told)


def test_only_who_is_named_may_call_and_only_us_and_others_are_told_of() -> None:
    taking, turned_away = Taking(), TurnedAway()

    with listening(taking, callers=["MODALITY"], turned_away=turned_away) as address:
        assert c_store(address, [films.film(1).content], calling="STRANGER") == [None]
        assert c_store(address, [films.film(1).content], called="OTHER") == [None]
        assert c_store(address, [films.film(1).content]) == [0x0000]
        told = turned_away.wait(2)

    assert told == [
        ("127.0.0.1", "STRANGER", "caller_not_recognised"),
        ("127.0.0.1", "MODALITY", "called_not_recognised"),
    ]


def test_a_connection_too_many_is_told_of() -> None:
    turned_away = TurnedAway()

    with listening(Taking(), turned_away=turned_away) as address:
        held = [socket.create_connection(address, timeout=5.0) for _ in range(LIMITS.associations_per_peer + 1)]
        told = turned_away.wait(1)
        for each in held:
            each.close()

    assert told[0] == ("127.0.0.1", "", "too_many_connections_of_caller")


@contextmanager
def listening_over_tls(folder: Path, taking: Taking, turned_away: TurnedAway) -> Iterator[tuple[str, int]]:
    ours = authority(folder)
    context = server_context(*signed(folder, "server", ours), ours[0])
    with listening(taking, tls=lambda: context, turned_away=turned_away) as address:
        yield address


def shown(folder: Path, name: str, by: str = "authority", *, days: int = 2) -> ssl.SSLContext:
    """What a caller connects with that shows a certificate, of the listener's authority or of another one."""
    context = ssl.create_default_context(cafile=str(folder / "authority.pem"))
    signers = (folder / f"{by}.pem", folder / f"{by}.key")
    context.load_cert_chain(*signed(folder, name, signers if signers[0].exists() else authority(folder, by), days=days))
    return context


def is_let_in(address: tuple[str, int], tls: ssl.SSLContext) -> bool:
    """Whether a connection is still there after its handshake, on both sides (TLS 1.3 tells a caller only then)."""
    with socket.create_connection(address, timeout=5.0) as plain:
        try:
            with tls.wrap_socket(plain, server_hostname=address[0]) as connection:
                connection.settimeout(5.0)
                return connection.recv(1) != b""
        except TimeoutError:
            return True
        except OSError:
            return False


def test_callers_without_a_good_certificate_are_refused_and_told_of_by_what_was_wrong(tmp_path: Path) -> None:
    taking, turned_away, film = Taking(), TurnedAway(), films.film(1).content

    with listening_over_tls(tmp_path, taking, turned_away) as address:
        nothing = ssl.create_default_context(cafile=str(tmp_path / "authority.pem"))
        for number, tls in enumerate([
            shown(tmp_path, "late", days=-1), shown(tmp_path, "other", by="stranger"), nothing,
        ]):  # fmt: skip
            assert not is_let_in(address, tls)
            turned_away.wait(number + 1)
        with socket.create_connection(address, timeout=5.0) as plain:
            plain.sendall(b"\x01\x00\x00\x00\x00\x00 no TLS")
            turned_away.wait(4)
        assert c_store(address, [film], tls=shown(tmp_path, "good")) == [0x0000]

    *of_certificates, of_plain = [reason for _, _, reason in turned_away.told]
    assert of_certificates == [
        "tls_certificate_has_expired",
        "tls_unable_to_get_local_issuer_certificate",
        "tls_peer_did_not_return_a_certificate",
    ]
    assert of_plain.startswith("tls_")
    assert taking.uids == [films.film(1).sop_instance_uid]


def test_who_leaves_before_the_handshake_was_not_turned_away_and_a_silent_one_holds_up_nobody(tmp_path: Path) -> None:
    taking, turned_away = Taking(), TurnedAway()

    with listening_over_tls(tmp_path, taking, turned_away) as address:
        socket.create_connection(address, timeout=5.0).close()
        with socket.create_connection(address, timeout=5.0) as silent:
            assert c_store(address, [films.film(1).content], tls=shown(tmp_path, "good")) == [0x0000]
            assert silent.recv(1) == b""  # closed by the listener once the time was over

    assert turned_away.told == []


def test_a_listener_that_stops_waits_for_nobody_who_asked_for_nothing() -> None:
    patient = replace(LIMITS, request_s=60.0)
    listener = StoreScp(Taking(), "DISCERN", limits=patient)

    with listener.listening("127.0.0.1", 0, drain_s=0.5) as port:
        idle = [socket.create_connection(("127.0.0.1", port), timeout=5.0) for _ in range(3)]
        assert c_store(("127.0.0.1", port), [films.film(1).content]) == [0x0000]

    for each in idle:
        assert each.recv(1) == b""
        each.close()


def test_idle_connections_are_closed_and_keep_nobody_out() -> None:
    taking = Taking()

    with listening(taking) as address:
        idle = [socket.create_connection(address, timeout=5.0) for _ in range(20)]
        limit = time.monotonic() + 15.0
        while c_store(address, [films.film(1).content], timeout_s=5.0) != [0x0000]:
            assert time.monotonic() < limit, "idle connections keep others out"
        for each in idle:
            each.settimeout(5.0)
            assert each.recv(1) == b""  # closed by the listener
            each.close()


def test_echo_answers() -> None:
    with listening(Taking()) as (host, port):
        ae = AE("MODALITY")
        ae.add_requested_context("1.2.840.10008.1.1")
        association = ae.associate(host, port, ae_title="DISCERN")
        assert association.is_established
        assert association.send_c_echo().Status == 0x0000
        association.release()


def test_a_transfer_under_way_is_finished_when_the_listener_stops() -> None:
    taking, begun, go = Taking(), threading.Event(), threading.Event()

    def slow(_: str) -> None:
        begun.set()
        go.wait(5.0)

    taking.interfere = slow
    statuses: list[int | None] = []
    with listening(taking) as address:
        sender = threading.Thread(target=lambda: statuses.extend(c_store(address, [films.film(1).content])))
        sender.start()
        assert begun.wait(5.0)
        threading.Timer(0.3, go.set).start()
    sender.join(10.0)

    assert statuses == [0x0000]


def test_the_table_of_statuses_is_complete() -> None:
    kinds = {found for found in ScreeningError.__subclasses__() if found.__module__ == errors.__name__}

    assert set(STATUS_OF) == kinds
