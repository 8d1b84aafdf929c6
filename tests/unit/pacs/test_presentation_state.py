"""Presentation states: the boxes of reports over a film that looks as it does by itself."""

import io
import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRBigEndian

from app.domain.label_hierarchy import DISPLAY_NAMES
from app.domain.result_identity import ResultKind
from app.domain.source_image import SourceImage
from app.pacs.own_objects import NOTICE
from app.pacs.result_builder import DicomResultBuilder
from app.services.hospital.records import ResultContext
from app.services.screening import Screening
from tests.integration.pacs.films import lookup_table
from tests.phantoms import RIGHT_LOWER, chest_film, dicom_bytes, dicom_dataset
from tests.unit.codecs.samples import decode, file_bytes
from tests.unit.pacs.test_results import identified, items

GSPS = {ResultKind.PRESENTATION_STATE}
FILM_ONLY = ("RescaleSlope", "RescaleIntercept", "RescaleType", "WindowCenter", "WindowWidth", "VOILUTFunction")


def modality_lut(first: int, entries: Any) -> Dataset:
    item = lookup_table(first, entries)
    item.ModalityLUTType = "OD"
    return item


def film(photometric: str = "MONOCHROME2", **elements: Any) -> Dataset:
    pixels = chest_film(96, 80, bits=12, opacities=(RIGHT_LOWER,))
    return dicom_dataset(pixels, bits=12, photometric=photometric, elements=elements)


def state_of(source: SourceImage, screening: Screening, context: ResultContext) -> Dataset:
    (built,) = DicomResultBuilder().answered(source, screening, context, GSPS)
    return dcmread(io.BytesIO(built.content))


def as_in(state: Dataset, shown: Dataset) -> Dataset:
    """The film with the grayscale steps of a presentation state instead of its own."""
    again = dcmread(io.BytesIO(dicom_bytes(shown)))
    for keyword in (*FILM_ONLY, "ModalityLUTSequence", "VOILUTSequence", "PresentationLUTShape"):
        if keyword in again:
            delattr(again, keyword)
    again.PhotometricInterpretation = "MONOCHROME2"
    for step in (state, *state.get("SoftcopyVOILUTSequence", [])):
        for keyword in (*FILM_ONLY, "ModalityLUTSequence", "VOILUTSequence", "PresentationLUTShape"):
            if keyword in step:
                again[keyword] = step[keyword]
    return again


SHOWN: dict[str, dict[str, Any]] = {
    "nothing said": dict.fromkeys(("RescaleSlope", "RescaleIntercept", "RescaleType", "PresentationLUTShape")),
    "window": {"WindowCenter": "1500.5", "WindowWidth": "1800"},
    "several windows": {"WindowCenter": ["1200", "3000"], "WindowWidth": ["900", "10"]},
    "sigmoid": {"WindowCenter": "1500", "WindowWidth": "1800", "VOILUTFunction": "SIGMOID"},
    "exact": {"WindowCenter": "1500", "WindowWidth": "0.5", "VOILUTFunction": "LINEAR_EXACT"},
    "unknown function": {"WindowCenter": "1500", "WindowWidth": "1800", "VOILUTFunction": "CUBIC"},
    "no width": {"WindowCenter": "1500", "WindowWidth": "0"},
    "rescaled": {"RescaleSlope": "2.5", "RescaleIntercept": "-1024", "WindowCenter": "900", "WindowWidth": "4000"},
    "falling": {"RescaleSlope": "-1", "RescaleIntercept": "4095"},
    "rescaled by nothing": {"RescaleSlope": "0", "RescaleIntercept": "5", "WindowCenter": "900", "WindowWidth": "900"},
    "inverse": {"PresentationLUTShape": "INVERSE"},
    "VOI LUT before window": {
        "VOILUTSequence": [lookup_table(100, np.arange(2000) ** 2 % 65536), lookup_table(0, [1, 2])],
        "WindowCenter": "1500", "WindowWidth": "1800",
    },
    "VOI LUT below zero": {
        "RescaleIntercept": "-2000", "VOILUTSequence": [lookup_table(-1500, np.linspace(0, 4095, 3000), 12)],
    },
    "VOI LUT of more bits than it says": {"VOILUTSequence": [lookup_table(0, np.arange(4096), 8)]},
    "VOI LUT of 8 bits": {"VOILUTSequence": [lookup_table(0, np.arange(4096) // 16, 8)]},
    "modality LUT": {
        "ModalityLUTSequence": [modality_lut(0, np.sqrt(np.arange(4096)) * 500)], "RescaleSlope": None,
        "RescaleIntercept": None, "RescaleType": None, "WindowCenter": "16000", "WindowWidth": "30000",
    },
    "a whole LUT": {"VOILUTSequence": [lookup_table(0, np.arange(65535)[::-1])]},
}  # fmt: skip


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize("elements", SHOWN.values(), ids=SHOWN.keys())
def test_a_film_looks_in_the_state_as_by_itself(
    elements: dict[str, Any], photometric: str, screening: Screening, context: ResultContext
) -> None:
    shown = film(photometric, **elements)

    state = state_of(identified(dicom_bytes(shown)), screening, context)

    expected = decode(dicom_bytes(shown)).pixels
    np.testing.assert_array_equal(decode(dicom_bytes(as_in(state, shown))).pixels, expected)
    assert len(np.unique(expected)) > 1
    inverted = photometric == "MONOCHROME1" or elements.get("PresentationLUTShape") == "INVERSE"
    assert state.PresentationLUTShape == ("INVERSE" if inverted else "IDENTITY")


def test_signed_values_are_looked_up_as_signed(screening: Screening, context: ResultContext) -> None:
    shown = film(PixelRepresentation=1, VOILUTSequence=[lookup_table(-2048, np.arange(4096) * 3)])

    state = state_of(identified(dicom_bytes(shown)), screening, context)

    descriptor = state.SoftcopyVOILUTSequence[0].VOILUTSequence[0]["LUTDescriptor"]
    assert descriptor.VR == "SS"
    assert list(descriptor.value) == [4096, -2048, 16]


def test_tables_are_read_in_either_byte_order(screening: Screening, context: ResultContext) -> None:
    shown = film(VOILUTSequence=[lookup_table(7, np.arange(1000) * 60)])
    little = state_of(identified(dicom_bytes(shown)), screening, context)
    swapped = film(VOILUTSequence=[lookup_table(7, np.arange(1000) * 60)])
    item = swapped.VOILUTSequence[0]
    item.LUTData = np.frombuffer(item.LUTData, "<u2").astype(">u2").tobytes()

    big = state_of(identified(file_bytes(swapped, ExplicitVRBigEndian)), screening, context)

    assert big.SoftcopyVOILUTSequence == little.SoftcopyVOILUTSequence


def test_a_film_whose_table_is_broken_is_identified_all_the_same(screening: Screening, context: ResultContext) -> None:
    broken = lookup_table(0, [1, 2, 3])
    broken.LUTDescriptor = [4000, 0, 16]

    source = identified(dicom_bytes(film(VOILUTSequence=[broken])))

    assert source.voi_lut is None
    assert "SoftcopyVOILUTSequence" not in state_of(source, screening, context)


def test_every_box_of_the_report_is_drawn_with_its_words(
    source: SourceImage, screening: Screening, context: ResultContext
) -> None:
    (report,) = DicomResultBuilder().answered(source, screening, context, {ResultKind.REGIONS_REPORT})
    boxes = [
        (item.GraphicType, list(map(float, item.GraphicData)))
        for item in items(dcmread(io.BytesIO(report.content)))
        if "GraphicData" in item
    ]
    tracked = {item.UID for item in items(dcmread(io.BytesIO(report.content))) if item.get("ValueType") == "UIDREF"}

    state = state_of(source, screening, context)

    graphics = [
        each for annotation in state.GraphicAnnotationSequence for each in annotation.get("GraphicObjectSequence", [])
    ]
    texts = [each for annotation in state.GraphicAnnotationSequence for each in annotation.TextObjectSequence]
    assert [(each.GraphicType, list(map(float, each.GraphicData))) for each in graphics] == boxes
    assert {each.GraphicAnnotationUnits for each in graphics} == {"PIXEL"}
    assert {each.TrackingUID for each in graphics} == {each.TrackingUID for each in texts[:-1]} <= tracked
    assert texts[-1].UnformattedTextValue == f"{NOTICE} {context.model_version}"
    experts = screening.result.experts.values()
    said = {each.UnformattedTextValue for each in texts[:-1]}
    assert all(
        any(
            words.startswith(DISPLAY_NAMES[each.name]) and words.endswith(f" {each.probability:.2f}")
            for each in experts
        )
        for words in said
    )
    assert any("right" in words or "left" in words for words in said)


def test_words_lie_on_the_film_and_not_on_each_other(
    source: SourceImage, screening: Screening, context: ResultContext
) -> None:
    state = state_of(source, screening, context)

    places = [
        (*each.BoundingBoxTopLeftHandCorner, *each.BoundingBoxBottomRightHandCorner)
        for annotation in state.GraphicAnnotationSequence
        for each in annotation.TextObjectSequence
        if each.BoundingBoxAnnotationUnits == "PIXEL"
    ]
    assert len(places) > 2
    for left, top, right, bottom in places:
        assert 0 <= left < right <= source.columns
        assert 0 <= top < bottom <= source.rows
    for one, other in itertools.combinations(places, 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] + 1e-3 or other[3] <= one[1] + 1e-3
        assert apart


def test_there_is_a_layer_for_the_divergence_for_every_expert_and_for_the_notice(
    source: SourceImage, screening: Screening, context: ResultContext
) -> None:
    state = state_of(source, screening, context)

    layers = {each.GraphicLayer: each for each in state.GraphicLayerSequence}
    assert list(layers) == ["DIVERGENCE", "MAP 1 COVID19", "MAP 2 PNEUMONIA", "NOTICE"]
    assert [each.GraphicLayer for each in state.GraphicAnnotationSequence] == list(layers)
    assert [each.GraphicLayerOrder for each in layers.values()] == [1, 2, 3, 4]
    assert len({tuple(each.GraphicLayerRecommendedDisplayCIELabValue) for each in layers.values()}) == 4


def test_a_state_refers_to_its_film_and_shows_all_of_it(
    source: SourceImage, screening: Screening, context: ResultContext
) -> None:
    state = state_of(source, screening, context)

    assert (state.SeriesNumber, state.Modality) == (9006, "PR")
    assert (state.PresentationCreationDate, state.PresentationCreationTime) == ("20260102", "030405")
    (series,) = state.ReferencedSeriesSequence
    (image,) = series.ReferencedImageSequence
    assert series.SeriesInstanceUID == source.series_instance_uid
    assert image.ReferencedSOPInstanceUID == source.sop_instance_uid
    (area,) = state.DisplayedAreaSelectionSequence
    assert area.DisplayedAreaTopLeftHandCorner == [1, 1]
    assert area.DisplayedAreaBottomRightHandCorner == [source.columns, source.rows]


@pytest.mark.parametrize(
    ("elements", "spacing", "ratio"),
    [
        ({}, None, [1, 1]),
        ({"ImagerPixelSpacing": ["0.2", "0.1"]}, [0.2, 0.1], None),
        ({"PixelSpacing": ["0.3", "0.2"]}, [0.3, 0.2], None),
        ({"ImagerPixelSpacing": None, "PixelAspectRatio": ["4", "3"]}, None, [4, 3]),
        ({"ImagerPixelSpacing": None, "PixelAspectRatio": ["0", "0"]}, None, [1, 1]),
        ({"ImagerPixelSpacing": ["0", "0"], "PixelSpacing": ["0", "0"]}, None, [1, 1]),
    ],
)
def test_a_pixel_keeps_its_shape(
    elements: dict[str, Any],
    spacing: list[float] | None,
    ratio: list[int] | None,
    screening: Screening,
    context: ResultContext,
) -> None:
    state = state_of(identified(dicom_bytes(film(**elements))), screening, context)

    (area,) = state.DisplayedAreaSelectionSequence
    assert area.get("PresentationPixelSpacing") == spacing
    assert area.get("PresentationPixelAspectRatio") == ratio


def test_there_is_no_state_of_nothing_and_of_colours(
    source: SourceImage, screening: Screening, context: ResultContext
) -> None:
    doubtful = {name: replace(each, decision="indeterminate") for name, each in screening.result.experts.items()}
    nothing = replace(screening, result=replace(screening.result, experts=doubtful))
    colours = identified(dicom_bytes(film(PhotometricInterpretation="RGB", SamplesPerPixel=3)))

    assert DicomResultBuilder().answered(source, nothing, context, GSPS) == ()
    assert DicomResultBuilder().answered(colours, screening, context, GSPS) == ()
