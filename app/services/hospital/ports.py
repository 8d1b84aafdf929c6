"""What the hospital's use cases need from the world; `app.pacs`, `app.storage` and `app.workflows` implement it.

Errors of these ports are `ScreeningError` subclasses of `app.domain.errors` (`StorageFullError`, `IntakeRefusedError`,
`DestinationError`, …).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from app.domain.result_identity import ResultKind
from app.domain.source_image import SourceImage
from app.services.hospital.records import (
    Arrival,
    Confirmation,
    Receipt,
    Refusal,
    RefusedArrival,
    ResultContext,
    ResultObject,
    SendOutcome,
)
from app.services.screening import Screening


class Receiver(Protocol):
    """Takes what arrives. Every way in calls this, and acknowledges only after it has returned."""

    def receive(self, content: bytes, arrival: Arrival) -> Receipt:
        """Make one object durable; blocking, safe for many threads.

        Parameters
        ----------
        content
            A Part 10 file (preamble and file meta information where the way in has them), or PNG or JPEG where
            ``arrival.origin`` is `Origin.UPLOAD` or `Origin.FOLDER`.
        arrival
            How it came.

        Raises
        ------
        StorageFullError
            If the spool's bounds or the disk do not allow it (0xA700, 507).
        StorageUnavailableError
            If the job table cannot be written to (0xA700, 503).
        TooLargeError, UnreadableImageError, UnsupportedFormatError, IntakeRefusedError
            If it can never be taken (0xA900 or 0xC000, 4xx). Nothing of it is kept.
        """
        ...

    def receive_all(
        self, contents: Sequence[bytes], arrival: Arrival, study_uid: str | None = None
    ) -> Sequence[Receipt | RefusedArrival]:
        """Make several objects durable, each with its own receipt or refusal.

        With ``study_uid`` objects of any other study are refused.
        """
        ...


class ObjectReader(Protocol):
    """Looks at received bytes within bounds, without decoding pixels."""

    def identify(self, content: bytes) -> SourceImage | None:
        """Give the identity of a DICOM object; None for PNG and JPEG.

        Raises
        ------
        UnreadableImageError, TooLargeError, UnsupportedFormatError
            If it is malformed or beyond the limits.
        IntakeRefusedError
            If an identifier is missing or no UID.
        """
        ...

    def dataset_sha256(self, content: bytes) -> str:
        """Hash an object without its preamble and file meta information, which each sender writes anew."""
        ...

    def patient_key(self, source: SourceImage) -> str | None:
        """Give a keyed hash of issuer and patient ID, the same for the same patient; None where there is no ID."""
        ...

    def acquired_at(self, source: SourceImage) -> datetime | None:
        """Give the film's date and time by its header, aware; None where it has none."""
        ...


class Spool(Protocol):
    """Files by the hash of their content, written durably; names never come from outside."""

    def put(self, content: bytes) -> str:
        """Write, fsync, rename, fsync the folder; the same content twice is one file. Returns its SHA-256 in hex.

        Raises
        ------
        StorageFullError
            Before anything is written, where the bound or the disk's reserve would be passed; or if the disk is full.
        """
        ...

    def get(self, key: str) -> bytes:
        """Read a file and check its hash; `StorageUnavailableError` where it is gone or changed."""
        ...

    def holds(self, key: str) -> bool:
        """Whether a file is there."""
        ...

    def remove(self, key: str) -> None:
        """Remove a file; one that is not there is no error."""
        ...

    def used_bytes(self) -> int:
        """Bytes held."""
        ...


class ResultBuilder(Protocol):
    """Answers as DICOM objects (docs/dicom-conformance.md); deterministic: same arguments, same bytes."""

    def answered(
        self, source: SourceImage, screening: Screening, context: ResultContext, kinds: Collection[ResultKind]
    ) -> tuple[ResultObject, ...]:
        """Build the objects of a screening; kinds that have nothing to say (no region) are left out."""
        ...

    def refused(
        self, source: SourceImage, refusal: Refusal, context: ResultContext, kinds: Collection[ResultKind]
    ) -> tuple[ResultObject, ...]:
        """Build the coded "not analysed, because" objects: an SR always, a picture where that is wanted."""
        ...

    def is_own(self, source: SourceImage) -> bool:
        """Whether an object is a result of this service, whoever sends it."""
        ...


class Destination(Protocol):
    """Where results go: a PACS by C-STORE or STOW-RS, a FHIR server. Blocking, with time limits of its own."""

    @property
    def name(self) -> str:
        """As in the settings."""
        ...

    @property
    def kinds(self) -> frozenset[ResultKind]:
        """Which objects it wants."""
        ...

    def send(self, objects: Sequence[ResultObject]) -> Mapping[str, SendOutcome]:
        """Send objects; the outcome of each by SOP Instance UID. One that is absent was not answered for.

        Raises
        ------
        DestinationError
            If nothing could be sent; ``permanent`` where only a change of configuration can help (it is retried
            nevertheless, and shown).
        """
        ...

    def confirm(self, objects: Sequence[ResultObject]) -> Mapping[str, Confirmation]:
        """Ask the destination whether it really holds what it acknowledged; same errors as `send`."""
        ...


class AuditTrail(Protocol):
    """What somebody may later have to answer for; durable before `record` returns, sent on in the background."""

    def record(self, event: str, *, outcome: str = "success", **participants: str) -> None:
        """Write one audit event.

        Parameters
        ----------
        event
            Of `app.services.hospital.auditing.EVENTS`: ``received``, ``sent``, …
        outcome
            ``success``, ``minor_failure``, ``serious_failure`` (PS3.15, A.5: EventOutcomeIndicator).
        participants
            Of `app.services.hospital.auditing.PARTICIPANTS`: ``sender``, ``study_uid``, ``job_id``, …
        """
        ...


class CursorStore(Protocol):
    """Where a poller stopped, durably."""

    def cursor(self, name: str) -> str | None:
        """Give the value last kept."""
        ...

    def keep_cursor(self, name: str, value: str) -> None:
        """Keep a value; committed when this returns."""
        ...


Commitment = Callable[[str, Mapping[str, bool]], None]
"""Called with a storage commitment's transaction UID, and by SOP Instance UID whether the archive committed to it."""


class CommitmentLedger(Protocol):
    """Which archive was asked to commit to which object, and what it said; shared by worker and listener."""

    def asked(self, transaction_uid: str, destination: str, sop_instance_uids: Collection[str]) -> None:
        """Keep a transaction that is about to be asked for; committed when this returns."""
        ...

    def reported(self, transaction_uid: str, outcome: Mapping[str, bool]) -> None:
        """Keep what an archive reported, a `Commitment`; transactions and objects nobody asked for change nothing."""
        ...

    def standing(
        self, destination: str, sop_instance_uids: Collection[str], asked_within_s: float
    ) -> Mapping[str, bool | None]:
        """Give what was said of objects, by whichever transaction.

        None where no report has come yet; absent where the last request was too long ago.
        """
        ...

    def withdrawn(self, transaction_uid: str) -> None:
        """Let go of a transaction that could not be asked for."""
        ...

    def forget(self, destination: str, sop_instance_uids: Collection[str]) -> None:
        """Let go of what is settled."""
        ...
