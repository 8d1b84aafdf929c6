"""What keeps failing: sources that cannot be read, destinations that do not take or confirm, certificates that end."""

import json
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, func, select

from app.storage.schema import CURSORS, DELIVERIES
from app.storage.table_part import OPEN_DELIVERY, TablePart

_PREFIX: Final = "source:"
_CERTIFICATES: Final = "certificates:"
_CERTIFICATES_KEPT_S: Final = 3600.0
"""What a process said of its certificates counts for so long after it said it last."""
_MISSED_POLLS: Final = 10
_SLACK_S: Final = 120.0
_FAILURES: Final = 2
"""One failure is no trouble yet: it is tried again within seconds."""


class Troubles(TablePart):
    """What keeps failing, in words."""

    def source_seen(self, name: str, failure: str | None, every_s: float) -> None:
        """Keep that a source was looked at: that it worked, or why not."""
        now = self._clock.now()
        with self._database.transaction() as connection:
            kept = connection.scalar(select(CURSORS.c.value).where(CURSORS.c.name == _PREFIX + name))
            before = json.loads(kept) if kept else {}
            value = json.dumps(
                {
                    "worked_at": before.get("worked_at", now.isoformat()) if failure else now.isoformat(),
                    "failing_since": (before.get("failing_since") or now.isoformat()) if failure else None,
                    "failure": failure,
                    "every_s": every_s,
                }
            )
            written = self._database.insert(CURSORS).values(name=_PREFIX + name, value=value, at=now)
            connection.execute(written.on_conflict_do_update(index_elements=["name"], set_={"value": value, "at": now}))

    def forget_sources(self, but: Collection[str]) -> None:
        """Let go of sources that are not configured any more."""
        with self._database.transaction() as connection:
            connection.execute(
                delete(CURSORS).where(
                    CURSORS.c.name.startswith(_PREFIX), CURSORS.c.name.not_in([_PREFIX + each for each in but])
                )
            )

    def source_troubles(self) -> dict[str, str]:
        """Give the sources that fail, or that nobody looks at any more, and since when."""
        now, found = self._clock.now(), dict[str, str]()
        with self._database.reading() as connection:
            rows = connection.execute(
                select(CURSORS.c.name, CURSORS.c.value).where(CURSORS.c.name.startswith(_PREFIX))
            ).all()
        for row in rows:
            kept = json.loads(row.value)
            name, worked_at = row.name.removeprefix(_PREFIX), datetime.fromisoformat(kept["worked_at"])
            if kept["failing_since"]:
                found[name] = f"since {_said(datetime.fromisoformat(kept['failing_since']))}: {kept['failure']}"
            elif now - worked_at > timedelta(seconds=_MISSED_POLLS * kept["every_s"] + _SLACK_S):
                found[name] = f"not looked at since {_said(worked_at)}: is a process with the role poll running?"
        return found

    def certificates_seen(self, process: str, troubles: Mapping[str, str]) -> None:
        """Keep what a process found wrong with its certificates, by what they are for."""
        now, value = self._clock.now(), json.dumps(dict(troubles))
        with self._database.transaction() as connection:
            written = self._database.insert(CURSORS).values(name=_CERTIFICATES + process, value=value, at=now)
            connection.execute(written.on_conflict_do_update(index_elements=["name"], set_={"value": value, "at": now}))

    def certificate_troubles(self) -> dict[str, str]:
        """Give the certificates that have ended, are about to, or cannot be used, and why."""
        since = self._clock.now() - timedelta(seconds=_CERTIFICATES_KEPT_S)
        query = select(CURSORS.c.value).where(CURSORS.c.name.startswith(_CERTIFICATES), CURSORS.c.at > since)
        with self._database.reading() as connection:
            return {name: why for value in connection.scalars(query) for name, why in json.loads(value).items()}

    def destination_troubles(self) -> dict[str, str]:
        """Give the destinations at which something failed more than once and is still open, and why."""
        failing = (DELIVERIES.c.state.in_(OPEN_DELIVERY), DELIVERIES.c.attempts >= _FAILURES)
        counts = select(DELIVERIES.c.destination, func.count()).where(*failing).group_by(DELIVERIES.c.destination)
        with self._database.reading() as connection:
            found = {row[0]: row[1] for row in connection.execute(counts)}
            return {
                name: f"{count} result{'s' if count > 1 else ''} open: "
                + (
                    connection.scalar(
                        select(DELIVERIES.c.error_detail)
                        .where(*failing, DELIVERIES.c.destination == name, DELIVERIES.c.error_detail.is_not(None))
                        .order_by(DELIVERIES.c.next_attempt_at.desc())
                        .limit(1)
                    )
                    or "no reason given"
                )
                for name, count in found.items()
            }


def _said(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")
