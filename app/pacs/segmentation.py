"""Where an answer points, as areas of the film's own pixels: a DICOM Segmentation (PS3.3, A.51, C.8.20)."""

import re
from typing import Final

import numpy as np
from highdicom.seg import Segmentation, SegmentationTypeValues
from pydicom import Dataset
from pydicom.multival import MultiValue

from app.domain.result_identity import ResultKind, result_uid
from app.domain.source_image import SourceImage
from app.pacs.own_objects import finished, maker
from app.pacs.segments import segments
from app.pacs.source_dataset import nameless
from app.services.hospital.records import ResultContext, ResultObject
from app.services.screening import Screening

_UID: Final = re.compile(r"(?=.{1,64}$)(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")

_DIRECTION: Final = re.compile("[AFHLPR]{1,3}")
"""Of a row or a column, in a biped (PS3.3, C.7.6.1.1.1)."""


def segmentation(
    source: SourceImage, study: Dataset, screening: Screening, context: ResultContext
) -> ResultObject | None:
    """Mark the hot areas that `regions_report` boxes, and both lungs, pixel by pixel.

    Parameters
    ----------
    source, study
        The film, and its header as a data set.
    screening, context
        What was said of it; version and time.

    Returns
    -------
    ResultObject or None
        A BINARY segmentation on the film's grid, a frame of one bit a pixel for every segment. None where there is
        nothing to mark.

    Notes
    -----
    A projection has no place in space, so there are neither plane positions nor orientations: the segments belong to
    the film by the Derivation Image macro, with their locations preserved (PS3.3, C.7.6.16.2.6). The frame of reference
    is the film's, or one of ours. Pixel measures are left out: they may be where there is that macro, and an Orthanc
    whose gdcm plugin decodes everything aborts when it renders a segmentation that has them but no plane positions.
    """
    found = segments(source, screening.result, context)
    if not found:
        return None
    made = Segmentation(
        source_images=[_film(source, study)],
        pixel_array=np.moveaxis(np.stack([pixels for _, pixels in found]), 0, -1)[np.newaxis],
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[segment for segment, _ in found],
        content_label="AI REGIONS",
        **maker(source, context, ResultKind.SEGMENTATION),
    )
    del made.ContributingEquipmentSequence  # the library names itself, with the time of day
    made.PatientOrientation = _orientation(study)
    dimensions = result_uid(source.sop_instance_uid, context.model_version, f"dimensions:{ResultKind.SEGMENTATION}")
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = dimensions
    return finished(made, source, study, context, ResultKind.SEGMENTATION)


def frame_of(source: SourceImage) -> str:
    """Give the frame of reference of a film that has none: the same for every object and model version."""
    return result_uid(source.sop_instance_uid, "film", "frame-of-reference")


def _orientation(study: Dataset) -> list[str] | str:
    """Give the film's Patient Orientation (0020,0020), which is the segments' as well; empty where it is none."""
    value = study.get("PatientOrientation")
    known = isinstance(value, MultiValue) and len(value) == 2 and all(_DIRECTION.fullmatch(each) for each in value)
    return list(value) if known else ""


def _film(source: SourceImage, study: Dataset) -> Dataset:
    """Give what the library is to know of the film: with a frame of reference, without the distance of pixels."""
    film = nameless(source)
    frame = str(study.get("FrameOfReferenceUID") or "")
    film.FrameOfReferenceUID = frame if _UID.fullmatch(frame) else frame_of(source)
    if study.get("LossyImageCompression") == "01":  # and so is whatever is derived from it (PS3.3, C.7.6.1.1.5)
        for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if study.get(keyword):
                film[keyword] = study[keyword]
    return film
