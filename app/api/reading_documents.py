"""The reading list and comparisons as documents; nothing here names a patient."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.api.parts import Json, picture_payload
from app.services.hospital.priors import ExpertChange, PriorComparison
from app.services.hospital.reading_list import ReadingEntry


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ReadingDocument(_Document):
    """One film in the order it asks to be read."""

    rank: int
    urgency: Literal["positive", "needs_eyes", "negative"]
    job_id: str
    source_uid: str
    study_uid: str | None
    received: datetime
    acquired: datetime | None
    decision: str | None
    probability: float | None
    outcome: str | None = Field(description="screened, the problem code of a refusal, or null while unanswered")
    state: str

    @classmethod
    def of(cls, rank: int, entry: ReadingEntry) -> "ReadingDocument":
        """Write an entry down."""
        job = entry.job
        urgency: Any = entry.urgency.name.lower()  # Any: one of the literals
        return cls(
            rank=rank, urgency=urgency, job_id=job.id, source_uid=job.source_uid, study_uid=job.study_uid,
            received=job.received_at, acquired=job.acquired_at, decision=job.decision, probability=job.probability,
            outcome=job.outcome, state=job.state,
        )  # fmt: skip


class ReadingListDocument(_Document):
    """Films, what may be missed first."""

    notice: str
    films: list[ReadingDocument]


def comparison_payload(found: PriorComparison) -> Json:
    """Give a comparison; maps as nested lists, pictures as base64 PNG."""
    return {
        "job_id": found.job.id,
        "source_uid": found.job.source_uid,
        "earlier_job_id": found.earlier.id,
        "earlier_source_uid": found.earlier.source_uid,
        "days": found.days,
        "flags": list(found.flags),
        "experts": {name: _change(change) for name, change in found.experts.items()},
    }


def _change(change: ExpertChange) -> Json:
    divergence = change.divergence
    return {
        "probability": change.probability,
        "earlier_probability": change.earlier_probability,
        "change_of_probability": change.probability - change.earlier_probability,
        "logit": change.logit,
        "earlier_logit": change.earlier_logit,
        "change_of_logit": change.logit - change.earlier_logit,
        "flags": list(change.flags),
        "temporal_divergence": None
        if divergence is None
        else {
            "alpha": divergence.new.alpha,
            "extent": list(divergence.extent),
            "lungs_overlap": divergence.lungs_overlap,
            "new": {"log_k": divergence.new.log_k, "display": divergence.new.display},
            "resolved": {"log_k": divergence.resolved.log_k, "display": divergence.resolved.display},
        },
        "new_since": picture_payload(change.new) if change.new else None,
        "resolved_since": picture_payload(change.resolved) if change.resolved else None,
    }
