"""What all our objects have in common: who made them, when, of which film, and the same bytes every time."""

import io
from typing import Any, Final

from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from app.domain.result_identity import ResultKind, result_uid
from app.domain.source_image import SourceImage
from app.pacs.source_dataset import character_sets, source_dataset
from app.services.hospital.records import ResultContext, ResultObject

MANUFACTURER: Final = "Discern"
MODEL_NAME: Final = "Discern chest radiograph screening"
IMPLEMENTATION_UID: Final = UID("2.25.184534221270894172364120311226812740097")
IMPLEMENTATION_NAME: Final = "DISCERN_1"
NOTICE: Final = "AI result. Research use, not for primary diagnosis."

_SERIES: Final[dict[ResultKind, tuple[int, str]]] = {
    ResultKind.SECONDARY_CAPTURE: (9001, "Discern AI overlay"),
    ResultKind.REGIONS_REPORT: (9002, "Discern AI regions"),
    ResultKind.FINDINGS_REPORT: (9003, "Discern AI findings"),
    ResultKind.TEXT_REPORT: (9004, "Discern AI report"),
    ResultKind.SEGMENTATION: (9005, "Discern AI segmentation"),
    ResultKind.PRESENTATION_STATE: (9006, "Discern AI annotations"),
    ResultKind.NOT_ANALYSED: (9007, "Discern AI: not analysed"),
}
"""Series number and description of each kind."""


def series_number(kind: ResultKind) -> int:
    """Give a kind's series number."""
    return _SERIES[kind][0]


def uids(source: SourceImage, context: ResultContext, kind: ResultKind) -> tuple[str, str]:
    """Give the instance's and the series' UID."""
    version = context.model_version
    return (
        result_uid(source.sop_instance_uid, version, kind),
        result_uid(source.sop_instance_uid, version, f"series:{kind}"),
    )


def maker(source: SourceImage, context: ResultContext, kind: ResultKind) -> dict[str, Any]:  # Any: the library's types
    """Give what highdicom's constructors are to know of an object and of who makes it, by their parameters' names."""
    instance, series = uids(source, context, kind)
    return {
        "series_instance_uid": series,
        "series_number": series_number(kind),
        "sop_instance_uid": instance,
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MODEL_NAME,
        "software_versions": context.model_version[:64],
        "device_serial_number": context.model_version[:64],
        "content_description": NOTICE,
    }


def repeat_study(target: Dataset, study: Dataset) -> None:
    """Copy patient and study of the source into a result."""
    for keyword in (
        "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientBirthTime", "PatientSex",
        "PatientAge", "PatientSize", "PatientWeight", "StudyInstanceUID", "StudyID", "StudyDate", "StudyTime",
        "AccessionNumber", "ReferringPhysicianName", "StudyDescription", "TimezoneOffsetFromUTC",
        "PatientIdentityRemoved",
    ):  # fmt: skip
        if keyword in study and not (keyword.startswith("Patient") and study.get(keyword) is None):
            target[keyword] = study[keyword]
    sets: Any = character_sets(study)  # Any: text or several
    if sets is not None:
        target.SpecificCharacterSet = sets
    elif "SpecificCharacterSet" in target:
        del target.SpecificCharacterSet


def finished(
    target: Dataset, source: SourceImage, study: Dataset, context: ResultContext, kind: ResultKind
) -> ResultObject:
    """Make a result of a data set: study, equipment, dates, UIDs and file meta information are set here.

    Raises
    ------
    UnicodeEncodeError
        Never for our own texts, which are ASCII.
    """
    repeat_study(target, study)
    instance, series = uids(source, context, kind)
    number, description = _SERIES[kind]
    at = context.created
    target.SOPInstanceUID, target.SeriesInstanceUID = instance, series
    target.SeriesNumber, target.SeriesDescription, target.InstanceNumber = number, description, 1
    target.Manufacturer, target.ManufacturerModelName = MANUFACTURER, MODEL_NAME
    target.SoftwareVersions = context.model_version
    target.DeviceSerialNumber = context.model_version[:64]
    said = "PresentationCreation" if kind is ResultKind.PRESENTATION_STATE else "Content"
    for name in ("InstanceCreation", said, "Series"):
        setattr(target, f"{name}Date", at.strftime("%Y%m%d"))
        setattr(target, f"{name}Time", at.strftime("%H%M%S"))
    if "TimezoneOffsetFromUTC" in target:
        target.TimezoneOffsetFromUTC = "+0000"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = target.SOPClassUID, UID(instance)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID, meta.ImplementationVersionName = IMPLEMENTATION_UID, IMPLEMENTATION_NAME
    target.file_meta, target.preamble = meta, b"\0" * 128
    buffer = io.BytesIO()
    dcmwrite(buffer, target, enforce_file_format=True)
    return ResultObject(kind, str(target.SOPClassUID), instance, series, source.study_instance_uid, buffer.getvalue())


def is_own(source: SourceImage) -> bool:
    """Whether an object was made by this service, whatever a PACS did to its file meta information."""
    study = source_dataset(source)
    return (
        str(study.get("Manufacturer", "")) == MANUFACTURER and str(study.get("ManufacturerModelName", "")) == MODEL_NAME
    )
