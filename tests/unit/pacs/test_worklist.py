"""Which order a film belongs to; its accession number in the header that results repeat."""

from dataclasses import replace

import numpy as np
import pytest
from pydicom import Dataset

from app.codecs.dicom_identity import DicomObjectReader
from app.codecs.limits import DecodeLimits
from app.domain.source_image import SourceImage
from app.pacs.source_dataset import source_dataset
from app.pacs.worklist import WorklistEntry, order_of, with_accession_number
from tests.phantoms import dicom_bytes, dicom_dataset

STUDY = "1.2.826.0.1.3680043.8.498.1"


def film(**elements: object) -> SourceImage:
    dataset = dicom_dataset(np.zeros((8, 8), np.uint16))
    values = {"StudyInstanceUID": STUDY, "PatientID": "P1", "StudyDate": "20261125", "AccessionNumber": "", **elements}
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    found = DicomObjectReader(DecodeLimits(), b"k" * 32).identify(dicom_bytes(dataset))
    assert found is not None
    return found


ENTRY = WorklistEntry("A1", STUDY, "P1", "", "RP1", "Chest PA", "", "20261125", "ROOM1")
OTHER_STUDY = replace(ENTRY, study_instance_uid="1.2.3", accession_number="A2")


def number(*entries: WorklistEntry, **elements: object) -> str | None:
    source = film(**elements)
    return order_of(entries, source, source_dataset(source))


def test_the_order_of_the_same_study_wins_over_others_of_the_day() -> None:
    assert number(OTHER_STUDY, ENTRY) == "A1"


def test_without_the_study_the_only_order_of_the_day_is_taken() -> None:
    assert number(OTHER_STUDY) == "A2"
    assert number(OTHER_STUDY, replace(OTHER_STUDY, accession_number="A3")) is None
    assert number(OTHER_STUDY, OTHER_STUDY) == "A2"


@pytest.mark.parametrize(
    "change",
    [
        {"patient_id": "P2"},
        {"scheduled_date": "20261124"},
        {"modality": "CT"},
        {"accession_number": ""},
        {"accession_number": "A" * 17},
        {"accession_number": "A\n1"},
        {"accession_number": "Ä1"},
    ],
    ids=str,
)
def test_what_does_not_fit_is_no_order_of_the_film(change: dict[str, str]) -> None:
    assert number(replace(OTHER_STUDY, **change)) is None


def test_another_issuer_means_another_patient() -> None:
    theirs = replace(ENTRY, issuer_of_patient_id="Elsewhere")

    assert number(theirs, IssuerOfPatientID="Here") is None
    assert number(theirs) == "A1"


@pytest.mark.parametrize("before", ["", "OLD-NUMBER-1", None])
def test_the_number_is_set_and_nothing_else_changes(before: str | None) -> None:
    source = film(AccessionNumber=before or "", PatientName="Müller^Ü", SpecificCharacterSet="ISO_IR 100")
    header = source.header
    if before is None:
        header = header[: header.index(b"\x08\x00\x50\x00SH")] + header[header.index(b"\x08\x00\x60\x00CS") :]

    written = replace(source, header=with_accession_number(header, "A12"))

    def others(dataset: Dataset) -> Dataset:
        del dataset.AccessionNumber
        return dataset

    assert source_dataset(written).AccessionNumber == "A12"
    assert others(source_dataset(written)) == others(source_dataset(source))


def test_a_number_goes_to_the_end_of_a_header_without_later_elements() -> None:
    assert with_accession_number(b"", "A1") == b"\x08\x00\x50\x00SH\x02\x00A1"
