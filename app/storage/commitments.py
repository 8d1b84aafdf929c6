"""Storage commitment: what archives were asked to answer for, and what they said."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Final

from sqlalchemy import delete, select, update

from app.domain.jobs import CLOCK_STEP_S
from app.storage.schema import COMMITMENTS
from app.storage.table_part import TablePart

_KEPT: Final = timedelta(days=90)
"""Deliveries that were parked or cancelled leave requests behind that nobody comes back for."""


class Commitments(TablePart):
    """`CommitmentLedger` in the job table's database, so that any listener may take what any worker asked for."""

    def asked(self, transaction_uid: str, destination: str, sop_instance_uids: Collection[str]) -> None:
        """Keep a transaction that is about to be asked for."""
        now = self._clock.now()
        with self._database.transaction() as connection:
            connection.execute(delete(COMMITMENTS).where(COMMITMENTS.c.asked_at < now - _KEPT))
            for uid in sop_instance_uids:
                values = {"transaction_uid": transaction_uid, "sop_instance_uid": uid, "destination": destination}
                connection.execute(COMMITMENTS.insert().values(**values, asked_at=now, committed=None))

    def reported(self, transaction_uid: str, outcome: Mapping[str, bool]) -> None:
        """Keep what an archive reported."""
        with self._database.transaction() as connection:
            for uid, committed in outcome.items():
                connection.execute(
                    update(COMMITMENTS)
                    .where(COMMITMENTS.c.transaction_uid == transaction_uid, COMMITMENTS.c.sop_instance_uid == uid)
                    .values(committed=committed)
                )

    def standing(
        self, destination: str, sop_instance_uids: Collection[str], asked_within_s: float
    ) -> Mapping[str, bool | None]:
        """Give what was said of objects, the newest report first; see `CommitmentLedger`."""
        now = self._clock.now()
        lately = COMMITMENTS.c.asked_at.between(
            now - timedelta(seconds=asked_within_s), now + timedelta(seconds=CLOCK_STEP_S)
        )  # what lies further ahead was asked before the clock was set back
        query = (
            select(COMMITMENTS.c.sop_instance_uid, COMMITMENTS.c.committed)
            .where(
                COMMITMENTS.c.destination == destination,
                COMMITMENTS.c.sop_instance_uid.in_(list(sop_instance_uids)),
                COMMITMENTS.c.committed.is_not(None) | lately,
            )
            .order_by(COMMITMENTS.c.asked_at)
        )
        with self._database.reading() as connection:
            found: dict[str, bool | None] = {}
            for row in connection.execute(query):
                if row.committed is not None or row.sop_instance_uid not in found:
                    found[row.sop_instance_uid] = row.committed
            return found

    def withdrawn(self, transaction_uid: str) -> None:
        """Let go of a transaction that could not be asked for."""
        with self._database.transaction() as connection:
            connection.execute(delete(COMMITMENTS).where(COMMITMENTS.c.transaction_uid == transaction_uid))

    def forget(self, destination: str, sop_instance_uids: Collection[str]) -> None:
        """Let go of what is settled."""
        if not sop_instance_uids:
            return
        with self._database.transaction() as connection:
            connection.execute(
                delete(COMMITMENTS).where(
                    COMMITMENTS.c.destination == destination,
                    COMMITMENTS.c.sop_instance_uid.in_(list(sop_instance_uids)),
                )
            )
