"""Certificates that end are said in time, and no longer than it is true."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.errors import DestinationError
from app.services.hospital.certificate_watch import CertificateWatch, WatchedCertificate, trouble_with

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


class World:
    """A table and a clock."""

    def __init__(self) -> None:
        self.at, self.seen = NOW, list[tuple[str, Mapping[str, str]]]()

    def now(self) -> datetime:
        return self.at

    def certificates_seen(self, process: str, troubles: Mapping[str, str]) -> None:
        self.seen.append((process, troubles))


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (timedelta(days=14, seconds=1), None),
        (timedelta(days=14), "it expires on 2026-12-14 12:00Z"),
        (timedelta(seconds=1), "it expires on 2026-11-30 12:00Z"),
        (timedelta(0), "it expired on 2026-11-30 12:00Z"),
        (timedelta(days=-400), "it expired on 2025-10-26 12:00Z"),
    ],
)
def test_what_ends_within_two_weeks_is_said(left: timedelta, said: str | None) -> None:
    assert trouble_with(WatchedCertificate("listener", lambda: NOW + left), NOW) == said


def test_the_table_is_told_each_time_and_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    world, ends = World(), {"listener": NOW + timedelta(days=15), "destination a": NOW + timedelta(days=700)}
    certificates = tuple(WatchedCertificate(name, lambda name=name: ends[name]) for name in ends)  # type: ignore[misc]
    watch = CertificateWatch("listen-work", certificates, world, world)

    watch.look()
    world.at += timedelta(days=2)
    watch.look()
    watch.look()
    ends["listener"] += timedelta(days=365)
    watch.look()

    told = {"listener": "it expires on 2026-12-15 12:00Z"}
    assert world.seen == [("listen-work", found) for found in ({}, told, told, {})]
    assert [record.message for record in caplog.records] == ["certificate_expiring"]


def test_one_that_cannot_be_used_is_said_and_hides_no_other() -> None:
    world = World()

    def broken() -> datetime:
        raise DestinationError("it cannot be read: KEY_VALUES_MISMATCH", reason="configuration")

    watch = CertificateWatch(
        "listen", (WatchedCertificate("a", broken), WatchedCertificate("b", lambda: NOW)), world, world
    )

    assert watch.look() == {"a": "it cannot be read: KEY_VALUES_MISMATCH", "b": "it expired on 2026-11-30 12:00Z"}
