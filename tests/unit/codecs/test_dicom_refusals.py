"""Which DICOM objects are refused on their header, and with which reason."""

from typing import Any

import pytest
from pydicom.dataset import Dataset

from app.codecs.decoder import FilmDecoder
from app.domain.errors import ImageRefusedError, RefusalReason, TooLargeError, UnsupportedFormatError
from tests.unit.codecs.samples import DX_STORAGE, SECONDARY_CAPTURE, chest, decode, file_bytes, film

CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"


def _reason(**elements: Any) -> RefusalReason | None:
    try:
        decode(file_bytes(chest(film(), **elements)))
    except ImageRefusedError as refusal:
        return refusal.reason
    return None


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"Modality": "MG"}, RefusalReason.MODALITY),
        ({"ViewPosition": "LL"}, RefusalReason.LATERAL_VIEW),
        ({"BodyPartExamined": "HIP"}, RefusalReason.NOT_A_CHEST_RADIOGRAPH),
        ({"PresentationIntentType": "FOR PROCESSING"}, RefusalReason.FOR_PROCESSING),
    ],
)
def test_an_overridden_refusal_gives_the_film_with_a_flag(elements: dict[str, Any], reason: RefusalReason) -> None:
    content = file_bytes(chest(film(), **elements))

    radiograph = FilmDecoder().decode(content, tolerate_refusals=True)

    assert f"overridden:{reason}" in radiograph.flags
    assert radiograph.pixels.shape == film().shape


def test_several_frames_cannot_be_overridden() -> None:
    content = file_bytes(chest(film(), NumberOfFrames=3))

    with pytest.raises(ImageRefusedError) as refusal:
        FilmDecoder().decode(content, tolerate_refusals=True)

    assert refusal.value.reason is RefusalReason.MULTI_FRAME


@pytest.mark.parametrize("modality", ["CR", "DX", "RG", "OT", None, "", "cr"])
def test_film_modalities_are_accepted(modality: str | None) -> None:
    assert _reason(Modality=modality) is None


@pytest.mark.parametrize("modality", ["CT", "MR", "US", "PT", "NM", "XA", "RF", "MG", "IO", "PX", "ES", "RTIMAGE"])
def test_other_modalities_are_refused(modality: str) -> None:
    assert _reason(Modality=modality) is RefusalReason.MODALITY


@pytest.mark.parametrize("suffix", ["2", "4", "6.1", "12.1", "20", "128", "1.2", "481.1", "77.1.4"])
def test_objects_of_other_devices_are_refused_whatever_their_modality_says(suffix: str) -> None:
    assert _reason(SOPClassUID=f"1.2.840.10008.5.1.4.1.1.{suffix}") is RefusalReason.MODALITY


def test_a_secondary_capture_of_sectional_modality_is_left_to_the_pixels() -> None:
    read = decode(file_bytes(chest(film(), SOPClassUID=SECONDARY_CAPTURE, Modality="CT")))

    assert read.flags == ("modality_contradicts_object",)


def test_a_secondary_capture_with_the_geometry_of_a_slice_is_refused() -> None:
    orientation = ["1", "0", "0", "0", "1", "0"]
    captured = {"SOPClassUID": SECONDARY_CAPTURE, "Modality": "CT"}

    assert _reason(**captured, ImageOrientationPatient=orientation) is RefusalReason.MODALITY
    assert _reason(**captured, SliceThickness="5") is RefusalReason.MODALITY


def test_a_secondary_capture_of_another_projection_modality_is_refused() -> None:
    assert _reason(SOPClassUID=SECONDARY_CAPTURE, Modality="XA") is RefusalReason.MODALITY


def test_for_processing_is_refused() -> None:
    assert _reason(PresentationIntentType="FOR PROCESSING") is RefusalReason.FOR_PROCESSING
    assert _reason(SOPClassUID=DX_STORAGE + ".1") is RefusalReason.FOR_PROCESSING
    assert _reason(SOPClassUID=DX_STORAGE, PresentationIntentType="FOR PRESENTATION") is None


@pytest.mark.parametrize("view", ["LL", "RL", "LATERAL", "LAT", "LAO", "RPO"])
def test_lateral_and_oblique_views_are_refused(view: str) -> None:
    assert _reason(ViewPosition=view) is RefusalReason.LATERAL_VIEW


@pytest.mark.parametrize("view", ["PA", "AP", None, "", "frontal view!"])
def test_frontal_and_unknown_views_are_accepted(view: str | None) -> None:
    assert _reason(ViewPosition=view) is None


@pytest.mark.parametrize(("meaning", "refused"), [("left lateral", True), ("postero-anterior", False)])
def test_the_view_code_decides_where_there_is_no_view_position(meaning: str, refused: bool) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "R-1", "SRT", meaning

    reason = _reason(ViewPosition=None, ViewCodeSequence=[code])

    assert (reason is RefusalReason.LATERAL_VIEW) is refused


def test_a_decubitus_view_is_frontal_and_remarked() -> None:
    assert decode(file_bytes(chest(film(), ViewPosition="LLD"))).flags == ("decubitus_view",)


@pytest.mark.parametrize("part", ["HIP", "EXTREMITY", "BREAST", "ABDOMEN", "SKULL", "C SPINE", "knee"])
def test_plainly_other_body_parts_are_refused(part: str) -> None:
    assert _reason(BodyPartExamined=part) is RefusalReason.NOT_A_CHEST_RADIOGRAPH


@pytest.mark.parametrize(
    "part", ["CHEST", "THORAX", "RIBCAGE", "LUNG", "TORAX", "", None, "WHOLEBODY", "Poumons", "ICU BED"]
)
def test_any_other_wording_is_left_to_the_pixels(part: str | None) -> None:
    assert _reason(BodyPartExamined=part) is None


def test_several_frames_are_refused_and_one_is_not() -> None:
    assert _reason(NumberOfFrames="2") is RefusalReason.MULTI_FRAME
    assert _reason(NumberOfFrames="1") is None
    with pytest.raises(TooLargeError, match="frames"):
        _reason(NumberOfFrames="2000000000")


def test_objects_without_pixels_are_refused_as_such() -> None:
    report = chest(film(), SOPClassUID="1.2.840.10008.5.1.4.1.1.88.22", Modality="SR")
    del report.PixelData

    with pytest.raises(ImageRefusedError) as refusal:
        decode(file_bytes(report))

    assert refusal.value.reason is RefusalReason.NO_PIXELS


def test_float_pixels_are_unsupported() -> None:
    dataset = chest(film())
    del dataset.PixelData
    dataset.FloatPixelData = film().astype("<f4").tobytes()

    with pytest.raises(UnsupportedFormatError, match="float"):
        decode(file_bytes(dataset))


def test_no_refusal_names_the_patient() -> None:
    with pytest.raises(ImageRefusedError) as refusal:
        decode(file_bytes(chest(film(), Modality="MR", PatientName="Doe^Jane", PatientID="4711")))

    assert "Doe" not in refusal.value.detail
    assert "4711" not in refusal.value.detail
