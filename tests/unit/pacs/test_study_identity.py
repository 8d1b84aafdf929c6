import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword

from app.domain.source_image import SourceImage
from app.pacs.study_identity import study_identity
from app.services.hospital.study_identity import StudyIdentity


def source(charset: str = "ISO_IR 6", **values: str) -> SourceImage:
    """A header of raw elements, encoded by Python's own codecs."""
    codec = {"ISO_IR 6": "ascii", "ISO_IR 100": "latin-1", "ISO_IR 192": "utf-8", "GB18030": "gb18030"}[charset]
    elements = sorted((int(tag_for_keyword(keyword) or 0), value) for keyword, value in values.items())
    header = b"\x08\x00\x05\x00CS" + len(charset.encode()).to_bytes(2, "little") + charset.encode()
    for tag, value in elements:
        encoded = value.encode(codec)
        vr = dictionary_VR(tag).encode()
        header += tag.to_bytes(4, "big")[1::-1] + tag.to_bytes(4, "big")[3:1:-1] + vr
        header += len(encoded).to_bytes(2, "little") + encoded
    return SourceImage("1.2", "1.2.3", "1.2.4", "1.2.5", header=header)


@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO_IR 192", "GB18030"])
def test_identity_is_read_in_its_character_set(charset: str) -> None:
    patient = "MÜLLER-1" if charset != "GB18030" else "王-1"
    found = study_identity(
        source(charset, PatientID=patient, IssuerOfPatientID="KLINIK",
               AccessionNumber="A1", StudyDate="20261124")
    )  # fmt: skip

    assert found == StudyIdentity(patient, "KLINIK", "A1", "2026-11-24")


@pytest.mark.parametrize("date", ["", "20261399", "UNKNOWN", "2026"])
def test_what_is_no_date_is_none(date: str) -> None:
    assert study_identity(source(StudyDate=date)).study_date is None


def test_an_empty_header_identifies_nobody() -> None:
    assert study_identity(SourceImage("1.2", "1.2.3", "1.2.4", "1.2.5")) == StudyIdentity()


def test_odd_values_and_unknown_character_sets_are_read_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    odd = StudyIdentity("CANARY" * 20, "", "CANARY" * 10, None)
    header = b"".join(
        tag + vr + len(value).to_bytes(2, "little") + value
        for tag, vr, value in (
            (b"\x08\x00\x05\x00", b"CS", b"ISO_IR 999"),
            (b"\x08\x00\x50\x00", b"SH", odd.accession_number.encode()),
            (b"\x10\x00\x20\x00", b"LO", odd.patient_id.encode()),
        )
    )

    assert study_identity(SourceImage("1.2", "1.2.3", "1.2.4", "1.2.5", header=header)) == odd
    assert "CANARY" not in caplog.text
