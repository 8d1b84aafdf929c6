"""A film beside the last one of the same patient: what the same expert said then and now, and where it changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np

from app.domain.activation_map import lay_over_film
from app.domain.arrays import FloatMap
from app.domain.directed_divergence import DEFAULT_ALPHA, DirectedDivergence
from app.domain.errors import JobConflictError, ScreeningError
from app.domain.overlay import blend, grey_levels, overlay_size
from app.domain.temporal_divergence import (
    ALIGNMENT_POOR,
    NO_EVIDENCE,
    DatedMap,
    TemporalDivergence,
    temporal_divergence,
)
from app.services.hospital.auditing import about
from app.services.hospital.film_record import ExpertRecord, FilmRecord, read_record
from app.services.hospital.ports import AuditTrail, Spool
from app.services.hospital.records import Job
from app.services.ports import PictureEncoder, RadiographDecoder
from app.services.rendering import Picture

OTHER_VIEW = "other_view"
"""AP against PA, or one of them unknown: heart and lungs are projected otherwise."""
LUNGS_NOT_FOUND = "lungs_not_found"
OTHER_MODEL = "other_model_version"
"""The earlier film was answered by other weights: numbers are not compared, the film has to be screened again."""
_OVERLAY_PX = 768
_LEAST_LOG_K = 1.0


class PriorTable(Protocol):
    """The job table, as far as priors go."""

    def job(self, identifier: str) -> Job:
        """Give a job."""
        ...

    def earlier_films(self, job: Job, limit: int = 5) -> list[Job]:
        """Screened films of the same patient that were acquired before, the newest first."""
        ...


@dataclass(frozen=True, slots=True)
class ExpertChange:
    """One expert on two dates.

    Attributes
    ----------
    probability, earlier_probability, logit, earlier_logit
        Now and then.
    divergence
        None where the maps cannot be compared; ``flags`` say why.
    new, resolved
        Pictures on the current film: what is new since the earlier one, what has gone. None where nothing is drawn.
    """

    name: str
    probability: float
    earlier_probability: float
    logit: float
    earlier_logit: float
    divergence: TemporalDivergence | None
    flags: tuple[str, ...]
    new: Picture | None = None
    resolved: Picture | None = None


@dataclass(frozen=True, slots=True)
class PriorComparison:
    """A film and the one before it."""

    job: Job
    earlier: Job
    days: float | None
    experts: Mapping[str, ExpertChange]
    flags: tuple[str, ...]


def compared(current: FilmRecord, earlier: FilmRecord, alpha: float = DEFAULT_ALPHA) -> dict[str, ExpertChange]:
    """Compare every expert that answered both films by the same weights; the others are left out."""
    return {
        name: _change(current, earlier, expert, earlier.experts[name], alpha)
        for name, expert in current.experts.items()
        if name in earlier.experts and earlier.experts[name].sha256 == expert.sha256
    }


def _change(
    current: FilmRecord, earlier: FilmRecord, now: ExpertRecord, then: ExpertRecord, alpha: float
) -> ExpertChange:
    divergence = None
    flags: tuple[str, ...] = ()
    if current.lungs is not None and earlier.lungs is not None and now.values is not None and then.values is not None:
        divergence = temporal_divergence(
            DatedMap(now.values, now.extent, current.lungs), DatedMap(then.values, then.extent, earlier.lungs), alpha
        )
    flags += (LUNGS_NOT_FOUND,) if divergence is None else divergence.flags
    return ExpertChange(now.name, now.probability, then.probability, now.logit, then.logit, divergence, flags)


class PriorService:
    """Compares jobs with what was kept of earlier ones.

    Parameters
    ----------
    table, spool, audit
        The edges.
    decoder, encoder
        For pictures on the current film.
    """

    def __init__(  # the edges it joins
        self,
        table: PriorTable,
        spool: Spool,
        audit: AuditTrail,
        decoder: RadiographDecoder,
        encoder: PictureEncoder,
    ) -> None:
        self._table, self._spool, self._audit = table, spool, audit
        self._decoder, self._encoder = decoder, encoder

    def comparison(self, identifier: str, user: str) -> PriorComparison:
        """Compare a job with the newest earlier film of the same patient that the same weights answered.

        Raises
        ------
        JobNotFoundError
            If there is no such job.
        JobConflictError
            If it has no answer, or no earlier film can be compared; the sentence says why.
        """
        job = self._table.job(identifier)
        if job.record_key is None:
            raise JobConflictError("the job has no answer to compare")
        candidates = self._table.earlier_films(job)
        if not candidates:
            why = (
                "its header has no patient ID" if job.patient_key is None else "no earlier film of the patient is kept"
            )
            raise JobConflictError(f"there is nothing to compare with: {why}")
        current = read_record(self._spool.get(job.record_key))
        for candidate in candidates:
            if candidate.record_key is None or not self._spool.holds(candidate.record_key):
                continue
            earlier = read_record(self._spool.get(candidate.record_key))
            if changes := compared(current, earlier):
                break
        else:
            raise JobConflictError(
                "earlier films of the patient were answered by other weights; screen them again to compare"
            )
        self._audit.record("accessed", user=user, **about(job))
        views = {current.view_position, earlier.view_position}
        flags = () if len(views) == 1 and None not in views else (OTHER_VIEW,)
        return PriorComparison(
            job, candidate, _days(job.acquired_at, candidate.acquired_at), self._drawn(job, changes), flags
        )

    def _drawn(self, job: Job, changes: Mapping[str, ExpertChange]) -> dict[str, ExpertChange]:
        """Add the pictures, where the film is still kept."""
        if not job.content_key or not self._spool.holds(job.content_key):
            return dict(changes)
        try:
            film = self._decoder.decode(self._spool.get(job.content_key), tolerate_refusals=True)
        except ScreeningError:
            return dict(changes)
        height, width = overlay_size(film.height, film.width, _OVERLAY_PX)
        grey = grey_levels(film.pixels, height, width)
        drawn = {}
        for name, change in changes.items():
            found = change.divergence
            if found is None or not {ALIGNMENT_POOR, NO_EVIDENCE}.isdisjoint(found.flags):
                drawn[name] = change
                continue
            pictures = []
            for direction in (found.new, found.resolved):
                heat = lay_over_film(grown(direction), found.extent, film.height, film.width, height, width)
                pictures.append(Picture(self._encoder.colour(blend(grey, heat)), width, height))
            drawn[name] = _with_pictures(change, *pictures)
        return drawn


def grown(direction: DirectedDivergence) -> FloatMap:
    """Give what is drawn of one direction: K above 1, which is no difference, in 0..1.

    Nothing where it is nowhere clearly above: ln K below 1 everywhere is a fifteenth of the larger map's maximum.
    """
    highest = float(direction.log_k.max())
    if highest < _LEAST_LOG_K:
        return np.zeros_like(direction.log_k)
    above: FloatMap = np.expm1(np.clip(direction.log_k, 0.0, None)) / np.expm1(highest)
    return above


def _with_pictures(change: ExpertChange, new: Picture, resolved: Picture) -> ExpertChange:
    return ExpertChange(
        change.name, change.probability, change.earlier_probability, change.logit, change.earlier_logit,
        change.divergence, change.flags, new, resolved,
    )  # fmt: skip


def _days(now: datetime | None, then: datetime | None) -> float | None:
    return None if now is None or then is None else (now - then).total_seconds() / 86_400.0
