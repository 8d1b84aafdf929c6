"""Answers go to a FHIR server, audit events to a syslog receiver, and nothing that is left behind names a patient."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.pacs import films, hostile, oracle, senders
from tests.integration.pacs.orthanc import wait_until
from tests.integration.pacs.ports import free_port
from tests.integration.pacs.processes import Discern
from tests.phantoms import dicom_bytes
from tests.unit.fhir.fhir_server import FhirServer, fhir_server
from tests.unit.pacs.syslog_receiver import Receiver, receiving

CANARY = films.CANARY[:6].lower().encode()

pytestmark = pytest.mark.integration


@contextlib.contextmanager
def hospital(folder: Path, release: Path, **settings: Any) -> Iterator[tuple[Discern, tuple[str, int]]]:
    port = free_port()
    own = {
        "MODELS_DIR": str(release), "DEVICE": "cpu", "PACS__PORT": str(port), "SPOOL__RESERVE_BYTES": "0",
        "WORK__RETRY_FIRST_S": "0.3", "WORK__RETRY_MOST_S": "1",
    }  # fmt: skip
    process = Discern(folder, ["pacs", "serve"], own | settings, [("127.0.0.1", port)])
    try:
        yield process, ("127.0.0.1", port)
    finally:
        process.kill()


def fhir_destination(server: FhirServer, **more: Any) -> dict[str, Any]:
    return {"name": "fhir", "kind": "fhir", "url": server.url, "timeout_s": 5} | more


def numbers(receiver: Receiver) -> list[int]:
    found = [re.search(rb'\[discern@32473 number="(\d+)"', message) for message in receiver.messages]
    return [int(match[1]) for match in found if match]


def test_films_become_reports_once_and_every_event_is_audited(release: Path, tmp_path: Path) -> None:
    sent = [films.film(number) for number in range(4)]
    refused = films.refusals()["lateral_view"]
    with fhir_server() as server, receiving() as receiver:
        server.conduct.always = (503, "text/plain", b"down")
        settings = {
            "DESTINATIONS": [fhir_destination(server)], "FHIR__PATIENT_SYSTEM": "urn:oid:1.2.3",
            "AUDIT__SYSLOG": f"tcp://127.0.0.1:{receiver.port}", "AUDIT__SITE": "General",
        }  # fmt: skip
        with hospital(tmp_path, release, **settings) as (process, address):
            process.start()
            assert senders.c_store(address, [each.content for each in [*sent, refused]]) == [0] * 5
            wait_until(lambda: len(server.store.requests) > 5, "bundles were refused for a while")
            process.kill()
            server.conduct.always = None
            process.start()
            wait_until(lambda: process.status()["idle"], "idle, at the latest after a claim has lapsed", 180, 0.5)
            assert process.stop() == 0
            spool = process.spool

        reports = server.store.of("DiagnosticReport")
        assert sorted(report["status"] for report in reports) == ["cancelled", *["preliminary"] * 4]
        assert len(server.store.of("ImagingStudy")) == len({film.study_instance_uid for film in [*sent, refused]})
        assert {report["subject"]["identifier"]["system"] for report in reports} == {"urn:oid:1.2.3"}
        wait_until(lambda: len(set(numbers(receiver))) == len(oracle.audit_records(spool / "audit")), "all forwarded")

        records = oracle.audit_records(spool / "audit")
        assert list(dict.fromkeys(numbers(receiver))) == [record["n"] for record in records]
        counts = oracle.audit_counts(spool / "audit")
        assert (counts["received"], counts["created"], counts["sent"]) == (5, 5, 5)
        assert counts["started"] == 2


@pytest.mark.slow
def test_nothing_that_is_left_behind_names_a_patient(release: Path, tmp_path: Path) -> None:
    """At debug level, with destinations that fail in every way, and objects that mean harm."""
    odd = films.dataset(20, PatientID=f"{films.CANARY}-20")
    del odd.PixelData
    contents = [
        *(films.film(number).content for number in range(len(films.NAMES))),
        *(film.content for film in films.refusals().values()),
        films.other_content(films.film(0)).content,
        dicom_bytes(odd),
        films.film(21, PatientID=f"{films.CANARY}-21").content[:-4000],
        hostile.nested(40, films.CANARY),
        hostile.evil_uid(f"../../{films.CANARY}"),
    ]
    with fhir_server() as server, receiving() as receiver:
        server.conduct.always = (422, "application/fhir+json", b'{"resourceType":"OperationOutcome","issue":[]}')
        settings = {
            "LOG_LEVEL": "debug", "AUDIT__SYSLOG": f"tcp://127.0.0.1:{receiver.port}",
            "DESTINATIONS": [
                fhir_destination(server),
                {"name": "gone", "kind": "stow", "url": f"http://127.0.0.1:{free_port()}/dicom-web", "timeout_s": 1},
            ],
        }  # fmt: skip
        with hospital(tmp_path, release, **settings) as (process, address):
            process.start()
            for content in contents:
                with contextlib.suppress(Exception):  # what pydicom cannot send stays here
                    senders.c_store(address, [content], timeout_s=10)
            wait_until(lambda: not process.status()["jobs"].get("queued"), "everything was answered", 60)
            status = process.run("pacs", "status")
            replay = process.run("pacs", "replay")
            process.stop()
            spool = process.spool

        heard = process.log.read_bytes() + (status.stdout + status.stderr + replay.stdout + replay.stderr).encode()
        heard += b"".join(receiver.messages)
        assert b"answered" in heard
        assert len(oracle.audit_records(spool / "audit")) > len(films.NAMES)
        assert CANARY not in heard.lower()
        assert oracle.traces_of_patients(process.temporary) == []
        kept = [path for path in spool.rglob("*") if path.is_file()]
        assert [path.name for path in kept if CANARY in path.name.lower().encode()] == []
        naming = [path for path in kept if CANARY in path.read_bytes().lower()]
        assert {path.relative_to(spool).parts[0] for path in naming} == {"objects"}, "only films and results name them"
        assert {"jobs.sqlite", "audit", "workflows.sqlite"} <= {path.relative_to(spool).parts[0] for path in kept}
