"""Every result object is clean by both validators, whatever film it came of (docs/faults.md, F11, F14)."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from app.bootstrap import open_services
from app.codecs.dicom_identity import DicomObjectReader
from app.codecs.limits import DecodeLimits
from app.domain.result_identity import ResultKind
from app.pacs.result_builder import DicomResultBuilder
from app.services.hospital.records import Refusal, ResultContext, ResultObject
from app.services.options import ScreeningOptions
from app.services.screening import Screening
from app.settings import Settings
from tests.integration.pacs import films, soundness, validators
from tests.phantoms import RIGHT_LOWER, chest_film, dicom_bytes, dicom_dataset

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(validators.why_not() is not None, reason=str(validators.why_not())),
]
CONTEXT = ResultContext("models-3f2a91c0d4e7-1", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
BUILDER = DicomResultBuilder()


@pytest.fixture(scope="module")
def screening(toy_models: Path) -> Iterator[Screening]:
    """Both toy experts find the phantom positive."""
    with open_services(Settings(models_dir=toy_models)) as services:
        content = dicom_bytes(dicom_dataset(chest_film(320, 288, opacities=(RIGHT_LOWER,))))
        yield services.screening.screen(content, ScreeningOptions(overlay_px=768))


def objects_of(content: bytes, screening: Screening) -> tuple[ResultObject, ...]:
    source = DicomObjectReader(DecodeLimits(), b"key" * 11).identify(content)
    assert source is not None
    refusal = Refusal("lateral_view", "(0018,5101) is LL; PA or AP expected")
    return BUILDER.answered(source, screening, CONTEXT, set(ResultKind)) + BUILDER.refused(
        source, refusal, CONTEXT, set(ResultKind)
    )


SOURCES: dict[str, dict[str, Any]] = {
    "complete": {},
    "nothing optional": dict.fromkeys(
        ("PatientBirthDate", "PatientSex", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName",
         "SpecificCharacterSet", "Manufacturer", "SeriesNumber")
    ),
    "empty": dict.fromkeys(("PatientName", "PatientID", "PatientSex", "StudyDate", "StudyTime"), ""),
    "illegal": {"PatientBirthDate": "unknown", "StudyDate": "20261399", "PatientSex": "X", "PatientAge": "old"},
    "another display": {
        "PhotometricInterpretation": "MONOCHROME1", "WindowCenter": ["1200", "300"], "WindowWidth": ["900.5", "10"],
        "VOILUTFunction": "SIGMOID", "ImagerPixelSpacing": ["0.2", "0.1"], "LossyImageCompression": "01",
        "LossyImageCompressionRatio": "12.5", "LossyImageCompressionMethod": "ISO_10918_1",
    },
    "tables": {
        "VOILUTSequence": [films.lookup_table(-100, range(0, 1 << 16, 257))], "RescaleIntercept": "-100",
        "RescaleSlope": "2", "RescaleType": "unspecified", "FrameOfReferenceUID": "1.2.3.4",
        "PixelSpacing": ["0.15", "0.15"], "LossyImageCompression": "01",
    },
    "quantities": {
        "PatientAge": "056Y", "PatientSize": "1.75", "PatientWeight": "71", "TimezoneOffsetFromUTC": "+0200",
    },
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # pydicom's, of what is odd on purpose
@pytest.mark.parametrize("elements", SOURCES.values(), ids=SOURCES.keys())
def test_objects_of_odd_films_are_clean(elements: dict[str, Any], screening: Screening) -> None:
    made = dicom_dataset(chest_film(320, 288, opacities=(RIGHT_LOWER,)), elements=elements)

    objects = objects_of(dicom_bytes(made), screening)

    assert {each.kind for each in objects} == set(ResultKind) - {ResultKind.FHIR_BUNDLE}
    assert [f"{each.kind}: {line}" for each in objects for line in validators.dciodvfy(each.content)] == []


@pytest.mark.slow
@pytest.mark.parametrize("patient", range(len(films.NAMES)), ids=[str(each) for each, _ in films.NAMES])
def test_objects_in_every_character_set_are_clean(patient: int, screening: Screening) -> None:
    objects = objects_of(films.film(3 * patient + patient % 2).content, screening)

    assert [f"{each.kind}: {line}" for each in objects for line in validators.dciodvfy(each.content)] == []


@pytest.mark.slow
def test_reports_follow_their_templates(screening: Screening) -> None:
    """What a report says does not depend on the film's header: one film is enough for the slower validator."""
    reports = [each for each in objects_of(films.film(0).content, screening) if validators.is_report(each.content)]

    assert {each.kind for each in reports} == {
        ResultKind.REGIONS_REPORT, ResultKind.FINDINGS_REPORT, ResultKind.TEXT_REPORT, ResultKind.NOT_ANALYSED,
    }  # fmt: skip
    assert [f"{each.kind}: {line}" for each in reports for line in validators.sr_validator(each.content)] == []


def test_codes_mean_what_they_say(screening: Screening) -> None:
    triples = {
        (str(item.CodeValue), str(item.CodingSchemeDesignator), str(item.CodeMeaning))
        for each in objects_of(films.film(0).content, screening)
        for item in soundness.coded(dcmread(io.BytesIO(each.content)))
    }

    meanings: dict[tuple[str, str], set[str]] = {}
    for value, scheme, meaning in triples:
        meanings.setdefault((value, scheme), set()).add(meaning)
    assert {key: each for key, each in meanings.items() if len(each) > 1} == {}
    assert {scheme for _, scheme, _ in triples} <= {"DCM", "SCT", "LN", "UCUM", "RFC5646", "99DISCERN"}
