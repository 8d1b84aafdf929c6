"""Certificates that expire on either side, and renewed ones (PACS.md, X16)."""

import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.pacs import films, oracle, senders
from tests.integration.pacs.archives import tls_gateway
from tests.integration.pacs.certificates import Authority, Certificate, client_context
from tests.integration.pacs.hospital import Hospital
from tests.integration.pacs.orthanc import PASSWORD, USER, Orthanc, wait_until
from tests.integration.pacs.ports import free_port
from tests.integration.pacs.processes import Discern

pytestmark = pytest.mark.integration


@pytest.mark.slow
def test_x16_an_expired_certificate_of_an_archive_is_named_and_once_it_is_renewed_all_arrives_once(
    start_orthanc: Callable[..., Orthanc], hospital: Callable[..., Hospital], tmp_path: Path
) -> None:
    archive, authority = start_orthanc("archive", aet="ARCHIVE"), Authority(tmp_path / "authority")
    shown, expired, port = authority.issue("discern"), authority.issue("late", expired=True), free_port()
    destination = {
        "name": "archive", "kind": "stow", "url": f"https://127.0.0.1:{port}/dicom-web", "user": USER,
        "password": PASSWORD, "timeout_s": 5, "ca": str(authority.certificate),
        "client_certificate": str(shown.certificate), "client_key": str(shown.key),
    }  # fmt: skip
    ours = hospital(destinations=[destination])
    with tls_gateway(tmp_path, archive.url, expired, authority.certificate, port):
        ours.start()
        statuses = ours.send([films.film(number) for number in range(3)])
        failing = ours.wait_state(lambda found: "destination_failing" in found["alerts"], "an alert")
    assert failing["destinations"]["archive"].endswith(f"127.0.0.1:{port}: TLS: certificate has expired")
    assert failing["certificates"].keys() == {"destination archive"}, "ours ends within two weeks"
    assert archive.count() == 0

    with tls_gateway(tmp_path, archive.url, authority.issue("renewed"), authority.certificate, port):
        ours.wait_idle(3)

    assert set(statuses.values()) == {senders.SUCCESS}
    found = oracle.assert_answered_exactly_once(archive, dict.fromkeys(statuses))
    oracle.assert_audited(ours.audit_folder, 3, {"archive": len(found)})


class Listening:
    """A listener over TLS on loopback, whose certificate's files a test replaces."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "authority")
        self.files = Certificate(folder / "ours.pem", folder / "ours.key")
        self.renew(self.authority.issue("first"))
        self.address = ("127.0.0.1", free_port())
        settings: dict[str, Any] = {
            "PACS__PORT": str(self.address[1]), "SPOOL__RESERVE_BYTES": "0",
            "PACS__TLS_CERTIFICATE": str(self.files.certificate), "PACS__TLS_KEY": str(self.files.key),
            "PACS__TLS_CLIENT_CA": str(self.authority.certificate),
        }  # fmt: skip
        self.process = Discern(folder, ["pacs", "serve", "--roles", "listen"], settings, [self.address])
        self.modality = self.authority.issue("modality")

    def renew(self, by: Certificate) -> None:
        shutil.copyfile(by.certificate, self.files.certificate)
        shutil.copyfile(by.key, self.files.key)

    def shows(self) -> str:
        """The name in the certificate that a caller is shown."""
        context = client_context(self.authority.certificate, self.modality)
        with (
            socket.create_connection(self.address, timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=self.address[0]) as connection,
        ):
            found: Any = connection.getpeercert()  # Any: nested tuples
            return str(dict(part[0] for part in found["subject"])["commonName"])

    def events(self, event: str) -> list[dict[str, Any]]:
        return [each for each in self.process.events() if each["event"] == event]


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Listening]:
    made = Listening(tmp_path)
    try:
        made.process.start()
        yield made
    finally:
        made.process.kill()


def test_x16_a_caller_whose_certificate_has_expired_is_refused_and_audited(listening: Listening) -> None:
    late = listening.authority.issue("late", expired=True)
    good = client_context(listening.authority.certificate, listening.modality)

    assert not senders.echoscu(
        listening.address, "+tls", str(late.key), str(late.certificate), "+cf", str(listening.authority.certificate)
    )
    assert senders.c_store(listening.address, [films.film(0).content], tls=good) == [senders.SUCCESS]
    folder = listening.process.spool / "audit"
    wait_until(lambda: bool(oracle.audit_counts(folder)["association_refused"]), "it is audited", 20)

    (refused,) = [each for each in oracle.audit_records(folder) if each["event"] == "association_refused"]
    assert refused["outcome"] == "minor_failure"
    assert refused["who"] == {"address": "127.0.0.1", "reason": "tls_certificate_has_expired"}


def test_a_renewed_certificate_is_shown_to_the_next_caller_and_a_broken_one_to_nobody(listening: Listening) -> None:
    assert listening.shows() == "first"

    listening.renew(listening.authority.issue("second"))
    assert listening.shows() == "second"

    listening.files.key.write_text("no key\n", "utf-8")
    assert listening.shows() == "second"
    assert listening.shows() == "second"
    assert len(listening.events("certificate_not_renewed")) == 1

    listening.renew(listening.authority.issue("third"))
    assert listening.shows() == "third"


def test_x16_a_certificate_of_ours_that_ends_or_is_broken_is_an_alert(listening: Listening) -> None:
    summary = listening.process.status()

    assert "certificate_expiring" in summary["alerts"]
    assert summary["certificates"]["listener"].startswith("it expires on ")
    assert [each["certificate"] for each in listening.events("certificate_expiring")] == ["listener"]
