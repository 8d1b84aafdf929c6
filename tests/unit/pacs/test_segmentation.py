"""Segmentations: the regions that reports box and both lungs, on the film's own pixels."""

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from app.domain import codes
from app.domain.label_hierarchy import DISPLAY_NAMES
from app.domain.result_identity import ResultKind
from app.domain.source_image import SourceImage
from app.pacs.hot_boxes import hot_maps
from app.pacs.result_builder import DicomResultBuilder
from app.pacs.segmentation import frame_of
from app.services.hospital.records import ResultContext
from app.services.screening import Screening
from tests.phantoms import lung_mask
from tests.unit.pacs.test_results import film_with, items

SEG = {ResultKind.SEGMENTATION}
SR = {ResultKind.REGIONS_REPORT}


def segmentation_of(source: SourceImage, screening: Screening, context: ResultContext) -> Dataset:
    (built,) = DicomResultBuilder().answered(source, screening, context, SEG)
    return dcmread(io.BytesIO(built.content))


def masks_of(made: Dataset) -> Iterator[tuple[Dataset, np.ndarray[Any, np.dtype[np.bool_]]]]:
    """Every segment's description and its pixels."""
    frames = made.pixel_array.reshape(-1, made.Rows, made.Columns)
    described = {segment.SegmentNumber: segment for segment in made.SegmentSequence}
    for frame, group in zip(frames, made.PerFrameFunctionalGroupsSequence, strict=True):
        yield described[group.SegmentIdentificationSequence[0].ReferencedSegmentNumber], frame > 0


def is_of(segment: Dataset, category: codes.Code) -> bool:
    value: str = segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue
    return value == category.value


def without_lungs(screening: Screening) -> Screening:
    return replace(screening, result=replace(screening.result, lungs=None))


def undecided(screening: Screening) -> Screening:
    doubtful = {name: replace(each, decision="indeterminate") for name, each in screening.result.experts.items()}
    return replace(screening, result=replace(screening.result, experts=doubtful))


def test_every_box_of_the_report_has_its_segment(
    source: SourceImage, screening: Screening, context: ResultContext
) -> None:
    (report,) = DicomResultBuilder().answered(source, screening, context, SR)
    boxes: dict[str, list[float]] = {}
    for group in items(dcmread(io.BytesIO(report.content))):
        content = group.get("ContentSequence", [])
        tracked = [item.UID for item in content if item.get("ValueType") == "UIDREF"]
        corners = [item.GraphicData for item in content if "GraphicData" in item]
        if tracked and corners:
            boxes[tracked[0]] = list(map(float, corners[0]))

    segments = {
        segment.TrackingUID: mask
        for segment, mask in masks_of(segmentation_of(source, screening, context))
        if is_of(segment, codes.SPATIAL_CONCEPT)
    }

    assert boxes
    assert segments.keys() == boxes.keys()
    cell_px = max(source.rows, source.columns) / 256
    for tracking_uid, box in boxes.items():
        rows, columns = np.nonzero(segments[tracking_uid])
        x0, y0, x1, y1 = min(box[::2]), min(box[1::2]), max(box[::2]), max(box[1::2])
        for inner, outer in ((columns.min(), x0), (rows.min(), y0), (x1, columns.max() + 1), (y1, rows.max() + 1)):
            assert 0 <= inner - outer <= cell_px + 1


def test_a_segment_is_what_is_hot_not_its_box(
    screening: Screening, source: SourceImage, context: ResultContext
) -> None:
    found = [(each, area) for each in hot_maps(screening.result) for area in each.areas]

    hot = list(masks_of(segmentation_of(source, without_lungs(screening), context)))

    assert len(hot) == len(found)
    rows = (np.arange(source.rows) * 2 + 1) * found[0][0].heat.shape[0] // (2 * source.rows)
    columns = (np.arange(source.columns) * 2 + 1) * found[0][0].heat.shape[1] // (2 * source.columns)
    smaller = 0
    for (each, area), (_, mask) in zip(found, hot, strict=True):
        heat = each.heat[np.ix_(rows, columns)]
        assert heat[mask].min() >= 0.5 * each.heat.max()
        x0, y0, x1, y1 = area.region.box
        smaller += mask.sum() < 0.95 * (x1 - x0) * (y1 - y0)
    assert smaller


def test_lungs_are_where_they_are_on_the_film(
    source: SourceImage, screening: Screening, context: ResultContext
) -> None:
    lungs = {
        segment.SegmentLabel: (segment, mask)
        for segment, mask in masks_of(segmentation_of(source, screening, context))
        if is_of(segment, codes.ANATOMICAL_STRUCTURE)
    }

    assert lungs.keys() == {"right lung", "left lung"}
    assert screening.result.lungs is not None
    expected = screening.result.lungs.masks(source.rows, source.columns)
    for plane, label, side in zip(expected, ("right lung", "left lung"), (codes.RIGHT, codes.LEFT), strict=True):
        segment, mask = lungs[label]
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        assert kind.CodeValue == codes.LUNG.value
        assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeValue == side.value
        np.testing.assert_array_equal(mask, plane)
    assert (
        np.nonzero(lungs["right lung"][1])[1].mean() < source.columns / 2 < np.nonzero(lungs["left lung"][1])[1].mean()
    )
    assert (lungs["right lung"][1] & lung_mask(source.rows, source.columns)).any()


def test_where_there_is_nothing_to_segment_there_is_no_object(
    source: SourceImage, screening: Screening, context: ResultContext
) -> None:
    builder = DicomResultBuilder()

    only_lungs = segmentation_of(source, undecided(screening), context)
    assert [segment.SegmentLabel for segment in only_lungs.SegmentSequence] == ["right lung", "left lung"]
    assert builder.answered(source, without_lungs(undecided(screening)), context, SEG) == ()
    assert builder.answered(replace(source, rows=0, columns=0), screening, context, SEG) == ()


def test_a_segmentation_lies_on_the_films_own_pixels(
    source: SourceImage, screening: Screening, context: ResultContext
) -> None:
    odd = replace(source, rows=321, columns=287)

    made = segmentation_of(odd, screening, context)

    assert (made.Rows, made.Columns, made.BitsAllocated, made.SegmentationType) == (321, 287, 1, "BINARY")
    assert made.NumberOfFrames == len(made.SegmentSequence) == len(list(masks_of(made)))
    for group in made.PerFrameFunctionalGroupsSequence:
        (derived,) = group.DerivationImageSequence
        (film,) = derived.SourceImageSequence
        assert (film.ReferencedSOPClassUID, film.ReferencedSOPInstanceUID) == (odd.sop_class_uid, odd.sop_instance_uid)
        assert film.SpatialLocationsPreserved == "YES"
    (series,) = made.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == odd.series_instance_uid


@pytest.mark.filterwarnings("ignore")  # pydicom's, of what is odd on purpose
@pytest.mark.parametrize(
    ("given", "kept"), [("1.2.3.4", True), (None, False), ("", False), ("1.02.3", False), ("1.2.3.4\\1.2.3.5", False)]
)
def test_a_segmentation_shares_the_films_frame_of_reference(
    given: str | None, kept: bool, screening: Screening, context: ResultContext
) -> None:
    source = film_with(**({} if given is None else {"FrameOfReferenceUID": given}))

    made = segmentation_of(source, screening, context)
    later = segmentation_of(source, screening, replace(context, model_version="models-000000000000-1"))

    assert made.FrameOfReferenceUID == later.FrameOfReferenceUID == (given if kept else frame_of(source))
    assert made.DimensionOrganizationSequence[0].DimensionOrganizationUID != (
        later.DimensionOrganizationSequence[0].DimensionOrganizationUID
    )


@pytest.mark.filterwarnings("ignore")  # pydicom's, of what is odd on purpose
@pytest.mark.parametrize(("given", "kept"), [(["L", "F"], True), (["left", "F"], False), ("L", False), ("", False)])
def test_a_segmentation_is_turned_as_its_film(
    given: Any, kept: bool, screening: Screening, context: ResultContext
) -> None:
    made = segmentation_of(film_with(PatientOrientation=given), screening, context)

    assert made.PatientOrientation == (given if kept else "")


def test_a_distance_of_pixels_is_not_repeated(screening: Screening, context: ResultContext) -> None:
    """An Orthanc aborts on pixel measures without plane positions: tests/integration/pacs/test_markings.py."""
    made = segmentation_of(film_with(PixelSpacing=["0.15", "0.15"]), screening, context)

    assert not any("PixelSpacing" in item for item in items(made))


@pytest.mark.parametrize("lossy", [True, False])
def test_what_is_derived_from_a_lossy_film_says_so(lossy: bool, screening: Screening, context: ResultContext) -> None:
    elements = {"LossyImageCompressionRatio": "12.5", "LossyImageCompressionMethod": "ISO_10918_1"} if lossy else {}

    made = segmentation_of(film_with(LossyImageCompression=f"0{int(lossy)}", **elements), screening, context)

    assert made.LossyImageCompression == f"0{int(lossy)}"
    assert made.get("LossyImageCompressionRatio") == (12.5 if lossy else None)
    assert made.get("LossyImageCompressionMethod") == ("ISO_10918_1" if lossy else None)


def test_segments_name_networks_weights_parameters_finding_and_place(
    source: SourceImage, screening: Screening, context: ResultContext
) -> None:
    made = segmentation_of(source, screening, context)

    assert made.SeriesNumber == 9005
    said = {}
    for segment in made.SegmentSequence:
        (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
        assert algorithm.AlgorithmVersion == context.model_version
        assert algorithm.AlgorithmFamilyCodeSequence[0].CodeValue == codes.ARTIFICIAL_INTELLIGENCE.value
        said[segment.SegmentLabel] = algorithm.AlgorithmParameters
        if segment.SegmentLabel.endswith("lung"):
            continue
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        assert kind.CodeValue in {codes.DIRECTED_DIVERGENCE.value, codes.CLASS_ACTIVATION.value}
        finding = kind.SegmentedPropertyTypeModifierCodeSequence[0]
        (expert,) = [
            each
            for name, each in screening.result.experts.items()
            if codes.finding_code(name).value == finding.CodeValue
        ]
        shown = "divergence" if kind.CodeValue == codes.DIRECTED_DIVERGENCE.value else "map"
        assert segment.SegmentDescription.startswith(f"{DISPLAY_NAMES[expert.name]} {shown}")
        assert segment.SegmentDescription.endswith(f" {expert.probability:.2f}")
        (site,) = segment.AnatomicRegionSequence
        assert site.CodeValue in {codes.LUNG.value, codes.CHEST.value}
    divergence = next(text for label, text in said.items() if "divergence" in label)
    experts = screening.result.experts
    assert "alpha 15" in divergence
    for model in screening.result.models:
        assert (model.sha256 in divergence) == (model.name in experts)
    assert screening.result.models[-1].sha256 in said["right lung"]
    zoned = [segment for segment in made.SegmentSequence if "AnatomicRegionSequence" in segment]
    assert any("AnatomicRegionModifierSequence" in segment.AnatomicRegionSequence[0] for segment in zoned)
