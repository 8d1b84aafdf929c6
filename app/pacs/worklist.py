"""Modality worklist as a user (PS3.4, K): which order a film without an accession number was made for."""

import logging
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import build_context
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined]  # made at import

from app.domain.errors import DestinationError
from app.domain.source_image import SourceImage
from app.pacs.association import Peer, associated, attributes
from app.pacs.find_scu import found_by
from app.pacs.source_dataset import source_dataset
from app.services.hospital.ports import AuditTrail

_log = logging.getLogger(__name__)

_MODEL: Final = str(ModalityWorklistInformationFind)
_MOST_ENTRIES: Final = 200
_ACCESSION_NUMBER: Final = 0x00080050
_LONGEST_ACCESSION: Final = 16
_MATCHES_MORE: Final = frozenset("*?\\")
"""In an identifier these would ask for other patients too (PS3.4, C.2.2.2)."""


@dataclass(frozen=True, slots=True)
class WorklistEntry:
    """One scheduled procedure step, as far as films are matched with it; empty where the worklist leaves it out."""

    accession_number: str = field(repr=False)
    study_instance_uid: str
    patient_id: str = field(repr=False)
    issuer_of_patient_id: str = field(repr=False)
    requested_procedure_id: str
    requested_procedure_description: str
    modality: str
    scheduled_date: str
    """``YYYYMMDD``."""
    station_ae_title: str


@dataclass(frozen=True, slots=True)
class WorklistQuery:
    """What is asked for; empty matches everything."""

    patient_id: str = field(default="", repr=False)
    accession_number: str = field(default="", repr=False)
    scheduled_date: str = ""
    modality: str = ""


class WorklistScu:
    """Asks one modality worklist.

    Parameters
    ----------
    peer
        The worklist.
    """

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    @property
    def address(self) -> str:
        """Host and port."""
        return self._peer.address

    def find(self, query: WorklistQuery) -> list[WorklistEntry]:
        """Give the scheduled steps that match.

        Raises
        ------
        DestinationError
            If it cannot be asked, or gives more than a patient can have.
        """
        step = attributes(
            Modality=query.modality,
            ScheduledStationAETitle="",
            ScheduledProcedureStepStartDate=query.scheduled_date,
            ScheduledProcedureStepStartTime="",
            ScheduledProcedureStepID="",
        )
        identifier = attributes(
            AccessionNumber=query.accession_number,
            PatientName="",
            PatientID=query.patient_id,
            IssuerOfPatientID="",
            StudyInstanceUID="",
            RequestedProcedureDescription="",
            ScheduledProcedureStepSequence=[step],
            RequestedProcedureID="",
        )
        contexts = [build_context(_MODEL, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])]
        with associated(self._peer, contexts) as association:
            found = list(found_by(association, self._peer, _MODEL, identifier, _MOST_ENTRIES))
        try:
            return [_entry(each) for each in found]
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            detail = f"{self._peer.address} gave a worklist entry that cannot be read"
            raise DestinationError(detail, reason="protocol") from error


class WorklistMatch:
    """Gives films the accession number of their order, where they have none and the worklist leaves no doubt.

    Parameters
    ----------
    scu
        Of the worklist.
    audit
        Is told of every query.
    """

    def __init__(self, scu: WorklistScu, audit: AuditTrail) -> None:
        self._scu, self._audit = scu, audit

    def matched(self, source: SourceImage) -> SourceImage:
        """Give the film with the accession number of its order; unchanged where it has one, or none is certain.

        A worklist that does not answer keeps no film back.
        """
        study = source_dataset(source)
        patient = str(study.PatientID or "").strip()
        if str(study.AccessionNumber or "").strip() or not patient:
            return source
        if not patient.isascii() or _MATCHES_MORE & set(patient):
            return source
        try:
            entries = self._scu.find(WorklistQuery(patient_id=patient))
            self._audit.record("queried", destination=self._scu.address, sop_class_uid=_MODEL)
        except DestinationError as error:
            self._audit.record("queried", outcome="minor_failure", destination=self._scu.address, sop_class_uid=_MODEL)
            _log.warning("worklist_failed", extra={"code": error.reason, "detail": error.detail})
            return source
        number = order_of(entries, source, study)
        if number is None:
            _log.info("worklist_without_match", extra={"entries": len(entries)})
            return source
        return replace(source, header=with_accession_number(source.header, number))


def order_of(entries: Sequence[WorklistEntry], source: SourceImage, study: Dataset) -> str | None:
    """Give the accession number of a film's order; None where there is none, or more than one that it could be.

    The order of the same study; else the only one of the same patient, day and modality.

    Parameters
    ----------
    entries
        What the worklist gave.
    source, study
        The film, and its header.
    """
    patient, issuer = str(study.PatientID or "").strip(), str(study.get("IssuerOfPatientID") or "").strip()
    day = str(study.StudyDate or "")
    own = [
        each
        for each in entries
        if each.patient_id == patient
        and (not issuer or not each.issuer_of_patient_id or each.issuer_of_patient_id == issuer)
        and 0 < len(each.accession_number) <= _LONGEST_ACCESSION
        and each.accession_number.isascii()
        and each.accession_number.isprintable()
    ]
    same_study = {each.accession_number for each in own if each.study_instance_uid == source.study_instance_uid}
    if same_study:
        return same_study.pop() if len(same_study) == 1 else None
    same_day = {
        each.accession_number
        for each in own
        if day and each.scheduled_date == day and each.modality in {source.modality, ""}
    }
    return same_day.pop() if len(same_day) == 1 else None


def with_accession_number(header: bytes, number: str) -> bytes:
    """Put an accession number into a `SourceImage` header, the other elements left as they are.

    Parameters
    ----------
    header
        Explicit VR Little Endian, in order, every length of two bytes.
    number
        ASCII, at most 16 characters.
    """
    value = number.encode("ascii")
    value += b" " * (len(value) % 2)
    written = struct.pack("<HH2sH", 0x0008, 0x0050, b"SH", len(value)) + value
    at = 0
    while at + 8 <= len(header):
        group, element, _, length = struct.unpack_from("<HH2sH", header, at)
        tag = group << 16 | element
        if tag >= _ACCESSION_NUMBER:
            rest = at + 8 + length if tag == _ACCESSION_NUMBER else at
            return header[:at] + written + header[rest:]
        at += 8 + length
    return header + written


def _entry(found: Dataset) -> WorklistEntry:
    steps = found.get("ScheduledProcedureStepSequence") or [Dataset()]
    step = steps[0]
    return WorklistEntry(
        accession_number=_text(found, "AccessionNumber"),
        study_instance_uid=_text(found, "StudyInstanceUID"),
        patient_id=_text(found, "PatientID"),
        issuer_of_patient_id=_text(found, "IssuerOfPatientID"),
        requested_procedure_id=_text(found, "RequestedProcedureID"),
        requested_procedure_description=_text(found, "RequestedProcedureDescription"),
        modality=_text(step, "Modality"),
        scheduled_date=_text(step, "ScheduledProcedureStepStartDate"),
        station_ae_title=_text(step, "ScheduledStationAETitle"),
    )


def _text(dataset: Dataset, keyword: str) -> str:
    value: Any = dataset.get(keyword)  # Any: pydicom's value
    return "" if value is None else str(value).strip()
