"""The source's own header as a data set, in which every element that results must repeat is there and is legal."""

import io
import re
import warnings
from typing import Any, Final

from pydicom import Dataset
from pydicom.filereader import read_dataset
from pydicom.multival import MultiValue

from app.domain.source_image import SourceImage

_EMPTY_IF_ABSENT: Final = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_SHORT: Final = ("StudyID", "AccessionNumber")
_SINGLE: Final = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthTime", "PatientSex", "PatientAge", "PatientSize",
    "PatientWeight", "ReferringPhysicianName", "StudyDescription", "TimezoneOffsetFromUTC", "PatientIdentityRemoved",
)  # fmt: skip
_DATE: Final = re.compile(r"\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
_TIME: Final = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")
_DECIMAL: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([Ee][+-]?\d+)?")
_LEGAL: Final = {
    "PatientBirthDate": _DATE, "StudyDate": _DATE, "StudyTime": _TIME, "PatientBirthTime": _TIME,
    "PatientSex": re.compile("[MFO]"), "PatientAge": re.compile(r"\d{3}[DWMY]"), "PatientSize": _DECIMAL,
    "PatientWeight": _DECIMAL, "TimezoneOffsetFromUTC": re.compile(r"[+-]\d{4}"),
    "PatientIdentityRemoved": re.compile("YES|NO"),
}  # fmt: skip
"""What PS3.5, 6.2 and PS3.3, C.7.1 allow."""


def source_dataset(source: SourceImage) -> Dataset:
    """Read a source's header, and mend what would make the result illegal.

    Returns
    -------
    Dataset
        With the type 2 elements of the patient and study modules (PS3.3, C.7.1.1, C.7.2.1), empty where the source has
        none or an illegal one (a date that is none, a sex other than M, F, O), optional ones left out likewise, with
        the first where there are several values of what has one, and with UIDs, rows and columns.
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
    for keyword in (*_EMPTY_IF_ABSENT, *_SINGLE):
        value = dataset.get(keyword)
        if isinstance(value, MultiValue):
            setattr(dataset, keyword, value[0])
    for keyword in _EMPTY_IF_ABSENT:
        if not _readable(dataset, keyword):
            setattr(dataset, keyword, "")
    for keyword, legal in _LEGAL.items():
        value = str(dataset.get(keyword) or "").strip()
        if legal in {_DATE, _TIME}:
            value = value.replace(":", "") if legal is _TIME else value.replace(".", "")  # as before DICOM
        if legal.fullmatch(value):
            setattr(dataset, keyword, value)
        elif keyword in _EMPTY_IF_ABSENT:
            setattr(dataset, keyword, "")
        elif keyword in dataset:
            delattr(dataset, keyword)
    for keyword in _SHORT:
        setattr(dataset, keyword, str(dataset.get(keyword) or "")[:16])
    dataset.SOPClassUID, dataset.SOPInstanceUID = source.sop_class_uid, source.sop_instance_uid
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = source.study_instance_uid, source.series_instance_uid
    dataset.Rows, dataset.Columns = source.rows, source.columns
    dataset.Modality = source.modality or "OT"
    return dataset


def nameless(source: SourceImage) -> Dataset:
    """Give what a library that makes objects needs to know of a film: its identity and size, and nothing of a patient.

    `own_objects.finished` writes patient and study, as `source_dataset` has them. A library would refuse what it does
    not know of them, a character set say, and write what it takes for a wrong name into the log.
    """
    film = Dataset()
    for keyword in _EMPTY_IF_ABSENT:
        setattr(film, keyword, "")
    film.SOPClassUID, film.SOPInstanceUID = source.sop_class_uid, source.sop_instance_uid
    film.StudyInstanceUID, film.SeriesInstanceUID = source.study_instance_uid, source.series_instance_uid
    film.Rows, film.Columns = source.rows, source.columns
    film.Modality = source.modality or "OT"
    return film


def character_sets(dataset: Dataset) -> Any:  # Any: pydicom's value, text or several
    """Give the source's Specific Character Set (0008,0005); None where it is ASCII."""
    return dataset.get("SpecificCharacterSet") or None


def _readable(dataset: Dataset, keyword: str) -> bool:
    try:
        return keyword in dataset and dataset[keyword].value is not None
    except (ValueError, TypeError, LookupError):
        return False
