"""Results go out: sent, acknowledged, and read back; only what was found again counts as delivered."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from app.domain.errors import DestinationError, StorageUnavailableError
from app.domain.jobs import DeliveryState, RetryPolicy, is_due, longest_wait_s, retry_delay_s
from app.services.hospital.ports import AuditTrail, Destination, Spool
from app.services.hospital.records import Confirmation, Delivery, ResultObject, SendOutcome, StoredResult
from app.services.ports import Clock

_log = logging.getLogger(__name__)
_UNANSWERED: Final = SendOutcome(False, "not_answered", "the destination left it out of its answer")


class DeliveryTable(Protocol):
    """What delivery needs of the job table."""

    def deliveries(self, identifier: str, destination: str | None = None) -> list[Delivery]:
        """Give a job's deliveries."""
        ...

    def results(self, identifier: str) -> list[StoredResult]:
        """Give a job's result objects."""
        ...

    def delivered(self, changes: Sequence[Delivery]) -> None:
        """Keep what became of deliveries."""
        ...


class DeliveryService:
    """Sends what is due of one job to one destination, and reads it back.

    Parameters
    ----------
    destinations
        By name.
    spool, table, audit, clock
        The edges.
    retry
        For failures that may pass.
    confirm_after_s
        How long after an acknowledgement a destination that does not know yet is asked again.
    """

    def __init__(  # noqa: PLR0917  # the edges it joins
        self,
        destinations: Mapping[str, Destination],
        spool: Spool,
        table: DeliveryTable,
        audit: AuditTrail,
        clock: Clock,
        retry: RetryPolicy,
        confirm_after_s: float = 5.0,
    ) -> None:
        self._destinations, self._spool, self._table = dict(destinations), spool, table
        self._audit, self._clock, self._retry = audit, clock, retry
        self._confirm_after_s = confirm_after_s

    def attempt(self, job_id: str, destination: str) -> None:
        """Send what waits and confirm what was sent; every outcome is written into the job table.

        Raises
        ------
        StorageUnavailableError
            If the job table cannot be read or written.
        """
        now = self._clock.now()
        due = [
            each
            for each in self._table.deliveries(job_id, destination)
            if each.state in {DeliveryState.WAITING, DeliveryState.SENT}
            and (each.next_attempt_at is None or is_due(each.next_attempt_at, now, longest_wait_s(self._retry.most_s)))
        ]
        if not due:
            return
        target = self._destinations.get(destination)
        if target is None:
            self._keep([self._later(each, now, "not_configured", "no such destination is configured") for each in due])
            return
        stored = {each.sop_instance_uid: each for each in self._table.results(job_id)}
        try:
            objects = {each.sop_instance_uid: self._object(stored[each.sop_instance_uid]) for each in due}
        except (StorageUnavailableError, KeyError) as error:
            detail = error.detail if isinstance(error, StorageUnavailableError) else "the result is not in the table"
            self._keep([self._later(each, now, "result_lost", detail) for each in due])
            return
        waiting = [each for each in due if each.state is DeliveryState.WAITING]
        sent = [each for each in due if each.state is DeliveryState.SENT]
        if waiting:
            sent += self._send(target, waiting, objects)
        if sent:
            self._confirm(target, sent, objects)

    def _send(
        self, target: Destination, waiting: Sequence[Delivery], objects: Mapping[str, ResultObject]
    ) -> list[Delivery]:
        now = self._clock.now()
        try:
            outcomes = target.send([objects[each.sop_instance_uid] for each in waiting])
        except DestinationError as error:
            self._keep([self._later(each, now, error.reason, error.detail) for each in waiting])
            return []
        changed: list[Delivery] = []
        for each in waiting:
            outcome = outcomes.get(each.sop_instance_uid, _UNANSWERED)
            if outcome.accepted:
                # It is confirmed at once; should this worker die before, another one asks a little later.
                asked_again = now + timedelta(seconds=self._confirm_after_s)
                changed.append(
                    replace(
                        each, state=DeliveryState.SENT, sent_at=now, next_attempt_at=asked_again, error_code=None,
                        error_detail=None,
                    )
                )  # fmt: skip
            elif outcome.permanent:
                changed.append(self._parked(each, outcome.code, outcome.detail))
            else:
                changed.append(self._later(each, now, outcome.code, outcome.detail))
        # Audited before it is settled: a crash in between audits it twice, never not at all.
        accepted = [each for each in changed if each.state is DeliveryState.SENT]
        for each in accepted:
            self._audit.record(
                "sent",
                destination=each.destination,
                job_id=each.job_id,
                study_uid=objects[each.sop_instance_uid].study_instance_uid,
                sop_instance_uid=each.sop_instance_uid,
            )
        self._keep(changed)
        return accepted

    def _confirm(self, target: Destination, sent: Sequence[Delivery], objects: Mapping[str, ResultObject]) -> None:
        now = self._clock.now()
        try:
            found = target.confirm([objects[each.sop_instance_uid] for each in sent])
        except DestinationError as error:
            self._keep([self._later(each, now, error.reason, error.detail) for each in sent])
            return
        changed: list[Delivery] = []
        for each in sent:
            confirmation = found.get(each.sop_instance_uid, Confirmation.PENDING)
            if confirmation is Confirmation.HELD:
                changed.append(
                    replace(
                        each, state=DeliveryState.CONFIRMED, confirmed_at=now, next_attempt_at=None, error_code=None,
                        error_detail=None,
                    )
                )  # fmt: skip
            elif confirmation is Confirmation.MISSING:
                lost = replace(each, state=DeliveryState.WAITING, sent_at=None)
                detail = "it was acknowledged, but is not there: sent again"
                changed.append(self._later(lost, now, "acknowledged_but_missing", detail))
            else:
                asked_again = now + timedelta(seconds=self._confirm_after_s)
                changed.append(replace(each, next_attempt_at=asked_again, error_code="awaiting_commitment"))
        self._keep(changed)

    def _object(self, stored: StoredResult) -> ResultObject:
        return ResultObject(
            stored.kind,
            stored.sop_class_uid,
            stored.sop_instance_uid,
            stored.series_uid,
            stored.study_uid,
            self._spool.get(stored.content_key),
        )

    def _later(self, each: Delivery, now: datetime, code: str, detail: str) -> Delivery:
        delay = retry_delay_s(self._retry, each.attempts + 1)
        if delay is None:
            return self._parked(each, code, detail)
        return replace(
            each,
            attempts=each.attempts + 1,
            next_attempt_at=now + timedelta(seconds=delay),
            error_code=code,
            error_detail=detail,
        )

    @staticmethod
    def _parked(each: Delivery, code: str, detail: str) -> Delivery:
        return replace(
            each,
            state=DeliveryState.PARKED,
            attempts=each.attempts + 1,
            next_attempt_at=None,
            error_code=code,
            error_detail=detail,
        )

    def _keep(self, changes: Sequence[Delivery]) -> None:
        self._table.delivered(changes)
        for each in changes:
            level = logging.INFO if each.state in {DeliveryState.SENT, DeliveryState.CONFIRMED} else logging.WARNING
            _log.log(
                level,
                "delivery",
                extra={
                    "job": each.job_id, "destination": each.destination, "state": each.state, "code": each.error_code,
                    "attempts": each.attempts,
                },
            )  # fmt: skip
