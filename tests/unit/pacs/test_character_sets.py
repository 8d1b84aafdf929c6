"""Results name the patient as the film does, whatever the character set."""

import io
from datetime import UTC, datetime

import pytest
from pydicom import dcmread

from app.codecs.dicom_identity import DicomObjectReader
from app.codecs.limits import DecodeLimits
from app.domain.result_identity import ResultKind
from app.pacs.result_builder import DicomResultBuilder
from app.services.hospital.records import Refusal, ResultContext
from tests.integration.pacs import films

KINDS = {ResultKind.SECONDARY_CAPTURE, ResultKind.FINDINGS_REPORT}


@pytest.mark.parametrize("patient", range(len(films.NAMES)), ids=[str(each) for each, _ in films.NAMES])
def test_a_result_names_the_patient_in_the_films_character_set(patient: int) -> None:
    film = dcmread(io.BytesIO(films.film(3 * patient).content))
    source = DicomObjectReader(DecodeLimits(), b"key" * 11).identify(films.film(3 * patient).content)
    assert source is not None
    context = ResultContext("models-1", datetime(2026, 1, 1, tzinfo=UTC))

    objects = DicomResultBuilder().refused(source, Refusal("lateral_view", "(0018,5101) is LL"), context, KINDS)

    assert len(objects) == 2
    for each in objects:
        result = dcmread(io.BytesIO(each.content))
        assert result.PatientName == film.PatientName
        assert str(result.PatientName).rstrip("^") == films.NAMES[patient][1].rstrip("^")
        assert (result.get("SpecificCharacterSet") or "") == (film.get("SpecificCharacterSet") or "")
