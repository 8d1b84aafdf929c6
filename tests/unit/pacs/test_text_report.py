"""Basic Text SR: the answer in sentences."""

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread

from app.bootstrap import open_services
from app.codecs.dicom_identity import DicomObjectReader
from app.codecs.limits import DecodeLimits
from app.domain.result_identity import ResultKind
from app.pacs.result_builder import DicomResultBuilder
from app.services.hospital.records import ResultContext
from app.services.options import ScreeningOptions
from app.services.screening import Screening
from app.settings import load_settings
from tests.integration.pacs import films


@pytest.fixture(scope="module")
def screening(release: Path, film_png: bytes) -> Screening:
    with open_services(load_settings({}, models_dir=release, device="cpu")) as services:
        return services.screening.screen(film_png, ScreeningOptions())


def test_a_text_report_says_what_both_experts_say_behind_the_disclaimer(screening: Screening) -> None:
    source = DicomObjectReader(DecodeLimits(), b"key").identify(films.film(3).content)
    assert source is not None
    context = ResultContext("models-1", datetime(2026, 1, 1, tzinfo=UTC))

    (built,) = DicomResultBuilder().answered(source, screening, context, {ResultKind.TEXT_REPORT})

    read = dcmread(io.BytesIO(built.content))
    sentences = [item.TextValue for item in read.ContentSequence[0].ContentSequence]
    assert "Research use, not for primary diagnosis" in sentences[0]
    for expert in screening.result.experts.values():
        assert any(f"{expert.decision}, probability {expert.probability:.3f}" in text for text in sentences)
    assert read.CurrentRequestedProcedureEvidenceSequence[0].StudyInstanceUID == source.study_instance_uid
