"""The reading list and comparisons, over answers that a real worker's service made."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.bootstrap import open_services
from app.bootstrap.hospital import HospitalSide, open_hospital
from app.bootstrap.worker import make_answering
from app.main import create_app
from app.services.hospital.records import Arrival, Origin
from app.settings import Settings
from tests.api.conftest import settings_with_spool
from tests.api.problems import assert_problem
from tests.integration.pacs import films
from tests.phantoms import chest_film, png_bytes

ARRIVAL = Arrival(Origin.C_STORE, "MODALITY")


@pytest.fixture
def settings(release_with_lungs: Path, tmp_path: Path) -> Settings:
    return settings_with_spool(release_with_lungs, tmp_path)


@pytest.fixture
def side(settings: Settings) -> Iterator[HospitalSide]:
    with open_hospital(settings) as opened:
        yield opened


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings)) as made:
        yield made


def answer_all(side: HospitalSide) -> None:
    with open_services(side.settings) as services:
        answering = make_answering(side, services, {})
        for job, _ in side.table.claim_films(100, 60.0):
            answering.answer(job)


def take(side: HospitalSide, number: int, **elements: Any) -> str:  # Any: as films.film takes them
    receipt = side.receiver.receive(films.film(number, **elements).content, ARRIVAL)
    assert receipt.job_id is not None
    return receipt.job_id


def test_what_may_be_missed_comes_first_and_refusals_are_not_lost(client: TestClient, side: HospitalSide) -> None:
    answered = [take(side, number) for number in range(3)]
    refused = side.receiver.receive(next(iter(films.refusals().values())).content, ARRIVAL).job_id
    answer_all(side)
    waiting = take(side, 7)

    listed = client.get("/v1/reading-list").json()["films"]

    assert {film["job_id"] for film in listed} == {*answered, refused, waiting}
    assert [film["rank"] for film in listed] == [1, 2, 3, 4, 5]
    order = ["positive", "needs_eyes", "negative"]
    ranks = [order.index(film["urgency"]) for film in listed]
    assert ranks == sorted(ranks)
    assert {film["job_id"] for film in listed if film["urgency"] == "needs_eyes"} >= {refused, waiting}


def test_answers_and_refusals_are_given_as_fhir_without_a_fhir_server(client: TestClient, side: HospitalSide) -> None:
    answered, waiting = take(side, 1), take(side, 2)
    refused = side.receiver.receive(next(iter(films.refusals().values())).content, ARRIVAL).job_id
    upload = side.receiver.receive(png_bytes(chest_film(320, 288)), Arrival(Origin.UPLOAD, "nurse")).job_id
    side.table.cancel(waiting, "cancelled_by_operator", "taken back")
    answer_all(side)

    said = client.get(f"/v1/jobs/{answered}/fhir")

    assert said.headers["content-type"] == "application/fhir+json"
    assert said.headers["cache-control"] == "private, no-store"
    found = {each["resource"]["resourceType"]: each["resource"] for each in said.json()["entry"]}
    assert found.keys() == {"ImagingStudy", "Device", "Observation", "DiagnosticReport", "Provenance"}
    assert found["DiagnosticReport"]["status"] == "preliminary"
    report = client.get(f"/v1/jobs/{refused}/fhir").json()
    assert {
        each["resource"]["status"]
        for each in report["entry"]
        if each["resource"]["resourceType"] in {"DiagnosticReport", "Observation"}
    } == {"cancelled"}
    no_study = assert_problem(client.get(f"/v1/jobs/{upload}/fhir"), 409, "job_conflict")
    assert "only films that are DICOM objects" in no_study
    assert "it is cancelled" in assert_problem(client.get(f"/v1/jobs/{waiting}/fhir"), 409, "job_conflict")
    side.housekeeping.purge(side.table.job(answered), "an operator")
    assert_problem(client.get(f"/v1/jobs/{answered}/fhir"), 404, "job_not_found")


def test_two_films_of_one_patient_are_compared(client: TestClient, side: HospitalSide) -> None:
    patient = {"PatientID": "P-1", "IssuerOfPatientID": "H"}
    earlier = take(side, 1, **patient, StudyDate="20260101", ContentDate="20260101", AcquisitionDate="20260101")
    later = take(side, 2, **patient, StudyDate="20260111", ContentDate="20260111", AcquisitionDate="20260111")
    answer_all(side)

    found = client.get(f"/v1/jobs/{later}/comparison").json()

    assert found["earlier_job_id"] == earlier
    assert found["days"] == pytest.approx(10.0, abs=1.0)
    assert found["experts"]
    for change in found["experts"].values():
        assert change["change_of_probability"] == change["probability"] - change["earlier_probability"]
    assert_problem(client.get(f"/v1/jobs/{earlier}/comparison"), 409, "job_conflict")


def test_films_of_another_patient_are_no_priors(client: TestClient, side: HospitalSide) -> None:
    take(side, 1, PatientID="P-1", StudyDate="20260101")
    later = take(side, 2, PatientID="P-2", StudyDate="20260111")
    answer_all(side)

    said = assert_problem(client.get(f"/v1/jobs/{later}/comparison"), 409, "job_conflict")

    assert "no earlier film" in said
