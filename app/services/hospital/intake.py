"""A film arrives: what it is, whether it is safe, and what is said of it; nothing is acknowledged before that."""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from app.domain.errors import IntakeReason, IntakeRefusedError, ScreeningError, StorageUnavailableError
from app.domain.jobs import ArrivalOutcome
from app.domain.source_image import SourceImage
from app.services.hospital.auditing import about
from app.services.hospital.ports import AuditTrail, ObjectReader, Spool
from app.services.hospital.records import Arrival, Incoming, Job, Origin, Receipt, RefusedArrival

_log = logging.getLogger(__name__)

SameFilm = Callable[[bytes, bytes], bool]
"""Whether two objects show the same film, whatever they are coded as."""


class IntakeTable(Protocol):
    """What intake needs of the job table."""

    def admit(self, incoming: Incoming, arrival: Arrival) -> tuple[Job, ArrivalOutcome]:
        """Make a job, or find the one there is."""
        ...

    def same_film_recoded(self, job: Job, incoming: Incoming) -> None:
        """Take a conflict back."""
        ...

    def own_result(self, arrival: Arrival, dataset_sha256: str) -> None:
        """Write down that a result of ours came back."""
        ...


class IntakeService:
    """The `Receiver` behind every way in.

    Parameters
    ----------
    reader, spool, table, audit
        The edges.
    is_own
        Whether an object is a result of this service.
    same_film
        Looks at pixels; asked only where one UID came with two contents.
    """

    def __init__(  # the edges it joins
        self,
        reader: ObjectReader,
        spool: Spool,
        table: IntakeTable,
        audit: AuditTrail,
        is_own: Callable[[SourceImage], bool],
        same_film: SameFilm,
    ) -> None:
        self._reader, self._spool, self._table, self._audit = reader, spool, table, audit
        self._is_own, self._same_film = is_own, same_film

    def receive(self, content: bytes, arrival: Arrival) -> Receipt:
        """Make one object durable and give it a job; see `Receiver`."""
        try:
            receipt = self._receive(content, arrival)
        except ScreeningError as error:
            _log.warning(
                "arrival_refused",
                extra={"origin": arrival.origin, "sender": arrival.sender, "code": error.problem_code},
            )
            self._audit.record("refused", outcome="minor_failure", sender=arrival.sender, reason=error.problem_code)
            raise
        _log.info(
            "arrival",
            extra={
                "origin": arrival.origin,
                "sender": arrival.sender,
                "outcome": receipt.outcome,
                "job": receipt.job_id,
            },
        )
        return receipt

    def receive_all(
        self, contents: Sequence[bytes], arrival: Arrival, study_uid: str | None = None
    ) -> Sequence[Receipt | RefusedArrival]:
        """Make several objects durable, each with its own receipt or refusal; see `Receiver`."""
        receipts: list[Receipt | RefusedArrival] = []
        for content in contents:
            try:
                receipts.append(self._of_study(content, arrival, study_uid))
            except ScreeningError as error:
                receipts.append(self._refused(content, error))
        return receipts

    def _refused(self, content: bytes, error: ScreeningError) -> RefusedArrival:
        try:
            source = self._reader.identify(content)
        except ScreeningError:
            source = None
        if source is None:
            return RefusedArrival(error)
        return RefusedArrival(error, source.sop_class_uid, source.sop_instance_uid)

    def _of_study(self, content: bytes, arrival: Arrival, study_uid: str | None) -> Receipt:
        if study_uid is not None:
            source = self._reader.identify(content)
            if source is not None and source.study_instance_uid != study_uid:
                detail = "Study Instance UID (0020,000D) is not the one that was addressed"
                raise IntakeRefusedError(IntakeReason.OTHER_STUDY, detail)
        return self.receive(content, arrival)

    def _receive(self, content: bytes, arrival: Arrival) -> Receipt:
        source = self._reader.identify(content)
        if source is None and arrival.origin not in {Origin.UPLOAD, Origin.FOLDER}:
            raise IntakeRefusedError(IntakeReason.NOT_DICOM, "a DICOM object is expected here")
        if source is not None and arrival.announced_uid not in {None, source.sop_instance_uid}:
            detail = "SOP Instance UID (0008,0018) is not the one that was announced with it"
            raise IntakeRefusedError(IntakeReason.UID_MISMATCH, detail)
        dataset_sha256 = self._reader.dataset_sha256(content)
        if source is not None and self._is_own(source):
            self._table.own_result(arrival, dataset_sha256)
            return Receipt(None, ArrivalOutcome.OWN_RESULT, source.sop_instance_uid)
        key = self._spool.put(content)
        incoming = Incoming(
            source_uid=source.sop_instance_uid if source else f"sha256:{key}",
            study_uid=source.study_instance_uid if source else None,
            series_uid=source.series_instance_uid if source else None,
            patient_key=self._reader.patient_key(source) if source else None,
            content_key=key,
            dataset_sha256=dataset_sha256,
            size_bytes=len(content),
            acquired_at=self._reader.acquired_at(source) if source else None,
        )
        job, outcome = self._table.admit(incoming, arrival)
        if not self._spool.holds(key):  # an old file of the same content was cleaned away in between
            self._spool.put(content)
        if outcome is ArrivalOutcome.CONFLICT and self._shows_the_same(job, content, incoming):
            self._table.same_film_recoded(job, incoming)
            outcome = ArrivalOutcome.DUPLICATE
        if outcome is ArrivalOutcome.DUPLICATE and key != job.content_key:
            self._spool.remove(key)
        self._audit.record("received", sender=arrival.sender, **about(job))
        return Receipt(job.id, outcome, source.sop_instance_uid if source else None)

    def _shows_the_same(self, job: Job, content: bytes, incoming: Incoming) -> bool:
        """Whether other bytes under the same UID are the same film of the same patient and study."""
        if not job.content_key or (job.patient_key, job.study_uid) != (incoming.patient_key, incoming.study_uid):
            return False
        try:
            return self._same_film(self._spool.get(job.content_key), content)
        except StorageUnavailableError:
            return False
