"""Jobs as documents: what operators and integrators read of the hospital's work. Nothing here names a patient."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from app.domain.jobs import ArrivalOutcome, DeliveryState, JobStage, JobState
from app.domain.result_identity import ResultKind
from app.services.hospital.desk import JobDetail
from app.services.hospital.records import Job, JobEvent, Origin, Receipt
from app.services.hospital.summary import Summary


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class JobDocument(_Document):
    """One film's work."""

    id: str
    source_uid: str = Field(description="SOP Instance UID of the film; sha256:… of a PNG or JPEG")
    generation: int = Field(description="0; one more for every answer by later models that was asked for")
    study_uid: str | None
    series_uid: str | None
    origin: Origin
    sender: str
    state: JobState
    stage: JobStage
    received: datetime
    updated: datetime
    answered: datetime | None
    ended: datetime | None
    acquired: datetime | None
    model_version: str | None
    outcome: str | None = Field(description="screened, or the problem code of the refusal")
    decision: str | None
    probability: float | None = Field(description="Of the expert of interest")
    conflict: bool = Field(description="The same UID also came with other content; this is the first one's work")
    attempts: int
    next_attempt: datetime | None
    error_code: str | None
    error_detail: str | None
    has_answer: bool

    @classmethod
    def of(cls, job: Job) -> "JobDocument":
        """Write a job down."""
        return cls(
            id=job.id, source_uid=job.source_uid, generation=job.generation, study_uid=job.study_uid,
            series_uid=job.series_uid, origin=job.origin, sender=job.sender, state=job.state, stage=job.stage,
            received=job.received_at, updated=job.updated_at, answered=job.answered_at, ended=job.ended_at,
            acquired=job.acquired_at, model_version=job.model_version, outcome=job.outcome, decision=job.decision,
            probability=job.probability, conflict=job.conflict, attempts=job.attempts,
            next_attempt=job.next_attempt_at, error_code=job.error_code, error_detail=job.error_detail,
            has_answer=job.answer_key is not None,
        )  # fmt: skip


class ResultDocument(_Document):
    """One result object."""

    kind: ResultKind
    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    study_uid: str


class DeliveryDocument(_Document):
    """One result object at one destination."""

    destination: str
    sop_instance_uid: str
    kind: ResultKind
    state: DeliveryState
    attempts: int
    next_attempt: datetime | None
    sent: datetime | None
    confirmed: datetime | None
    error_code: str | None
    error_detail: str | None


class JobEventDocument(_Document):
    """One line of history."""

    number: int
    at: datetime
    job_id: str | None
    kind: str
    detail: str

    @classmethod
    def of(cls, event: JobEvent) -> "JobEventDocument":
        """Write an event down."""
        return cls(number=event.number, at=event.at, job_id=event.job_id, kind=event.kind, detail=event.detail)


class JobDetailDocument(JobDocument):
    """One film's work whole."""

    results: list[ResultDocument]
    deliveries: list[DeliveryDocument]
    events: list[JobEventDocument]

    @classmethod
    def of_detail(cls, detail: JobDetail) -> "JobDetailDocument":
        """Write a job down with all that belongs to it."""
        return cls(
            **JobDocument.of(detail.job).model_dump(),
            results=[
                ResultDocument(
                    kind=each.kind, sop_class_uid=each.sop_class_uid, sop_instance_uid=each.sop_instance_uid,
                    series_uid=each.series_uid, study_uid=each.study_uid,
                )
                for each in detail.results
            ],
            deliveries=[
                DeliveryDocument(
                    destination=each.destination, sop_instance_uid=each.sop_instance_uid, kind=each.kind,
                    state=each.state, attempts=each.attempts, next_attempt=each.next_attempt_at, sent=each.sent_at,
                    confirmed=each.confirmed_at, error_code=each.error_code, error_detail=each.error_detail,
                )
                for each in detail.deliveries
            ],
            events=[JobEventDocument.of(each) for each in detail.events],
        )  # fmt: skip


class JobListDocument(_Document):
    """A page of jobs, the newest first; ``next`` is the ``before`` of the page after."""

    jobs: list[JobDocument]
    next: str | None


class ReceiptDocument(_Document):
    """What became of an upload."""

    job_id: str
    outcome: ArrivalOutcome
    sop_instance_uid: str | None

    @classmethod
    def of(cls, receipt: Receipt) -> "ReceiptDocument":
        """Write a receipt down; our own results, which have no job, are told apart by their outcome."""
        return cls(job_id=receipt.job_id or "", outcome=receipt.outcome, sop_instance_uid=receipt.sop_instance_uid)


class SummaryDocument(_Document):
    """The queue in numbers."""

    at: datetime
    idle: bool
    alerts: list[str]
    jobs: dict[JobState, int]
    arrivals: dict[ArrivalOutcome, int]
    deliveries: dict[str, dict[DeliveryState, int]]
    oldest_open_s: float | None
    overdue: int
    workers: dict[str, float] = Field(description="Name to seconds since its last sign of life")
    spool_bytes: int
    spool_max_bytes: int
    sources: dict[str, str] = Field(description="Sources that keep failing, and why")
    destinations: dict[str, str] = Field(description="Destinations that keep failing, and why")
    audit: dict[str, str] = Field(description="Receivers of audit events that lag, and why")
    certificates: dict[str, str] = Field(description="Certificates that have ended or are about to")

    @classmethod
    def of(cls, summary: Summary) -> "SummaryDocument":
        """Write a summary down."""
        return cls(
            at=summary.at, idle=summary.idle, alerts=list(summary.alerts), jobs=dict(summary.jobs),
            arrivals=dict(summary.arrivals),
            deliveries={name: dict(states) for name, states in summary.deliveries.items()},
            oldest_open_s=summary.oldest_open_s, overdue=summary.overdue, workers=dict(summary.workers),
            spool_bytes=summary.spool_bytes, spool_max_bytes=summary.spool_max_bytes,
            sources=dict(summary.sources), destinations=dict(summary.destinations),
            audit=dict(summary.audit), certificates=dict(summary.certificates),
        )  # fmt: skip
