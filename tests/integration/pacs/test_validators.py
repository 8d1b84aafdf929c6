"""The validators find what is wrong, and nothing where nothing is: on objects of highdicom's and on our drawn films."""

import io
from typing import Any

import pytest
from highdicom import sr, uid
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from tests.integration.pacs import films, validators
from tests.phantoms import dicom_bytes

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(validators.why_not() is not None, reason=str(validators.why_not())),
]


def written(made: Any) -> bytes:
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def report() -> bytes:
    device = sr.ObserverContext(codes.DCM.Device, sr.DeviceObserverIdentifyingAttributes(uid=uid.UID()))
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=uid.UID(), identifier="lung"),
        finding_type=sr.CodedConcept("233604007", "SCT", "Pneumonia"),
        measurements=[
            sr.Measurement(sr.CodedConcept("122157", "DCM", "Probability"), value=0.5, unit=codes.UCUM.NoUnits)
        ],
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=device),
        procedure_reported=sr.CodedConcept("363679005", "SCT", "Imaging procedure"),
        imaging_measurements=[group],
    )
    return written(
        sr.Comprehensive3DSR(
            evidence=[films.dataset(0)], content=content, series_number=1, series_instance_uid=uid.UID(),
            sop_instance_uid=uid.UID(), instance_number=1, manufacturer="Testbed",
        )
    )  # fmt: skip


def test_sound_objects_are_clean() -> None:
    assert validators.errors(films.film(0).content) == []
    assert validators.errors(films.film(3).content) == []
    assert validators.errors(report()) == []


def test_a_film_without_photometric_interpretation_is_found() -> None:
    broken = films.dataset(0, PhotometricInterpretation=None)

    assert any("PhotometricInterpretation" in line for line in validators.dciodvfy(dicom_bytes(broken)))


def test_a_report_that_leaves_its_template_is_found() -> None:
    broken = dcmread(io.BytesIO(report()))
    last: Dataset = broken.ContentSequence[-1]
    last.ConceptNameCodeSequence[0].CodeValue = "999"

    assert validators.sr_validator(written(broken))


def test_what_is_no_report_is_not_passed_as_one() -> None:
    assert validators.sr_validator(films.film(0).content)
