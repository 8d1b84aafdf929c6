"""The source's own header as a data set, in which every element that results must repeat is there and is legal."""

import io
import re
import warnings
from typing import Any, Final

from pydicom import Dataset
from pydicom.filereader import read_dataset

from app.domain.source_image import SourceImage

_EMPTY_IF_ABSENT: Final = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_DATES: Final = ("PatientBirthDate", "StudyDate")
_TIMES: Final = ("StudyTime",)
_SHORT: Final = ("StudyID", "AccessionNumber")
_DATE: Final = re.compile(r"\d{8}")
_TIME: Final = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")


def source_dataset(source: SourceImage) -> Dataset:
    """Read a source's header, and mend what would make the result illegal.

    Returns
    -------
    Dataset
        With the type 2 elements of the patient and study modules (PS3.3, C.7.1.1, C.7.2.1), empty where the source has
        none or an illegal one (a date that is none, a sex other than M, F, O), and with UIDs, rows and columns.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what others wrote may be outside its VR's bounds
        found = read_dataset(io.BytesIO(source.header), is_implicit_VR=False, is_little_endian=True)
        dataset = Dataset()
        for element in found:
            try:
                dataset.add(found[element.tag])
            except (ValueError, TypeError, KeyError, LookupError):
                continue
    for keyword in _EMPTY_IF_ABSENT:
        if not _readable(dataset, keyword):
            setattr(dataset, keyword, "")
    for keyword in _DATES:
        if not _DATE.fullmatch(str(dataset.get(keyword) or "")):
            setattr(dataset, keyword, "")
    for keyword in _TIMES:
        if not _TIME.fullmatch(str(dataset.get(keyword) or "")):
            setattr(dataset, keyword, "")
    for keyword in _SHORT:
        setattr(dataset, keyword, str(dataset.get(keyword) or "")[:16])
    if str(dataset.PatientSex) not in {"M", "F", "O"}:
        dataset.PatientSex = ""
    dataset.SOPClassUID, dataset.SOPInstanceUID = source.sop_class_uid, source.sop_instance_uid
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = source.study_instance_uid, source.series_instance_uid
    dataset.Rows, dataset.Columns = source.rows, source.columns
    dataset.Modality = source.modality or "OT"
    return dataset


def character_sets(dataset: Dataset) -> Any:  # Any: pydicom's value, text or several
    """Give the source's Specific Character Set (0008,0005); None where it is ASCII."""
    return dataset.get("SpecificCharacterSet") or None


def _readable(dataset: Dataset, keyword: str) -> bool:
    try:
        return keyword in dataset and dataset[keyword].value is not None
    except (ValueError, TypeError, LookupError):
        return False
