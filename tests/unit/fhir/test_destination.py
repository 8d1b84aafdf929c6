import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.domain.errors import DestinationError
from app.domain.result_identity import ResultKind
from app.fhir.bundle import FhirBundleBuilder
from app.fhir.client import FhirAddress, FhirClient
from app.fhir.destination import FhirDestination
from app.services.hospital.records import Confirmation, Refusal, ResultObject
from tests.unit.fhir.fhir_server import FhirServer, fhir_server
from tests.unit.fhir.screenings import CONTEXT, SOURCE, identified, screened

KINDS = frozenset({ResultKind.FHIR_BUNDLE})


@pytest.fixture
def server() -> Iterator[FhirServer]:
    with fhir_server() as running:
        yield running


@pytest.fixture
def destination(server: FhirServer) -> Iterator[FhirDestination]:
    client = FhirClient(FhirAddress(server.url, timeout_s=1.0))
    yield FhirDestination("fhir", client)
    client.close()


@pytest.fixture(scope="module")
def bundle(release: Path, film_png: bytes) -> ResultObject:
    screening = screened(release, film_png)
    (found,) = FhirBundleBuilder(identified).answered(SOURCE, screening, CONTEXT, KINDS)
    return found


@pytest.fixture(scope="module")
def refusal() -> ResultObject:
    reason = Refusal("no_pixels", "the object has no pixels")
    (found,) = FhirBundleBuilder(identified).refused(SOURCE, reason, CONTEXT, KINDS)
    return found


def test_what_is_sent_is_held_and_a_repeat_changes_nothing(
    destination: FhirDestination, server: FhirServer, bundle: ResultObject
) -> None:
    uid = bundle.sop_instance_uid
    assert destination.confirm([bundle]) == {uid: Confirmation.MISSING}

    sent = destination.send([bundle])
    held = json.dumps(server.store.resources.__repr__())
    again = destination.send([bundle])

    assert sent[uid].accepted
    assert again[uid].accepted
    assert json.dumps(server.store.resources.__repr__()) == held
    assert len(server.store.of("DiagnosticReport")) == 1
    assert destination.confirm([bundle]) == {uid: Confirmation.HELD}


def test_the_study_that_the_hospital_has_is_used_and_not_touched(
    destination: FhirDestination, server: FhirServer, bundle: ResultObject
) -> None:
    theirs = {
        "resourceType": "ImagingStudy", "id": "theirs", "status": "available",
        "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}],
    }  # fmt: skip
    server.store.resources["ImagingStudy", "theirs"] = dict(theirs)

    destination.send([bundle])

    assert server.store.of("ImagingStudy") == [theirs]
    (report,) = server.store.of("DiagnosticReport")
    assert report["imagingStudy"] == [{"reference": "ImagingStudy/theirs"}]


def test_two_films_of_a_study_share_it_and_the_devices(
    destination: FhirDestination, server: FhirServer, bundle: ResultObject, refusal: ResultObject
) -> None:
    destination.send([bundle])
    devices = len(server.store.of("Device"))
    text = bundle.content.decode().replace("1.2.3.4.5", "1.2.3.4.6")
    for uid in {entry["resource"]["identifier"][0]["value"] for entry in json.loads(text)["entry"] if
                entry["resource"]["resourceType"] in ("Observation", "DiagnosticReport")}:  # fmt: skip
        text = text.replace(uid.removeprefix("urn:oid:"), uid.removeprefix("urn:oid:") + "1")

    outcome = destination.send([ResultObject(ResultKind.FHIR_BUNDLE, "", "2.25.1", "", "1.2.3", text.encode())])

    assert outcome["2.25.1"].accepted
    assert len(server.store.of("ImagingStudy")) == 1
    assert len(server.store.of("Device")) == devices
    assert len(server.store.of("DiagnosticReport")) == 2


@pytest.mark.parametrize("one_by_one", [False, True])
def test_what_a_server_holds_twice_holds_nothing_up(server: FhirServer, bundle: ResultObject, one_by_one: bool) -> None:
    """Two workers' first films may make two of a Device, which every later film names."""
    client = FhirClient(FhirAddress(server.url, timeout_s=1.0))
    destination = FhirDestination("fhir", client, one_by_one=one_by_one)
    entries = [entry["resource"] for entry in json.loads(bundle.content)["entry"]]
    shared = [each for each in entries if each["resourceType"] in {"Device", "ImagingStudy"}]
    for number, resource in enumerate(shared):
        for name in (f"b{number}", f"a{number}"):
            server.store.resources[resource["resourceType"], name] = resource | {"id": name}

    assert destination.send([bundle])[bundle.sop_instance_uid].accepted
    assert destination.confirm([bundle]) == {bundle.sop_instance_uid: Confirmation.HELD}

    client.close()
    (study,) = [f"ImagingStudy/a{n}" for n, each in enumerate(shared) if each["resourceType"] == "ImagingStudy"]
    (report,) = server.store.of("DiagnosticReport")
    assert report["imagingStudy"] == [{"reference": study}]
    assert len(server.store.of("Device")) + len(server.store.of("ImagingStudy")) == 2 * len(shared)
    (provenance,) = server.store.of("Provenance")
    assert provenance["agent"][0]["who"]["reference"] in {f"Device/a{number}" for number in range(len(shared))}
    assert len(provenance["target"]) == 1 + len(report["result"]) == 1 + len(server.store.of("Observation"))


OUTCOME = json.dumps(
    {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": "invalid", "diagnostics": "subject CANARY-ID-4711 is unknown"}],
    }
).encode()
NOT_COMMITTED = json.dumps(
    {
        "resourceType": "Bundle", "type": "transaction-response",
        "entry": [{"response": {"status": "201"}}, {"response": {"status": "422", "outcome": json.loads(OUTCOME)}}],
    }
).encode()  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "code", "permanent"),
    [
        (400, OUTCOME, "400", True),
        (422, OUTCOME, "422", True),
        (412, OUTCOME, "412", True),
        (413, b"<html>CANARY</html>", "413", True),
        (409, OUTCOME, "409", False),
        (200, NOT_COMMITTED, "422", False),
        (200, b'{"resourceType":"Bundle","type":"transaction-response"}', "200", False),
        (200, OUTCOME, "200", False),
    ],
)
def test_a_bundle_that_is_refused_is_not_accepted_and_the_reason_names_nobody(  # noqa: PLR0917 - fixtures, drawn values
    destination: FhirDestination, server: FhirServer, bundle: ResultObject,
    status: int, body: bytes, code: str, permanent: bool,
) -> None:  # fmt: skip
    server.conduct.always = (status, "application/fhir+json", body)

    (outcome,) = destination.send([bundle]).values()

    assert (outcome.accepted, outcome.code, outcome.permanent) == (False, code, permanent)
    assert "CANARY" not in outcome.detail
    assert ("invalid" in outcome.detail) == (body in (OUTCOME, NOT_COMMITTED) and outcome.code != "200")


@pytest.mark.parametrize(
    ("status", "reason", "permanent"),
    [
        (401, "unauthorized", True),
        (403, "unauthorized", True),
        (404, "not_a_fhir_server", True),
        (302, "not_a_fhir_server", True),
        (200, "not_a_fhir_server", True),
        (429, "server_error", False),
        (500, "server_error", False),
        (503, "server_error", False),
    ],
)
def test_a_server_that_does_not_do_its_work_is_told_apart_by_what_can_help(
    destination: FhirDestination, server: FhirServer, bundle: ResultObject, status: int, reason: str, permanent: bool
) -> None:
    server.conduct.always = (status, "text/html", b"<html>CANARY</html>")

    for asked in (destination.send, destination.confirm):
        with pytest.raises(DestinationError) as failed:
            asked([bundle])

        assert (failed.value.reason, failed.value.permanent) == (reason, permanent)
        assert "CANARY" not in str(failed.value)


def test_a_server_that_hangs_hangs_up_or_is_not_there_costs_a_bounded_time(
    destination: FhirDestination, server: FhirServer, bundle: ResultObject
) -> None:
    server.conduct.hang_s = 5.0
    with pytest.raises(DestinationError) as hung:
        destination.send([bundle])
    server.conduct.hang_s = 0.0
    server.conduct.drop = True
    with pytest.raises(DestinationError):
        destination.send([bundle])
    client = FhirClient(FhirAddress("http://127.0.0.1:9/fhir", timeout_s=1.0))
    with pytest.raises(DestinationError):
        FhirDestination("nobody", client).send([bundle])
    client.close()

    assert hung.value.reason == "timeout"


def test_an_endless_answer_is_cut_off(destination: FhirDestination, server: FhirServer, bundle: ResultObject) -> None:
    server.conduct.always = (200, "application/fhir+json", b" " * (17 * 1024 * 1024))

    with pytest.raises(DestinationError, match="exceeds"):
        destination.send([bundle])


def test_what_was_acknowledged_but_is_not_there_is_missing(
    destination: FhirDestination, server: FhirServer, bundle: ResultObject
) -> None:
    server.conduct.forget = True
    assert destination.send([bundle])[bundle.sop_instance_uid].accepted

    assert destination.confirm([bundle]) == {bundle.sop_instance_uid: Confirmation.MISSING}


def test_a_server_that_finds_everything_confirms_nothing(
    destination: FhirDestination, server: FhirServer, bundle: ResultObject, refusal: ResultObject
) -> None:
    other = {"resource": {"resourceType": "DiagnosticReport", "identifier": [{"value": "urn:oid:1.2"}]}}
    hits = {"resourceType": "Bundle", "type": "searchset", "entry": [other]}
    server.conduct.always = (200, "application/fhir+json", json.dumps(hits).encode())

    assert destination.confirm([bundle, refusal]) == {
        bundle.sop_instance_uid: Confirmation.MISSING,
        refusal.sop_instance_uid: Confirmation.MISSING,
    }


def test_credentials_come_in_and_show_nowhere(
    server: FhirServer, bundle: ResultObject, caplog: pytest.LogCaptureFixture
) -> None:
    server.store.token = "a-secret"
    address = FhirAddress(server.url, token="a-secret", timeout_s=2.0)
    client = FhirClient(address)
    with caplog.at_level(logging.DEBUG):
        assert FhirDestination("fhir", client).send([bundle])[bundle.sop_instance_uid].accepted
        FhirDestination("fhir", client).confirm([bundle])
    client.close()

    assert "a-secret" not in repr(address) + caplog.text
    assert "CANARY" not in caplog.text
    assert "CANARY" not in "".join(server.store.requests), "a URL names a patient"


@pytest.mark.parametrize("url", ["ftp://host/fhir", "https://user:pw@host/fhir", "https://host/fhir?x=1", "host/fhir"])
def test_an_address_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="address") as refused:
        FhirClient(FhirAddress(url))

    assert "pw" not in str(refused.value)


@pytest.fixture
def one_by_one(server: FhirServer) -> Iterator[FhirDestination]:
    client = FhirClient(FhirAddress(server.url, timeout_s=2.0))
    yield FhirDestination("fhir", client, one_by_one=True)
    client.close()


@pytest.mark.parametrize("silent", [False, True])
def test_a_server_without_transactions_gets_the_same_one_by_one(
    one_by_one: FhirDestination, destination: FhirDestination, server: FhirServer, bundle: ResultObject, silent: bool
) -> None:
    server.conduct.transactions, server.conduct.silent = False, silent
    uid = bundle.sop_instance_uid
    refused = destination.send([bundle])[uid]
    assert (refused.permanent, refused.detail) == (True, "the bundle was refused: too-costly")

    assert one_by_one.send([bundle])[uid].accepted
    held = {kind: len(server.store.of(kind)) for kind in ("ImagingStudy", "Device", "Observation", "Provenance")}
    assert one_by_one.send([bundle])[uid].accepted

    assert one_by_one.confirm([bundle]) == {uid: Confirmation.HELD}
    assert {kind: len(server.store.of(kind)) for kind in held} == held
    assert held["Observation"] > 10


def test_what_was_cut_off_is_no_result_until_it_is_finished(
    one_by_one: FhirDestination, server: FhirServer, bundle: ResultObject
) -> None:
    server.conduct.fails_after = 9
    with pytest.raises(DestinationError):
        one_by_one.send([bundle])
    assert server.store.of("DiagnosticReport") == []
    assert one_by_one.confirm([bundle]) == {bundle.sop_instance_uid: Confirmation.MISSING}

    server.conduct.fails_after = None
    assert one_by_one.send([bundle])[bundle.sop_instance_uid].accepted

    entries = json.loads(bundle.content)["entry"]
    assert len(server.store.resources) == len(entries)


def test_one_by_one_the_kind_of_resource_that_was_refused_is_named(
    one_by_one: FhirDestination, server: FhirServer, bundle: ResultObject
) -> None:
    server.conduct.always = (422, "application/fhir+json", OUTCOME)

    (outcome,) = one_by_one.send([bundle]).values()

    assert (outcome.accepted, outcome.permanent) == (False, True)
    assert outcome.detail == "ImagingStudy was refused: invalid"


def test_a_dicom_object_is_no_matter_for_a_fhir_server(destination: FhirDestination, server: FhirServer) -> None:
    stray = ResultObject(ResultKind.NOT_ANALYSED, "1.2.840.10008.5.1.4.1.1.88.34", "2.25.7", "2.25.8", "1.2.3", b"DICM")

    outcome = destination.send([stray])["2.25.7"]

    assert (outcome.accepted, outcome.permanent) == (False, True)
    assert server.store.requests == []
