"""The oracle sees what is missing, twice, too much or left behind: tried on objects made for it."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from highdicom import sc, uid
from pydicom.dataset import Dataset
from pydicom.uid import UID

from tests.integration.pacs import films, oracle
from tests.integration.pacs.orthanc import Orthanc
from tests.phantoms import dicom_bytes

pytestmark = pytest.mark.integration


def report(film: Dataset, *values: str) -> bytes:
    """An SR about a film, with content items of these value types."""
    read = films.dataset(0)
    items = []
    for value in values:
        items.append(Dataset())
        items[-1].ValueType = value
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = film.SOPClassUID, film.SOPInstanceUID
    series, study = Dataset(), Dataset()
    series.SeriesInstanceUID, series.ReferencedSOPSequence = film.SeriesInstanceUID, [reference]
    study.StudyInstanceUID, study.ReferencedSeriesSequence = film.StudyInstanceUID, [series]
    for element in list(read.group_dataset(0x7FE0)):
        del read[element.tag]
    read.SOPClassUID = read.file_meta.MediaStorageSOPClassUID = UID(oracle.COMPREHENSIVE_3D_SR)
    read.SOPInstanceUID = read.file_meta.MediaStorageSOPInstanceUID = uid.UID()
    read.SeriesInstanceUID = uid.UID()
    read.Modality, read.ContentSequence = "SR", items
    read.CurrentRequestedProcedureEvidenceSequence = [study]
    return dicom_bytes(read)


def picture(film: Dataset) -> bytes:
    made = sc.SCImage.from_ref_dataset(
        ref_dataset=film, pixel_array=np.zeros((64, 64, 3), np.uint8), photometric_interpretation="RGB",
        bits_allocated=8, coordinate_system="PATIENT", series_instance_uid=uid.UID(), sop_instance_uid=uid.UID(),
        series_number=9001, instance_number=1, manufacturer="Testbed", patient_orientation=("L", "F"),
    )  # fmt: skip
    source = Dataset()
    source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = film.SOPClassUID, film.SOPInstanceUID
    made.SourceImageSequence = [source]
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_an_archive_is_read_as_it_is(pacs: Orthanc) -> None:
    kept = [films.film(number).content for number in range(4)]
    for content in kept:
        pacs.store(content)

    assert {oracle.retrieve(pacs, *names) for names in oracle.instances(pacs)} == set(kept)


def test_one_answer_each_is_right_and_anything_else_is_not(pacs: Orthanc) -> None:
    first, second = films.dataset(0), films.dataset(3)
    for content in (dicom_bytes(first), picture(first), report(first, "NUM"), report(first, "SCOORD", "NUM")):
        pacs.store(content)
    pacs.store(report(second, "TEXT"))
    of = {first.SOPInstanceUID: None, second.SOPInstanceUID: "lateral_view"}
    own = {first.SOPInstanceUID}

    found = oracle.assert_answered_exactly_once(pacs, of, own)

    assert sorted(each.kind for each in found) == ["not-analysed", "sc", "sr-findings", "sr-regions"]
    wrong: list[dict[str, Any]] = [
        {first.SOPInstanceUID: None},
        {**of, "1.2.3": None},
        {**of, first.SOPInstanceUID: "x"},
    ]
    for acknowledged in wrong:
        with pytest.raises(AssertionError):
            oracle.assert_answered_exactly_once(pacs, acknowledged, own)
    pacs.store(report(first, "NUM"))
    with pytest.raises(AssertionError, match="sr-findings"):
        oracle.assert_answered_exactly_once(pacs, of, own)


def test_patients_left_behind_are_found(tmp_path: Path) -> None:
    (tmp_path / "clean").write_text("nobody", "utf-8")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "film.dcm").write_bytes(films.film(0).content)
    (tmp_path / f"{films.CANARY}.txt").touch()

    assert oracle.traces_of_patients(tmp_path) == [f"{films.CANARY}.txt", "deep/film.dcm"]


def test_an_audit_trail_with_a_gap_is_found(tmp_path: Path) -> None:
    def line(number: int, event: str, **who: str) -> str:
        return json.dumps({"n": number, "event": event, "who": who})

    whole = [line(1, "received", job_id="a"), line(2, "created", job_id="a")]
    whole += [line(3, "sent", job_id="a", destination="pacs", sop_instance_uid="1.2")]
    path = tmp_path / "audit-2026-01-01.jsonl"
    path.write_text("\n".join(whole) + "\n", "utf-8")
    oracle.assert_audited(tmp_path, 1, {"pacs": 1})

    path.write_text("\n".join([whole[0], whole[2]]) + "\n", "utf-8")
    with pytest.raises(AssertionError, match="gaps"):
        oracle.assert_audited(tmp_path, 1, {"pacs": 1})
