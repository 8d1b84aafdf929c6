"""Films are exported and the audit trail is verified by the commands that an operator has."""

import json
from pathlib import Path

import pytest
from pydicom import dcmread

from tests.integration.pacs import films, oracle, senders
from tests.integration.pacs.orthanc import wait_until
from tests.integration.pacs.ports import free_port
from tests.integration.pacs.processes import Discern

pytestmark = pytest.mark.integration


def test_an_operator_exports_films_and_sees_that_the_trail_is_whole(release: Path, tmp_path: Path) -> None:
    port = free_port()
    settings = {
        "MODELS_DIR": str(release), "DEVICE": "cpu", "PACS__PORT": str(port), "SPOOL__RESERVE_BYTES": "0",
        "AUDIT__SYSLOG": f"udp://127.0.0.1:{free_port()}",
    }  # fmt: skip
    process = Discern(tmp_path, ["pacs", "serve"], settings, [("127.0.0.1", port)])
    sent = [films.film(number) for number in range(3)]
    try:
        process.start()
        assert senders.c_store(("127.0.0.1", port), [each.content for each in sent]) == [0] * 3
        wait_until(lambda: process.status()["idle"], "idle", 180, 0.5)
        process.stop()
    finally:
        process.kill()
    jobs = sorted(oracle.audited_jobs(process.spool / "audit", "received"))
    out = tmp_path / "copies"

    exported = process.run("pacs", "export", *jobs, "no-such-job", "--out", str(out), "--recipient", "Study 7")
    other = process.run("pacs", "export", jobs[0], "--out", str(tmp_path / "other"), "--recipient", "Study 8")
    again = process.run("pacs", "export", *jobs, "--out", str(out), "--recipient", "Study 7")

    assert (exported.returncode, other.returncode, again.returncode) == (1, 0, 0)
    assert "no-such-job" in exported.stderr
    copies = [dcmread(path) for path in sorted(out.iterdir())]
    assert len(copies) == 3, "the same film is the same file"
    assert oracle.traces_of_patients(out) == []
    assert {copy.PatientIdentityRemoved for copy in copies} == {"YES"}
    (elsewhere,) = [dcmread(path) for path in (tmp_path / "other").iterdir()]
    assert elsewhere.PatientID not in {copy.PatientID for copy in copies}
    assert films.CANARY not in exported.stdout + exported.stderr

    audit = process.run("pacs", "audit", "--json")
    found = json.loads(audit.stdout)
    assert (audit.returncode, found["problems"]) == (0, [])
    assert oracle.audit_counts(process.spool / "audit")["exported"] == 7
    assert set(found["receivers"]) == {"syslog"}

    (trail,) = (process.spool / "audit").glob("audit-*.jsonl")
    trail.write_bytes(trail.read_bytes().replace(b"Study 8", b"Study 9", 1))
    broken = process.run("pacs", "audit")
    assert broken.returncode == 1
    assert "does not follow" in broken.stdout


def test_what_may_identify_by_its_pixels_is_not_exported_unasked(release: Path, tmp_path: Path) -> None:
    port = free_port()
    settings = {"MODELS_DIR": str(release), "DEVICE": "cpu", "PACS__PORT": str(port), "SPOOL__RESERVE_BYTES": "0"}
    process = Discern(tmp_path, ["pacs", "serve", "--roles", "listen"], settings, [("127.0.0.1", port)])
    try:
        process.start()
        senders.c_store(("127.0.0.1", port), [films.film(1, BurnedInAnnotation="YES").content])
        process.stop()
    finally:
        process.kill()
    (job,) = oracle.audited_jobs(process.spool / "audit", "received")
    to = ("--out", str(tmp_path / "copies"), "--recipient", "x")

    refused = process.run("pacs", "export", job, *to)
    blanked = process.run("pacs", "export", job, *to, "--blank", "0,0,40,12")
    misspelt = process.run("pacs", "export", job, *to, "--blank", "0,0,40")

    assert (refused.returncode, blanked.returncode, misspelt.returncode) == (1, 0, 1)
    assert "pixels" in refused.stderr
    (copy,) = [dcmread(path) for path in (tmp_path / "copies").iterdir()]
    assert not copy.pixel_array[:12, :40].any()
