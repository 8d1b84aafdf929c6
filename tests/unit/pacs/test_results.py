"""Result objects: whose they are, what they say, and the same bytes every time."""

import io
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import UID

from app.codecs.dicom_identity import DicomObjectReader
from app.codecs.limits import DecodeLimits
from app.domain import codes
from app.domain.label_hierarchy import ENSEMBLE_LABELS
from app.domain.result_identity import ResultKind
from app.domain.source_image import SourceImage
from app.pacs.own_objects import IMPLEMENTATION_UID
from app.pacs.result_builder import DicomResultBuilder
from app.services.hospital.records import Refusal, ResultContext, ResultObject
from app.services.screening import Screening
from tests.phantoms import RIGHT_LOWER, chest_film, dicom_bytes, dicom_dataset

REFUSAL = Refusal("lateral_view", "(0018,5101) is LL; PA or AP expected")
ALWAYS = {
    ResultKind.SECONDARY_CAPTURE, ResultKind.REGIONS_REPORT, ResultKind.FINDINGS_REPORT,
}  # fmt: skip


def identified(content: bytes) -> SourceImage:
    found = DicomObjectReader(DecodeLimits(), b"key" * 11).identify(content)
    assert found is not None
    return found


def film_with(**elements: Any) -> SourceImage:
    """The phantom's identity with other elements; None deletes one."""
    return identified(dicom_bytes(dicom_dataset(chest_film(320, 288, opacities=(RIGHT_LOWER,)), elements=elements)))


def everything(source: SourceImage, screening: Screening, context: ResultContext) -> tuple[ResultObject, ...]:
    """All objects of an answer, and those of a refusal."""
    builder = DicomResultBuilder()
    return builder.answered(source, screening, context, set(ResultKind)) + builder.refused(
        source, REFUSAL, context, set(ResultKind)
    )


def items(dataset: Dataset) -> Iterator[Dataset]:
    """A data set and everything in it."""
    yield dataset
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from items(item)


def named(dataset: Dataset, code: codes.Code) -> list[Dataset]:
    """Content items whose concept name is a code."""
    return [
        item
        for item in items(dataset)
        if "ConceptNameCodeSequence" in item
        and (item.ConceptNameCodeSequence[0].CodeValue, item.ConceptNameCodeSequence[0].CodingSchemeDesignator)
        == (code.value, code.scheme)
    ]


def by_kind(objects: tuple[ResultObject, ...]) -> dict[ResultKind, Dataset]:
    return {each.kind: dcmread(io.BytesIO(each.content)) for each in objects}


def test_the_same_answer_built_twice_is_the_same_bytes(
    source: SourceImage, screening: Screening, context: ResultContext
) -> None:
    first = everything(source, screening, context)
    time.sleep(1.1)  # dates in DICOM have seconds

    assert everything(source, screening, context) == first
    assert {each.kind for each in first} >= ALWAYS | {ResultKind.NOT_ANALYSED}


def test_another_version_of_the_models_makes_other_objects(
    source: SourceImage, screening: Screening, context: ResultContext
) -> None:
    first = everything(source, screening, context)
    second = everything(source, screening, replace(context, model_version="models-000000000000-1"))

    uids = [[{each.sop_instance_uid, each.series_instance_uid} for each in objects] for objects in (first, second)]
    assert not set().union(*uids[0]) & set().union(*uids[1])


def test_every_object_names_patient_study_maker_and_time(screening: Screening, context: ResultContext) -> None:
    source = film_with(
        PatientName="Zoë^Test", PatientID="P 1", IssuerOfPatientID="H", PatientBirthDate="19700101", PatientSex="F",
        AccessionNumber="A-17", ReferringPhysicianName="Ref^Phys", StudyTime="101112", StudyID="77",
        StudyDescription="Thorax",
    )  # fmt: skip

    for each in everything(source, screening, context):
        made = dcmread(io.BytesIO(each.content))
        assert (str(made.PatientName), made.PatientID, made.IssuerOfPatientID) == ("Zoë^Test", "P 1", "H"), each.kind
        assert (made.PatientBirthDate, made.PatientSex, made.AccessionNumber) == ("19700101", "F", "A-17")
        assert (made.StudyDate, made.StudyTime, made.StudyID) == ("20260101", "101112", "77")
        assert (str(made.ReferringPhysicianName), made.StudyDescription) == ("Ref^Phys", "Thorax")
        assert made.StudyInstanceUID == source.study_instance_uid == each.study_instance_uid
        assert made.SeriesInstanceUID == each.series_instance_uid != source.series_instance_uid
        assert made.SOPInstanceUID == made.file_meta.MediaStorageSOPInstanceUID == each.sop_instance_uid
        assert made.SOPClassUID == made.file_meta.MediaStorageSOPClassUID == each.sop_class_uid
        assert made.SeriesNumber >= 9001
        assert made.Manufacturer == "Discern"
        assert made.SoftwareVersions == context.model_version
        assert made.file_meta.ImplementationClassUID == IMPLEMENTATION_UID
        assert (made.InstanceCreationDate, made.InstanceCreationTime) == ("20260102", "030405")


def test_every_object_is_known_as_our_own_whatever_becomes_of_its_file_meta(
    source: SourceImage, screening: Screening, context: ResultContext
) -> None:
    builder = DicomResultBuilder()

    assert not builder.is_own(source)
    for each in everything(source, screening, context):
        sent_back = dcmread(io.BytesIO(each.content))
        sent_back.file_meta.ImplementationClassUID = UID("1.2.3")
        sent_back.file_meta.ImplementationVersionName = "OTHER"
        assert builder.is_own(identified(dicom_bytes(sent_back))), each.kind


def test_every_object_refers_to_its_film(source: SourceImage, screening: Screening, context: ResultContext) -> None:
    for each in everything(source, screening, context):
        made = dcmread(io.BytesIO(each.content))
        referenced = {item.get("ReferencedSOPInstanceUID") for item in items(made)}
        assert source.sop_instance_uid in referenced, each.kind


def test_reports_say_probability_decision_and_threshold_of_every_label(
    source: SourceImage, screening: Screening, context: ResultContext
) -> None:
    result = screening.result
    assert result.ensemble is not None
    made = by_kind(everything(source, screening, context))[ResultKind.FINDINGS_REPORT]

    said = [float(item.MeasuredValueSequence[0].NumericValue) for item in named(made, codes.PROBABILITY)]
    expected = [each.probability for each in result.experts.values()]
    expected += [each.probability for each in result.ensemble.labels]
    assert said == pytest.approx(expected, abs=1e-6)
    assert len(said) == len(ENSEMBLE_LABELS) + 2
    assert len(named(made, codes.THRESHOLD)) == len(said)
    text = " ".join(item.TextValue for item in items(made) if "TextValue" in item)
    for model in result.models:
        if model.name in result.experts or model.name.startswith("ensemble"):
            assert model.sha256 in text
    assert "alpha 15" in text


def test_boxes_lie_on_the_film_and_say_side_zone_and_share(
    source: SourceImage, screening: Screening, context: ResultContext
) -> None:
    made = by_kind(everything(source, screening, context))[ResultKind.REGIONS_REPORT]

    groups = named(made, codes.Code("125007", "DCM", "Measurement Group"))
    assert groups
    for group in groups:
        (region,) = [item for item in items(group) if "GraphicData" in item]
        points = list(map(float, region.GraphicData))
        assert points[:2] == points[-2:], "a box is closed"
        assert 0 <= min(points[::2]) < max(points[::2]) <= source.columns
        assert 0 <= min(points[1::2]) < max(points[1::2]) <= source.rows
        (share,) = named(group, codes.SHARE)
        assert 0 < float(share.MeasuredValueSequence[0].NumericValue) <= 1
    sides = {item.CodeValue for item in items(made) if item.get("CodeValue") in {"24028007", "7771000"}}
    zones = {item.CodeValue for item in items(made) if str(item.get("CodeValue", "")).endswith("_zone")}
    assert sides
    assert zones
    methods = {item.get("CodeValue") for item in items(made)} & {
        codes.DIRECTED_DIVERGENCE.value,
        codes.CLASS_ACTIVATION.value,
    }
    assert codes.CLASS_ACTIVATION.value in methods


def test_nothing_localised_makes_no_report_of_regions(
    source: SourceImage, screening: Screening, context: ResultContext
) -> None:
    doubtful = {name: replace(each, decision="indeterminate") for name, each in screening.result.experts.items()}
    nothing = replace(screening, result=replace(screening.result, experts=doubtful))

    assert DicomResultBuilder().answered(source, nothing, context, {ResultKind.REGIONS_REPORT}) == ()


def test_a_refusal_is_coded_and_names_the_rule(source: SourceImage, context: ResultContext) -> None:
    made = by_kind(DicomResultBuilder().refused(source, REFUSAL, context, {ResultKind.SECONDARY_CAPTURE}))

    report = made[ResultKind.NOT_ANALYSED]
    (reason,) = named(report, codes.REASON_NOT_ANALYSED)
    assert reason.ConceptCodeSequence[0].CodeValue == "lateral_view"
    assert any(REFUSAL.detail in str(item.get("TextValue")) for item in items(report))
    assert "lateral_view" in made[ResultKind.SECONDARY_CAPTURE].ImageComments
    assert made[ResultKind.SECONDARY_CAPTURE].BurnedInAnnotation == "YES"
    assert not named(report, codes.PROBABILITY)


ODD: dict[str, dict[str, Any]] = {
    "nothing optional": dict.fromkeys(
        ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
         "AccessionNumber", "ReferringPhysicianName", "SpecificCharacterSet", "Manufacturer", "SeriesNumber")
    ),
    "empty": dict.fromkeys(("PatientName", "PatientID", "PatientSex", "StudyDate", "StudyTime", "Modality"), ""),
    "no dates": {"PatientBirthDate": "unknown", "StudyDate": "2026.01.01", "StudyTime": "10:11:12"},
    "other sex": {"PatientSex": "X"},
    "long": {
        "PatientName": "Verylongname" * 10 + "^" + "Given" * 20, "PatientID": "9" * 100, "StudyID": "S" * 40,
        "AccessionNumber": "A" * 64, "StudyDescription": "d" * 200, "ReferringPhysicianName": "R" * 100,
    },
    "several": {"PatientID": "1\\2", "PatientName": "A^B\\C^D", "StudyDate": "20260101\\20260102"},
    "control characters": {"PatientName": "Tab\t^Bell\x07", "StudyDescription": "two\r\nlines"},
    "unknown character set": {"SpecificCharacterSet": "ISO_IR 999"},
}  # fmt: skip


@pytest.mark.parametrize("elements", ODD.values(), ids=ODD.keys())
@pytest.mark.filterwarnings("ignore")  # pydicom's, of what is odd on purpose
def test_films_with_odd_headers_are_answered(
    elements: dict[str, Any], screening: Screening, context: ResultContext
) -> None:
    source = film_with(**elements)
    kinds = {ResultKind.SECONDARY_CAPTURE, ResultKind.REGIONS_REPORT}

    made = by_kind(DicomResultBuilder().answered(source, screening, context, kinds))

    assert made.keys() == kinds
    for each in made.values():
        assert each.StudyInstanceUID == source.study_instance_uid
        assert {"PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber"} <= set(each.dir())


@pytest.mark.filterwarnings("ignore")  # pydicom's, of what is odd on purpose
def test_dates_as_before_dicom_are_understood(screening: Screening, context: ResultContext) -> None:
    source = film_with(PatientBirthDate="1970.02.03", StudyDate="20261399", StudyTime="10:11:12")

    for each in by_kind(everything(source, screening, context)).values():
        assert (each.PatientBirthDate, each.StudyDate, each.StudyTime) == ("19700203", "", "101112")


@pytest.mark.filterwarnings("ignore")  # pydicom's, of what is odd on purpose
def test_a_weight_that_is_no_number_is_left_out(screening: Screening, context: ResultContext) -> None:
    made = dicom_dataset(chest_film(320, 288), elements={"PatientWeight": "71.25", "PatientAge": "fifty"})
    source = identified(dicom_bytes(made).replace(b"71.25", b"71,25"))

    for each in by_kind(everything(source, screening, context)).values():
        assert "PatientWeight" not in each
        assert "PatientAge" not in each


def test_a_correction_names_the_report_it_supersedes(
    source: SourceImage, screening: Screening, context: ResultContext
) -> None:
    builder = DicomResultBuilder()
    kinds = {ResultKind.FINDINGS_REPORT, ResultKind.REGIONS_REPORT}
    earlier = builder.answered(source, screening, context, kinds)
    predecessors = {
        each.kind: (
            each.sop_class_uid, each.sop_instance_uid, each.series_instance_uid, each.study_instance_uid,
        ) for each in earlier
    }  # fmt: skip
    later = ResultContext("models-later-1", datetime(2026, 2, 1, tzinfo=UTC), predecessors)

    for each in builder.answered(source, screening, later, kinds):
        made = dcmread(io.BytesIO(each.content))
        (study,) = made.PredecessorDocumentsSequence
        (series,) = study.ReferencedSeriesSequence
        (reference,) = series.ReferencedSOPSequence
        assert (
            reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID, series.SeriesInstanceUID,
            study.StudyInstanceUID,
        ) == predecessors[each.kind]  # fmt: skip
        assert reference.ReferencedSOPInstanceUID != made.SOPInstanceUID
