"""RGB Secondary Capture: the one result object that every viewer shows (PS3.3, A.8.1)."""

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from app.domain.result_identity import ResultKind
from app.domain.source_image import SourceImage
from app.pacs.own_objects import finished
from app.services.hospital.records import ResultContext, ResultObject


def secondary_capture(
    source: SourceImage, study: Dataset, pixels: NDArray[np.uint8], context: ResultContext, comment: str
) -> ResultObject:
    """Put a picture into a Secondary Capture object that refers to its film.

    Parameters
    ----------
    source, study
        The film, and its header as a data set.
    pixels
        ``(H, W, 3)`` uint8.
    context
        Version and time.
    comment
        Image Comments (0020,4000): what the picture says, for machines and for viewers that show it.
    """
    height, width = pixels.shape[:2]
    image = Dataset()
    image.SOPClassUID = SecondaryCaptureImageStorage
    image.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    image.Modality = "OT"
    image.ConversionType = "WSD"
    image.BurnedInAnnotation = "YES"
    image.BodyPartExamined = "CHEST"
    image.PatientOrientation = ""
    image.DerivationDescription = "Class activation maps and their directed divergence over the film"
    image.ImageComments = comment
    referenced = Dataset()
    referenced.ReferencedSOPClassUID = source.sop_class_uid
    referenced.ReferencedSOPInstanceUID = source.sop_instance_uid
    image.SourceImageSequence = [referenced]
    image.SamplesPerPixel, image.PhotometricInterpretation, image.PlanarConfiguration = 3, "RGB", 0
    image.Rows, image.Columns = height, width
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 8, 8, 7, 0
    content = np.ascontiguousarray(pixels).tobytes()
    image.add_new(0x7FE00010, "OB", content + b"\0" * (len(content) % 2))
    return finished(image, source, study, context, ResultKind.SECONDARY_CAPTURE)
