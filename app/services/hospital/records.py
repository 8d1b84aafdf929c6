"""What the hospital's use cases and the edges that serve them say to each other: arrivals, jobs, results."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from app.domain.errors import ScreeningError
from app.domain.jobs import ArrivalOutcome, DeliveryState, JobStage, JobState
from app.domain.result_identity import ResultKind


class Origin(StrEnum):
    """By which way something reached us."""

    C_STORE = "c-store"
    STOW_RS = "stow-rs"
    DICOMWEB = "dicomweb"
    ORTHANC_CHANGES = "orthanc-changes"
    FOLDER = "folder"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where an object came from. ``sender`` is an AE title, a user, an address: never a patient."""

    origin: Origin
    sender: str
    announced_uid: str | None = None
    """SOP Instance UID that the protocol named beside the object; an object that says otherwise is refused."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an acknowledgement stands for: it exists only once the object is safe on disk and in the job table.

    ``job_id`` is None for our own results that came back.
    """

    job_id: str | None
    outcome: ArrivalOutcome
    sop_instance_uid: str | None


@dataclass(frozen=True, slots=True)
class RefusedArrival:
    """An object of several that was not taken: why, and which one it was, as far as that could be read."""

    error: ScreeningError
    sop_class_uid: str | None = None
    sop_instance_uid: str | None = None


@dataclass(frozen=True, slots=True)
class ResultObject:
    """One DICOM object of ours as a Part 10 file; ``content`` names the patient.

    A `ResultKind.FHIR_BUNDLE` is the JSON of a transaction instead: its ``sop_class_uid`` and ``series_instance_uid``
    are empty, its ``sop_instance_uid`` identifies the DiagnosticReport in it.
    """

    kind: ResultKind
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A result object whose bytes lie in the spool; ``content_key`` is empty once they were purged."""

    kind: ResultKind
    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    study_uid: str
    content_key: str


@dataclass(frozen=True, slots=True)
class Incoming:
    """A received object that lies in the spool, as far as the job table is told of it."""

    source_uid: str
    study_uid: str | None
    series_uid: str | None
    patient_key: str | None = field(repr=False)
    content_key: str
    dataset_sha256: str
    size_bytes: int
    acquired_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What is kept of an answer beside its objects; ``outcome`` is ``screened`` or a problem code."""

    outcome: str
    decision: str | None = None
    probability: float | None = None
    answer_key: str | None = None
    record_key: str | None = None
    error_code: str | None = None
    error_detail: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed, in a stable word and a sentence that names no patient."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a film has no screening: a problem code of `app.domain.errors` and its sentence."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class ResultContext:
    """What is fixed about an answer before its objects are built, so that building twice gives the same bytes.

    Attributes
    ----------
    model_version
        Of everything that answers, e.g. ``"covid19 1.0.0, pneumonia 1.0.0, ensemble 3f2a…"``: `release_version`.
    created
        Aware UTC; the objects' content date and time.
    predecessors
        SOP Instance UIDs, by kind, of the results of an earlier model version that these correct.
    """

    model_version: str
    created: datetime
    predecessors: Mapping[ResultKind, tuple[str, str, str, str]] = field(default_factory=dict)
    """Kind to SOP class, SOP instance, series and study UID."""


@dataclass(frozen=True, slots=True)
class SendOutcome:
    """What a destination said of one object.

    ``accepted`` may also be a warning or "already there". A refusal is ``permanent`` where sending the same bytes again
    cannot help (0xA900, 0xC000, 400, 409 with other content).
    """

    accepted: bool
    code: str = ""
    detail: str = ""
    permanent: bool = False


class Confirmation(StrEnum):
    """What a read-back says of one object."""

    HELD = "held"
    MISSING = "missing"
    """The destination does not have it: it is sent again."""
    PENDING = "pending"
    """Not known yet (storage commitment under way): ask again later."""


@dataclass(frozen=True, slots=True)
class Job:
    """One film's work, as the job table has it."""

    id: str
    source_uid: str
    """SOP Instance UID; ``sha256:…`` for PNG and JPEG."""
    generation: int
    """0; one more for every answer by a later model version that an operator asked for."""
    study_uid: str | None
    series_uid: str | None
    content_key: str
    """Where the received bytes are in the spool; empty once purged."""
    size_bytes: int
    origin: Origin
    sender: str
    state: JobState
    stage: JobStage
    received_at: datetime
    updated_at: datetime
    patient_key: str | None = field(default=None, repr=False)
    model_version: str | None = None
    outcome: str | None = None
    """``screened``, or the problem code of the refusal; None while unanswered."""
    decision: str | None = None
    """Of the expert of interest."""
    probability: float | None = None
    conflict: bool = False
    attempts: int = 0
    next_attempt_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    error_code: str | None = None
    error_detail: str | None = None
    answer_key: str | None = None
    """Where the answer's JSON is in the spool."""
    record_key: str | None = None
    """Where the compact record of the answer is in the spool, for comparison with later films."""
    started_at: datetime | None = None
    """When this model version first began; the date of its results."""
    runs: int = 0
    """Times a worker began, crashes included."""
    acquired_at: datetime | None = None
    """Date and time of the film by its own header (naive clock taken as UTC)."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One result object at one destination."""

    job_id: str
    destination: str
    sop_instance_uid: str
    kind: ResultKind
    content_key: str
    state: DeliveryState
    attempts: int = 0
    next_attempt_at: datetime | None = None
    sent_at: datetime | None = None
    confirmed_at: datetime | None = None
    error_code: str | None = None
    error_detail: str | None = None


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One line of a job's history; ``number`` grows over all jobs, so that a reader can go on where it stopped."""

    number: int
    at: datetime
    job_id: str | None
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class PollReport:
    """What one look at a source brought; ``failures`` are sentences that name no patient."""

    taken: int = 0
    """Made durable, duplicates among them."""
    known: int = 0
    """Seen before, not fetched."""
    passed_over: int = 0
    """Of another modality, or results of ours."""
    vanished: int = 0
    """Gone between listing and fetching."""
    refused: int = 0
    """Fetched, and never to be taken."""
    postponed: int = 0
    """Could not be fetched now; tried again."""
    failures: tuple[str, ...] = ()
