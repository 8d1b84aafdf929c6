"""The document around a report's content is the one that highdicom would make."""

import io
from datetime import UTC, datetime

import pytest
from highdicom.sr import Comprehensive3DSR
from pydicom import dcmread

from app.codecs.dicom_identity import DicomObjectReader
from app.codecs.limits import DecodeLimits
from app.domain.result_identity import ResultKind
from app.pacs.result_builder import DicomResultBuilder
from app.services.hospital.records import Refusal, ResultContext
from tests.integration.pacs import films
from tests.phantoms import dicom_bytes

OURS = {
    "SpecificCharacterSet", "SoftwareVersions", "DeviceSerialNumber", "ManufacturerModelName", "SeriesDescription",
    "SeriesDate", "SeriesTime", "IssuerOfPatientID",
}  # fmt: skip
TIMES = {"InstanceCreationDate", "InstanceCreationTime", "ContentDate", "ContentTime"}


@pytest.mark.parametrize("missing", [(), ("PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyTime")])
def test_it_has_every_element_that_highdicom_gives_it(missing: tuple[str, ...]) -> None:
    film = films.dataset(0, SpecificCharacterSet="ISO_IR 192")
    for keyword in missing:
        delattr(film, keyword)
    content = dicom_bytes(film)
    source = DicomObjectReader(DecodeLimits(), b"key" * 11).identify(content)
    assert source is not None
    context = ResultContext("models-1", datetime(2026, 1, 1, tzinfo=UTC))

    first, *_ = DicomResultBuilder().refused(
        source, Refusal("lateral_view", "(0018,5101) is LL"), context, {ResultKind.FINDINGS_REPORT}
    )

    ours = dcmread(io.BytesIO(first.content))
    for keyword in missing:
        setattr(film, keyword, "")
    root = dcmread(io.BytesIO(first.content))
    for element in list(root):
        if element.keyword not in {
            "ValueType", "ConceptNameCodeSequence", "ContinuityOfContent", "ContentTemplateSequence", "ContentSequence",
        }:  # fmt: skip
            del root[element.tag]
    theirs = Comprehensive3DSR(
        evidence=[film], content=root, series_instance_uid=ours.SeriesInstanceUID, series_number=ours.SeriesNumber,
        sop_instance_uid=ours.SOPInstanceUID, instance_number=1, manufacturer="Discern", is_complete=True,
        contributing_equipment=None,
    )  # fmt: skip
    expected = {element.keyword: element.value for element in theirs} | {"Manufacturer": ours.Manufacturer}
    expected.pop("ContributingEquipmentSequence")
    for keyword, value in expected.items():
        assert keyword in ours
        if keyword not in TIMES:
            assert ours[keyword].value == value, keyword
    assert {element.keyword for element in ours} - expected.keys() <= OURS
