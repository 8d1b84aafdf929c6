"""Results at their destinations: claimed, sent, confirmed, parked."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import and_, func, or_, select, update

from app.domain.jobs import DeliveryState
from app.services.hospital.records import Delivery
from app.storage.schema import DELIVERIES
from app.storage.table_part import OPEN_DELIVERY, TablePart, delivery_of


class DeliveryWork(TablePart):
    """Results at their destinations: claimed, sent, confirmed, parked."""

    def claim_deliveries(self, destination: str, limit: int, lease_s: float, worker: str = "") -> list[tuple[str, int]]:
        """Take the jobs with something to send or to confirm at a destination, the oldest first; as `claim_films`."""
        now = self._clock.now()
        due = and_(
            DELIVERIES.c.destination == destination,
            DELIVERIES.c.state.in_(OPEN_DELIVERY),
            self._is_due(DELIVERIES.c.next_attempt_at, now, self._longest_wait_s),
            or_(DELIVERIES.c.claimed_until.is_(None), self._is_due(DELIVERIES.c.claimed_until, now, lease_s)),
        )
        with self._database.transaction() as connection:
            chosen = connection.scalars(
                select(DELIVERIES.c.job_id)
                .where(due)
                .group_by(DELIVERIES.c.job_id)
                .order_by(func.min(DELIVERIES.c.next_attempt_at))
                .limit(limit)
            ).all()
            if not chosen:
                return []
            claimed = (
                update(DELIVERIES)
                .where(due, DELIVERIES.c.job_id.in_(chosen))
                .values(
                    claims=DELIVERIES.c.claims + 1, claimed_until=now + timedelta(seconds=lease_s), claimed_by=worker
                )
                .returning(DELIVERIES.c.job_id, DELIVERIES.c.claims)
            )
            numbers: dict[str, int] = {}
            for identifier, number in connection.execute(claimed):
                numbers[identifier] = max(number, numbers.get(identifier, 0))
            return [(identifier, numbers[identifier]) for identifier in chosen if identifier in numbers]

    def open_destinations(self) -> list[str]:
        """Give the destinations that something still waits for."""
        query = select(DELIVERIES.c.destination).where(DELIVERIES.c.state.in_(OPEN_DELIVERY)).distinct()
        with self._database.reading() as connection:
            return sorted(connection.scalars(query))

    def deliveries(self, identifier: str, destination: str | None = None) -> list[Delivery]:
        """Give a job's deliveries."""
        query = select(DELIVERIES).where(DELIVERIES.c.job_id == identifier)
        if destination is not None:
            query = query.where(DELIVERIES.c.destination == destination)
        with self._database.reading() as connection:
            return [delivery_of(row) for row in connection.execute(query.order_by(DELIVERIES.c.destination))]

    def delivered(self, changes: Sequence[Delivery]) -> None:
        """Keep what became of deliveries; a job whose every delivery is confirmed, or settled, ends."""
        if not changes:
            return
        now = self._clock.now()
        with self._database.transaction() as connection:
            for each in changes:
                connection.execute(
                    update(DELIVERIES)
                    .where(
                        DELIVERIES.c.job_id == each.job_id,
                        DELIVERIES.c.destination == each.destination,
                        DELIVERIES.c.sop_instance_uid == each.sop_instance_uid,
                        DELIVERIES.c.state != DeliveryState.CONFIRMED,
                    )
                    .values(
                        state=each.state, attempts=each.attempts, next_attempt_at=each.next_attempt_at,
                        sent_at=each.sent_at, confirmed_at=each.confirmed_at, error_code=each.error_code,
                        error_detail=each.error_detail, claimed_until=None,
                    )
                )  # fmt: skip
            for identifier in dict.fromkeys(each.job_id for each in changes):
                self._settle(connection, now, identifier)
            for job, destination, state, code in dict.fromkeys(
                (each.job_id, each.destination, each.state, each.error_code) for each in changes
            ):
                self._event(connection, now, job, f"delivery_{state}", f"{destination} {code or ''}".strip())
