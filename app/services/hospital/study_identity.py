"""Whose a film is and which study it belongs to, as plain values, for results that are no DICOM objects."""

from collections.abc import Callable
from dataclasses import dataclass, field

from app.domain.source_image import SourceImage


@dataclass(frozen=True, slots=True)
class StudyIdentity:
    """What a film's header says, decoded from its character set.

    Attributes
    ----------
    patient_id, issuer
        (0010,0020), (0010,0021); empty where absent. They name the patient: never logged, never shown.
    accession_number
        (0008,0050); empty where absent.
    study_date
        (0008,0020) as ``YYYY-MM-DD``; None where absent or no date.
    """

    patient_id: str = field(default="", repr=False)
    issuer: str = field(default="", repr=False)
    accession_number: str = field(default="", repr=False)
    study_date: str | None = field(default=None, repr=False)


StudyIdentifier = Callable[[SourceImage], StudyIdentity]
"""Reads a `SourceImage.header`; implemented by `app.pacs.study_identity`."""
