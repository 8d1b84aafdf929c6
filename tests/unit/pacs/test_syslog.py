import re
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.domain.errors import DestinationError
from app.pacs.syslog import SyslogAddress, SyslogSink
from app.services.hospital.auditing import AuditRecord
from tests.unit.pacs.certificates import authority, signed
from tests.unit.pacs.syslog_receiver import receiving

RECORDS = [
    AuditRecord(n, datetime(2026, 11, 25, 12, 0, n, 123456, UTC), "received", "success", {"job_id": str(n)}, "ab" * 32)
    for n in range(1, 4)
]
HEADER = re.compile(
    rb"<85>1 2026-11-25T12:00:0[123]\.123Z worker-1 discern 42 IHE\+RFC-3881 "
    rb'\[discern@32473 number="([123])" digest="(?:ab){32}"\] \xef\xbb\xbf(.*)'
)


def message(record: AuditRecord) -> bytes:
    return f"<AuditMessage>é{record.number}</AuditMessage>".encode()


def sink(port: int, transport: str = "tcp", tls: ssl.SSLContext | None = None, timeout_s: float = 2.0) -> SyslogSink:
    address = SyslogAddress("127.0.0.1", port, transport, timeout_s)  # type: ignore[arg-type]  # a parameter of the test
    return SyslogSink(address, message, hostname="worker-1", process_id="42", tls=tls)


def numbers(messages: list[bytes]) -> list[int]:
    found = [HEADER.fullmatch(content) for content in messages]
    assert all(found), messages
    assert [match[2] for match in found if match] == [message(record) for record in RECORDS[: len(found)]]
    return [int(match[1]) for match in found if match]


def test_tcp_frames_count_their_octets_and_a_batch_is_read_when_send_returns() -> None:
    with receiving() as receiver:
        sink(receiver.port).send(RECORDS)
        assert numbers(receiver.messages) == [1, 2, 3]
        assert receiver.connections == 1


@pytest.mark.parametrize("conduct", ["resets", "hangs"])
def test_a_receiver_that_has_not_read_all_is_told_so(conduct: str) -> None:
    with receiving(conduct=conduct) as receiver, pytest.raises(DestinationError, match=r"tcp://127\.0\.0\.1"):
        sink(receiver.port, timeout_s=0.5).send(RECORDS * 300)


def test_nobody_there_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]

    with pytest.raises(DestinationError, match="Connection refused"):
        sink(port).send(RECORDS)


def test_udp_sends_a_message_a_datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        sink(receiver.getsockname()[1], "udp").send(RECORDS)

        assert numbers([receiver.recv(65535) for _ in RECORDS]) == [1, 2, 3]


class Trust:
    """An authority, what it signed for both sides, and a stranger."""

    def __init__(self, folder: Path) -> None:
        self.ca = authority(folder)
        self.server = signed(folder, "server", self.ca)
        self.client = signed(folder, "client", self.ca)
        self.other_ca = authority(folder, "stranger")

    def of_server(self, *, clients_too: bool) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.server)
        if clients_too:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca[0])
        return context

    def of_client(self, *, certificate: bool = False, stranger: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str((self.other_ca if stranger else self.ca)[0]))
        if certificate:
            context.load_cert_chain(*self.client)
        return context


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    return Trust(tmp_path_factory.mktemp("trust"))


@pytest.mark.parametrize("conduct", ["good", "closes_without_goodbye"])
def test_tls_with_certificates_on_both_sides(trust: Trust, conduct: str) -> None:
    with receiving(trust.of_server(clients_too=True), conduct) as receiver:
        sink(receiver.port, "tls", trust.of_client(certificate=True)).send(RECORDS)

        assert numbers(receiver.messages) == [1, 2, 3]


def test_a_receiver_of_another_authority_gets_nothing(trust: Trust) -> None:
    with receiving(trust.of_server(clients_too=False)) as receiver:
        with pytest.raises(DestinationError, match="certificate") as refused:
            sink(receiver.port, "tls", trust.of_client(stranger=True)).send(RECORDS)

        assert refused.value.permanent
        assert receiver.messages == []


def test_a_sender_without_a_certificate_hears_that_nothing_was_taken(trust: Trust) -> None:
    with receiving(trust.of_server(clients_too=True)) as receiver:
        with pytest.raises(DestinationError):
            sink(receiver.port, "tls", trust.of_client()).send(RECORDS)

        assert receiver.messages == []


@pytest.mark.parametrize("conduct", ["resets", "hangs"])
def test_over_tls_too_a_batch_counts_only_once_it_is_read(trust: Trust, conduct: str) -> None:
    with receiving(trust.of_server(clients_too=False), conduct) as receiver, pytest.raises(DestinationError):
        sink(receiver.port, "tls", trust.of_client(), timeout_s=0.5).send(RECORDS)


def test_a_transport_and_its_certificates_belong_together(trust: Trust) -> None:
    with pytest.raises(ValueError, match="TLS context"):
        sink(6514, "tls")
    with pytest.raises(ValueError, match="TLS context"):
        sink(514, "tcp", trust.of_client())
