"""The audit trail into Debian's rsyslog over TLS, which is stopped and killed in between."""

import contextlib
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.bootstrap import SystemClock
from app.pacs.audit_message import audit_message
from app.pacs.syslog import SyslogAddress, SyslogSink
from app.services.hospital.audit_terms import AuditSource, described
from app.storage.audit import AuditLog
from app.storage.audit_files import AuditFiles
from tests.unit.pacs.certificates import authority, signed

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("rsyslogd") is None, reason="rsyslog is not installed"),
]
PATIENCE_S = 30.0


class Rsyslog:
    """rsyslogd as a user's process, TLS on the loopback, client certificates demanded, everything into one file."""

    def __init__(self, folder: Path, driver: str) -> None:
        self.ca = authority(folder)
        self.server, self.client = signed(folder, "server", self.ca), signed(folder, "client", self.ca)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.log, self._folder = folder / "received.log", folder
        (folder / "rsyslog.conf").write_text(
            f"""
            global(workDirectory="{folder}" maxMessageSize="64k"
                   defaultNetstreamDriver="{driver}" defaultNetstreamDriverCAFile="{self.ca[0]}"
                   defaultNetstreamDriverCertFile="{self.server[0]}" defaultNetstreamDriverKeyFile="{self.server[1]}")
            module(load="imtcp"
                   streamDriver.name="{driver}" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
            template(name="whole" type="string" string="%rawmsg%\\n")
            ruleset(name="audit") {{ action(type="omfile" file="{self.log}" template="whole") }}
            input(type="imtcp" address="127.0.0.1" port="{self.port}" ruleset="audit" supportOctetCountedFraming="on")
            """,
            encoding="utf-8",
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "errors").open("ab") as errors:
            self.process = subprocess.Popen(
                ["rsyslogd", "-n", "-f", str(self._folder / "rsyslog.conf"), "-i", str(self._folder / "pid")],
                stdout=subprocess.DEVNULL, stderr=errors,
            )  # fmt: skip
        limit = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert self.process.poll() is None, (self._folder / "errors").read_text(encoding="utf-8")
            assert time.monotonic() < limit
            time.sleep(0.05)

    def stop(self, *, kill: bool = False) -> None:
        assert self.process is not None
        (self.process.kill if kill else self.process.terminate)()
        self.process.wait(PATIENCE_S)

    def numbers(self) -> list[int]:
        text = self.log.read_text(encoding="utf-8") if self.log.exists() else ""
        return [int(found) for found in re.findall(r'\[discern@32473 number="(\d+)"', text)]


@pytest.fixture(params=["gtls", "ossl"])
def rsyslog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rsyslog]:
    receiver = Rsyslog(tmp_path, request.param)
    yield receiver
    if receiver.process is not None and receiver.process.poll() is None:
        receiver.stop()


def test_every_event_arrives_in_order_whatever_happens_to_the_receiver(rsyslog: Rsyslog, tmp_path: Path) -> None:
    tls = ssl.create_default_context(cafile=str(rsyslog.ca[0]))
    tls.load_cert_chain(*rsyslog.client)
    source = AuditSource("CXRAI")
    sink = SyslogSink(
        SyslogAddress("127.0.0.1", rsyslog.port, "tls", 3.0), lambda record: audit_message(described(record, source)),
        hostname="worker-1", tls=tls,
    )  # fmt: skip
    log = AuditLog(AuditFiles(tmp_path / "audit", b"key"), SystemClock(), {"syslog": sink}, idle_s=0.05)

    def record(count: int) -> None:
        for _ in range(count):
            log.record("received", sender="MODALITY", study_uid="1.2.3", sop_instance_uid="1.2.3.4")

    def wait_for(number: int) -> None:
        limit = time.monotonic() + PATIENCE_S
        while log.forwarding()["syslog"].sent_number < number:
            assert time.monotonic() < limit, log.forwarding()
            time.sleep(0.05)

    log.start()
    record(50)  # nobody listens yet
    rsyslog.start()
    record(50)
    wait_for(100)
    rsyslog.stop(kill=True)
    record(50)
    time.sleep(0.5)
    rsyslog.start()
    wait_for(150)
    rsyslog.stop()
    record(10)
    rsyslog.start()
    wait_for(160)
    rsyslog.stop()
    log.close()

    first_of = list(dict.fromkeys(rsyslog.numbers()))
    assert first_of == list(range(1, 161))
    text = rsyslog.log.read_text(encoding="utf-8")
    assert text.count("</AuditMessage>") == len(rsyslog.numbers())
