"""Films arrive and are answered: what a receiver and a worker write."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import and_, or_, select, update

from app.domain.jobs import ENDED, ArrivalOutcome, DeliveryState, JobStage, JobState, is_due, rest_after_crashes_s
from app.services.hospital.records import Answer, Arrival, Failure, Incoming, Job, StoredResult
from app.storage.schema import ARRIVALS, DELIVERIES, JOBS, RESULTS
from app.storage.table_part import TablePart, job_id, job_of


class FilmWork(TablePart):
    """Films arrive and are answered: what a receiver and a worker write."""

    def admit(self, incoming: Incoming, arrival: Arrival) -> tuple[Job, ArrivalOutcome]:
        """Make a job of a film that lies in the spool, or find the one there is; the arrival is written either way.

        Returns
        -------
        Job, ArrivalOutcome
            ``ACCEPTED`` for a new job; ``DUPLICATE`` or ``CONFLICT`` by the data set's hash, the job being the first
            one's. What really is a conflict the caller decides (`settle_conflict`).
        """
        now = self._clock.now()
        with self._database.transaction() as connection:
            identifier = job_id(incoming.source_uid, 0)
            made = connection.execute(
                self._database.insert(JOBS)
                .values(
                    id=identifier, source_uid=incoming.source_uid, generation=0, study_uid=incoming.study_uid,
                    series_uid=incoming.series_uid, patient_key=incoming.patient_key, content_key=incoming.content_key,
                    dataset_sha256=incoming.dataset_sha256, size_bytes=incoming.size_bytes, origin=arrival.origin,
                    sender=arrival.sender[:200], state=JobState.QUEUED, stage=JobStage.RECEIVED, received_at=now,
                    updated_at=now, acquired_at=incoming.acquired_at, conflict=False, attempts=0, runs=0,
                    next_attempt_at=now,
                )
                .on_conflict_do_nothing()
                .returning(JOBS.c.id)
            ).first()  # fmt: skip
            row = connection.execute(select(JOBS).where(JOBS.c.id == identifier)).one()
            outcome = ArrivalOutcome.ACCEPTED
            if made is None:
                same = row.dataset_sha256 == incoming.dataset_sha256
                outcome = ArrivalOutcome.DUPLICATE if same else ArrivalOutcome.CONFLICT
            kept = incoming.content_key if outcome is ArrivalOutcome.CONFLICT else None
            self._arrived(connection, now, identifier, arrival, outcome, incoming.dataset_sha256, kept)
            if outcome is ArrivalOutcome.CONFLICT:
                connection.execute(update(JOBS).where(JOBS.c.id == identifier).values(conflict=True, updated_at=now))
            self._event(connection, now, identifier, f"arrival_{outcome}", f"{arrival.origin} {arrival.sender}"[:200])
        return job_of(row), outcome

    def same_film_recoded(self, job: Job, incoming: Incoming) -> None:
        """Take a conflict back: the other bytes show the same film of the same patient, coded otherwise."""
        with self._database.transaction() as connection:
            connection.execute(
                update(ARRIVALS)
                .where(
                    ARRIVALS.c.job_id == job.id,
                    ARRIVALS.c.dataset_sha256 == incoming.dataset_sha256,
                    ARRIVALS.c.outcome == ArrivalOutcome.CONFLICT,
                )
                .values(outcome=ArrivalOutcome.DUPLICATE, content_key=None)
            )
            others = select(ARRIVALS.c.number).where(
                ARRIVALS.c.job_id == job.id, ARRIVALS.c.outcome == ArrivalOutcome.CONFLICT
            )
            if connection.execute(others).first() is None:
                connection.execute(update(JOBS).where(JOBS.c.id == job.id).values(conflict=False))

    def own_result(self, arrival: Arrival, dataset_sha256: str) -> None:
        """Write down that a result of ours came back."""
        now = self._clock.now()
        with self._database.transaction() as connection:
            self._arrived(connection, now, None, arrival, ArrivalOutcome.OWN_RESULT, dataset_sha256, None)

    def knows(self, source_uids: Collection[str]) -> set[str]:
        """Give those of some SOP Instance UIDs that have a job."""
        wanted = list(source_uids)
        with self._database.reading() as connection:
            found: set[str] = set()
            for start in range(0, len(wanted), 500):
                some = wanted[start : start + 500]
                found |= set(connection.scalars(select(JOBS.c.source_uid).where(JOBS.c.source_uid.in_(some))))
        return found

    def claim_films(self, limit: int, lease_s: float, worker: str = "") -> list[tuple[str, int]]:
        """Take the oldest films that may be tried now, for a while; nobody else is given them before it is over.

        A film that was begun and not finished within its lease is among them again.

        Returns
        -------
        list of (str, int)
            Job and number of the claim.
        """
        now = self._clock.now()
        due = and_(
            JOBS.c.state.in_((JobState.QUEUED, JobState.RUNNING)),
            JOBS.c.stage == JobStage.RECEIVED,
            self._is_due(JOBS.c.next_attempt_at, now, self._longest_wait_s),
            or_(JOBS.c.claimed_until.is_(None), self._is_due(JOBS.c.claimed_until, now, lease_s)),
        )
        with self._database.transaction() as connection:
            chosen = connection.scalars(
                select(JOBS.c.id)
                .where(due)
                .order_by(JOBS.c.received_at, JOBS.c.id)
                .limit(limit)
                .with_for_update(skip_locked=True)
            ).all()
            if not chosen:
                return []
            claimed = (
                update(JOBS)
                .where(JOBS.c.id.in_(chosen))
                .values(claims=JOBS.c.claims + 1, claimed_until=now + timedelta(seconds=lease_s), claimed_by=worker)
                .returning(JOBS.c.id, JOBS.c.claims)
            )
            numbers: dict[str, int] = {row[0]: row[1] for row in connection.execute(claimed)}
            return [(identifier, numbers[identifier]) for identifier in chosen]

    def begin(self, identifier: str, model_version: str) -> Job | None:
        """Take a film up: count the run and fix its model version and time.

        The time is that of the first run by this model version, so that an answer that is built again is the same.

        Returns
        -------
        Job or None
            None where it is answered or ended, or has to rest after runs that took their workers down
            (`rest_after_crashes_s`): it is back in the queue then.
        """
        now = self._clock.now()
        with self._database.transaction() as connection:
            row = self._locked(connection, identifier)
            if JobState(row.state) in ENDED or row.stage != JobStage.RECEIVED:
                return None
            rest_s = rest_after_crashes_s(row.runs)
            rested = row.updated_at + timedelta(seconds=rest_s)
            if rest_s and not is_due(rested, now, rest_s):
                waits = {"state": JobState.QUEUED, "next_attempt_at": rested, "claimed_until": None}
                connection.execute(update(JOBS).where(JOBS.c.id == identifier).values(**waits))
                return None
            again = row.model_version == model_version and row.started_at is not None
            values = {
                "state": JobState.RUNNING, "updated_at": now, "runs": row.runs + 1, "model_version": model_version,
                "started_at": row.started_at if again else now,
            }  # fmt: skip
            connection.execute(update(JOBS).where(JOBS.c.id == identifier).values(**values))
            return replace(job_of(row), **{**values, "state": JobState.RUNNING})

    def answered(
        self,
        identifier: str,
        answer: Answer,
        results: Sequence[StoredResult],
        deliveries: Sequence[tuple[str, StoredResult]],
    ) -> None:
        """Keep an answer, its objects and where they are to go, together; a second time changes nothing."""
        now = self._clock.now()
        with self._database.transaction() as connection:
            row = self._locked(connection, identifier)
            if JobState(row.state) in ENDED or row.stage != JobStage.RECEIVED:
                return
            for each in results:
                connection.execute(
                    self._database.insert(RESULTS)
                    .values(
                        sop_instance_uid=each.sop_instance_uid, job_id=identifier, kind=each.kind,
                        sop_class_uid=each.sop_class_uid, series_uid=each.series_uid, study_uid=each.study_uid,
                        content_key=each.content_key,
                    )
                    .on_conflict_do_nothing()
                )  # fmt: skip
            for destination, each in deliveries:
                connection.execute(
                    self._database.insert(DELIVERIES)
                    .values(
                        job_id=identifier, destination=destination, sop_instance_uid=each.sop_instance_uid,
                        kind=each.kind, content_key=each.content_key, state=DeliveryState.WAITING, attempts=0,
                        next_attempt_at=now,
                    )
                    .on_conflict_do_nothing()
                )  # fmt: skip
            done = not deliveries
            connection.execute(
                update(JOBS)
                .where(JOBS.c.id == identifier)
                .values(
                    stage=JobStage.DELIVERED if done else JobStage.BUILT,
                    state=JobState.SUCCEEDED if done else JobState.RUNNING,
                    outcome=answer.outcome, decision=answer.decision, probability=answer.probability,
                    answer_key=answer.answer_key, record_key=answer.record_key, answered_at=now, updated_at=now,
                    ended_at=now if done else None, attempts=0, next_attempt_at=None,
                    error_code=answer.error_code, error_detail=answer.error_detail,
                )
            )  # fmt: skip
            self._event(connection, now, identifier, "answered", answer.outcome)

    def failed(self, identifier: str, failure: Failure, retry_after_s: float | None) -> None:
        """Put a film back into the queue, or park it where ``retry_after_s`` is None.

        A run that its worker lived to see the end of does not count among those that took a worker down.
        """
        now = self._clock.now()
        with self._database.transaction() as connection:
            row = self._locked(connection, identifier)
            if JobState(row.state) in ENDED or row.stage != JobStage.RECEIVED:
                return
            parked = retry_after_s is None
            connection.execute(
                update(JOBS)
                .where(JOBS.c.id == identifier)
                .values(
                    state=JobState.FAILED if parked else JobState.QUEUED, attempts=row.attempts + 1, updated_at=now,
                    runs=max(0, row.runs - 1),
                    next_attempt_at=None if retry_after_s is None else now + timedelta(seconds=retry_after_s),
                    ended_at=now if parked else None, error_code=failure.code, error_detail=failure.detail,
                    claimed_until=None,
                )
            )  # fmt: skip
            kind = "parked" if parked else "attempt_failed"
            self._event(connection, now, identifier, kind, f"{failure.code}: {failure.detail}")

    def predecessors(self, job: Job) -> list[StoredResult]:
        """Give the results of the generation before."""
        return [] if job.generation == 0 else self.results(job_id(job.source_uid, job.generation - 1))
