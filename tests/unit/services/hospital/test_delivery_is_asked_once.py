"""What was sent is read back in the same attempt, and meanwhile nobody else begins to."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.domain.jobs import DeliveryState, RetryPolicy
from app.domain.result_identity import ResultKind
from app.services.hospital.delivery import DeliveryService
from app.services.hospital.records import Confirmation, Delivery, ResultObject, SendOutcome, StoredResult

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Archive:
    """A destination; looks into the table while it is asked for a confirmation."""

    name, kinds = "archive", frozenset({ResultKind.SECONDARY_CAPTURE})

    def __init__(self, table: "Table") -> None:
        self.table, self.seen = table, list[Delivery]()

    def send(self, objects: Sequence[ResultObject]) -> Mapping[str, SendOutcome]:
        return {each.sop_instance_uid: SendOutcome(True) for each in objects}

    def confirm(self, objects: Sequence[ResultObject]) -> Mapping[str, Confirmation]:
        self.seen = list(self.table.rows.values())
        return {each.sop_instance_uid: Confirmation.HELD for each in objects}


class Table:
    """Deliveries in memory."""

    def __init__(self) -> None:
        self.rows = {
            "1.2": Delivery("job", "archive", "1.2", ResultKind.SECONDARY_CAPTURE, "key", DeliveryState.WAITING)
        }

    def deliveries(self, identifier: str, destination: str | None = None) -> list[Delivery]:  # noqa: ARG002
        return list(self.rows.values())

    def results(self, identifier: str) -> list[StoredResult]:  # noqa: ARG002
        return [StoredResult(ResultKind.SECONDARY_CAPTURE, "1", "1.2", "1.3", "1.4", "key")]

    def delivered(self, changes: Sequence[Delivery]) -> None:
        self.rows |= {each.sop_instance_uid: each for each in changes}


class World:
    """Spool, audit trail and clock."""

    def now(self) -> datetime:
        return NOW

    def get(self, key: str) -> bytes:  # noqa: ARG002
        return b""

    def record(self, event: str, *, outcome: str = "success", **participants: str) -> None:
        """Take it."""


def test_nobody_else_is_due_while_it_is_read_back() -> None:
    table, world = Table(), World()
    archive = Archive(table)
    spool: Any = world  # only `get` of it is asked for
    service = DeliveryService({"archive": archive}, spool, table, world, world, RetryPolicy(), confirm_after_s=5.0)

    service.attempt("job", "archive")

    (meanwhile,) = archive.seen
    assert meanwhile.state is DeliveryState.SENT
    assert meanwhile.next_attempt_at == NOW + timedelta(seconds=5)
    assert table.rows["1.2"].state is DeliveryState.CONFIRMED


def test_what_was_sent_is_audited_before_it_counts_as_sent() -> None:
    order: list[str] = []

    class Recorded(World):
        def record(self, event: str, *, outcome: str = "success", **participants: str) -> None:  # noqa: ARG002
            order.append(event)

    class Watched(Table):
        def delivered(self, changes: Sequence[Delivery]) -> None:
            order.append(f"table: {changes[0].state}")
            super().delivered(changes)

    table, world = Watched(), Recorded()
    spool: Any = world  # only `get` of it is asked for
    service = DeliveryService({"archive": Archive(table)}, spool, table, world, world, RetryPolicy())

    service.attempt("job", "archive")

    assert order == ["sent", "table: sent", "table: confirmed"]


@pytest.mark.parametrize(("ahead", "is_sent"), [(timedelta(seconds=600), False), (timedelta(days=1), True)])
def test_an_attempt_that_a_clock_set_back_left_a_day_ahead_is_made_at_once(ahead: timedelta, is_sent: bool) -> None:
    table, world = Table(), World()
    table.rows["1.2"] = replace(table.rows["1.2"], attempts=9, next_attempt_at=NOW + ahead)
    spool: Any = world  # only `get` of it is asked for
    service = DeliveryService({"archive": Archive(table)}, spool, table, world, world, RetryPolicy(2.0, 600.0))

    service.attempt("job", "archive")

    assert (table.rows["1.2"].state is DeliveryState.CONFIRMED) == is_sent
