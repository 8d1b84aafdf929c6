"""What counts as an alert."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.domain.jobs import ArrivalOutcome, JobState
from app.services.hospital.summary import Summary

FINE = Summary(
    at=datetime(2026, 11, 30, tzinfo=UTC), jobs=dict.fromkeys(JobState, 0), arrivals=dict.fromkeys(ArrivalOutcome, 0),
    deliveries={}, oldest_open_s=None, overdue=0, workers={}, spool_bytes=0, spool_max_bytes=100, sources={},
    destinations={}, audit={}, certificates={},
)  # fmt: skip
WAITING = dict.fromkeys(JobState, 0) | {JobState.QUEUED: 1}


def test_nothing_is_no_alert() -> None:
    assert FINE.alerts == ()


@pytest.mark.parametrize(
    ("workers", "alerts"),
    [
        ({"one": 29.0}, ()),
        ({"gone": 3600.0, "one": -2.0}, ()),
        ({}, ("no_worker",)),
        ({"gone": 31.0}, ("no_worker",)),
        ({"of a clock that was set back": -86_400.0}, ("no_worker",)),
    ],
)
def test_work_without_a_worker_that_was_seen_lately_is_an_alert(
    workers: dict[str, float], alerts: tuple[str, ...]
) -> None:
    assert replace(FINE, jobs=WAITING, workers=workers).alerts == alerts


@pytest.mark.parametrize(
    ("part", "alert"),
    [
        ("sources", "source_failing"), ("destinations", "destination_failing"), ("audit", "audit_lagging"),
        ("certificates", "certificate_expiring"),
    ],
)  # fmt: skip
def test_what_is_in_trouble_is_an_alert(part: str, alert: str) -> None:
    assert replace(FINE, **{part: {"it": "why"}}).alerts == (alert,)  # type: ignore[arg-type]  # each part is such a table
