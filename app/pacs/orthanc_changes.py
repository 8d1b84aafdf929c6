"""Films of an Orthanc, by its list of changes: nothing depends on its being up, or on ours, when a film arrives."""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.domain.errors import DestinationError
from app.pacs.change_cursor import ChangeCursor
from app.pacs.orthanc_client import Change, Listed, OrthancClient
from app.pacs.own_objects import MANUFACTURER
from app.pacs.pulled_film import OURS, FilmPull, Pulled, Tally
from app.services.hospital.ports import CursorStore
from app.services.hospital.records import PollReport
from app.services.ports import Clock

_PAGE: Final = 100
_LONGEST_POLL_S: Final = 60.0
_MOST_SERIES: Final = 10_000
_MOST_SET_ASIDE: Final = 1_000
_STRIKES: Final = 3
"""An instance at which the connection broke off so often is set aside: its fetching may be what breaks Orthanc."""
_BREAKING: Final = frozenset({"timeout", "connection_lost", "unavailable"})
_ATTEMPTS: Final = 8
"""After so many an operator is told; it is tried on, for a disk that was away for a day may come back."""
_FIRST_AGAIN_S: Final = 30.0
_LONGEST_AGAIN_S: Final = 3600.0
_LONGEST_AGAIN_AFTER_BREAK_S: Final = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which films of a source are ours.

    Attributes
    ----------
    modalities
        Of these; empty is all.
    from_beginning
        Whether the first reading begins with the oldest change, not with the newest.
    """

    modalities: frozenset[str] = frozenset()
    from_beginning: bool = False


class OrthancChanges:
    """Follows the changes of one Orthanc; `poll` is called again and again, by one thread.

    Parameters
    ----------
    name
        Of the source; its cursor is kept under it.
    client
        Of the Orthanc.
    pull
        Takes films.
    cursors
        Keeps the cursor.
    knows
        Tells which SOP Instance UIDs have a job.
    clock
        For the day of the first reading.
    wanted
        Which films.
    now_s
        A monotonic clock.
    """

    def __init__(  # noqa: PLR0917  # the edges it joins
        self,
        name: str,
        client: OrthancClient,
        pull: FilmPull,
        cursors: CursorStore,
        knows: Callable[[Collection[str]], set[str]],
        clock: Clock,
        wanted: Wanted,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key, self._client, self._pull, self._cursors, self._knows = (
            f"changes:{name}",
            client,
            pull,
            cursors,
            knows,
        )
        self._clock, self._choice, self._now_s = clock, wanted, now_s
        self._series: OrderedDict[str, Listed] = OrderedDict()
        self._strikes: dict[str, int] = {}
        self._again: dict[str, float] = {}

    def poll(self) -> PollReport:
        """Take what is new; a film that cannot be fetched is set aside and tried again, and keeps no other back.

        Raises
        ------
        StorageUnavailableError, StorageFullError
            If the cursor cannot be kept.
        """
        tally = Tally()
        cursor = self._kept()
        try:
            cursor = cursor or self._first()
            if self._began_anew(cursor):
                newest = self._client.last_change()
                cursor.began_anew(newest.number if newest else 0)
                self._pull.note("source_rebuilt", "its list of changes began anew; all of it is looked at")
            self._retry_set_aside(cursor, tally)
            self._read_on(cursor, tally)
        except DestinationError as error:
            tally.failed(error)
        except OURS as error:
            tally.failed(error)
        if cursor is not None:
            self._keep(cursor)
        return tally.report()

    def _kept(self) -> ChangeCursor | None:
        text = self._cursors.cursor(self._key)
        if text is None:
            return None
        try:
            return ChangeCursor.from_text(text)
        except ValueError:
            self._pull.note("source_rebuilt", "its cursor cannot be read; the sweep has to find what came meanwhile")
            return None

    def _keep(self, cursor: ChangeCursor) -> None:
        self._cursors.keep_cursor(self._key, cursor.text())

    def _first(self) -> ChangeCursor:
        """Begin with what comes from now on, or with everything there is."""
        if self._choice.from_beginning:
            return ChangeCursor()
        newest = self._client.last_change()
        cursor = ChangeCursor(connected=self._clock.now().strftime("%Y%m%d"))
        if newest is not None:
            cursor.moved(newest.number, newest.mark, newest.date)
        return cursor

    def _began_anew(self, cursor: ChangeCursor) -> bool:
        """Whether this is another list than the one that was read last.

        Orthanc drops the changes of what is deleted, so that the one read last may be missing, and its numbers may end
        before our own. Then the oldest change decides: in the list we know it is older than what was read last.
        """
        if not cursor.mark:
            return False
        found = self._client.changes(cursor.since - 1, 1).changes
        if found and found[0].number == cursor.since:
            return found[0].mark != cursor.mark
        oldest = self._client.changes(0, 1).changes
        return bool(oldest) and oldest[0].number <= cursor.since and oldest[0].date > cursor.date

    def _read_on(self, cursor: ChangeCursor, tally: Tally) -> None:
        limit = self._now_s() + _LONGEST_POLL_S
        while self._now_s() < limit:
            page = self._client.changes(cursor.since, _PAGE)
            if not page.changes:
                return
            self._read_page(page.changes, cursor, tally)
            self._keep(cursor)
            if page.done:
                return

    def _read_page(self, changes: Sequence[Change], cursor: ChangeCursor, tally: Tally) -> None:
        wanted = self._wanted(changes, cursor, tally)
        for change in changes:
            if change.instance is not None and change.instance in wanted:
                self._take(change.instance, cursor, tally)
            cursor.moved(change.number, change.mark, change.date)

    def _take(self, instance: str, cursor: ChangeCursor, tally: Tally) -> None:
        try:
            outcome = self._pull.take(lambda: self._client.file(instance), instance)
        except DestinationError as error:
            strikes = self._strikes[instance] = self._strikes.get(instance, 0) + (error.reason in _BREAKING)
            if strikes < _STRIKES:
                raise
            outcome = Pulled.POSTPONED
        if outcome is Pulled.POSTPONED and instance not in cursor.set_aside:
            if len(cursor.set_aside) >= _MOST_SET_ASIDE:
                raise DestinationError(f"{self._client.host}: {_MOST_SET_ASIDE} films cannot be fetched",
                                       reason="server_error")  # fmt: skip
            cursor.set_aside[instance] = 1
            self._again[instance] = self._now_s() + _FIRST_AGAIN_S
        self._strikes.pop(instance, None)
        tally.add(outcome)

    def _retry_set_aside(self, cursor: ChangeCursor, tally: Tally) -> None:
        """Try again what is due; the longer it failed, the later."""
        for instance, attempts in list(cursor.set_aside.items()):
            if self._again.get(instance, 0.0) > self._now_s():
                tally.add(Pulled.POSTPONED)
                continue
            cursor.set_aside[instance] = attempts + 1
            self._again[instance] = self._now_s() + min(_LONGEST_AGAIN_AFTER_BREAK_S, _FIRST_AGAIN_S * 2.0**attempts)
            self._keep(cursor)  # before fetching, which may be what breaks Orthanc, or us
            try:
                outcome = self._pull.take(lambda each=instance: self._client.file(each), instance)  # type: ignore[misc]
            except DestinationError as error:
                if error.reason not in _BREAKING:
                    cursor.set_aside[instance] = attempts
                    raise
                outcome = Pulled.POSTPONED
            else:
                self._again[instance] = min(self._again[instance], self._now_s() + _LONGEST_AGAIN_S)
            if outcome is Pulled.POSTPONED and attempts + 1 == _ATTEMPTS:
                self._pull.note("source_film_stuck", f"{instance} could not be fetched {_ATTEMPTS} times")
            if outcome is not Pulled.POSTPONED:
                del cursor.set_aside[instance]
                self._again.pop(instance, None)
            tally.add(outcome)

    def _wanted(self, changes: Sequence[Change], cursor: ChangeCursor, tally: Tally) -> set[str | None]:
        """Choose the instances to fetch by what the index says of them, without reading their files."""
        asked = list(dict.fromkeys(change.instance for change in changes if change.instance))
        listed = self._client.listed(asked, "Instance")
        for instance in asked:
            if instance not in listed:
                self._pull.note("source_film_vanished", f"{instance} was gone before it could be fetched")
                tally.add(Pulled.VANISHED)
        series = self._series_of({each.parent for each in listed.values()})
        wanted: dict[str | None, str] = {}
        for instance, each in listed.items():
            tags: Mapping[str, str] = series[each.parent].tags if each.parent in series else {}
            modality = tags.get("Modality", "").strip()
            is_other = bool(self._choice.modalities) and modality not in self._choice.modalities
            if is_other or tags.get("Manufacturer") == MANUFACTURER:
                tally.add("passed_over")
            else:
                wanted[instance] = each.tags.get("SOPInstanceUID", "")
        again = {change.instance for change in changes if change.number <= cursor.replay_until}
        if again & set(wanted):
            self._leave_out_old(
                {name: listed[name] for name in wanted if name in again and name}, wanted, cursor, tally
            )
        return set(wanted)

    def _leave_out_old(
        self, seen: Mapping[str, Listed], wanted: dict[str | None, str], cursor: ChangeCursor, tally: Tally
    ) -> None:
        """In a list that began anew: leave out what is known, and studies of before this source was first read."""
        known = self._knows([wanted[instance] for instance in seen if wanted[instance]])
        parents = {instance: self._series[each.parent].parent for instance, each in seen.items()
                   if each.parent in self._series}  # fmt: skip
        studies = self._client.listed(set(parents.values()), "Study") if cursor.connected else {}
        for instance in seen:
            study = studies.get(parents.get(instance, ""))
            date = study.tags.get("StudyDate", "") if study else ""
            if wanted[instance] in known:
                tally.add("known")
                del wanted[instance]
            elif date and date < cursor.connected:
                tally.add("passed_over")
                del wanted[instance]

    def _series_of(self, identifiers: set[str]) -> Mapping[str, Listed]:
        """Look series up, those of before from memory."""
        unknown = identifiers - self._series.keys()
        self._series |= self._client.listed(unknown, "Series")
        while len(self._series) > max(_MOST_SERIES, len(identifiers)):
            self._series.popitem(last=False)
        return self._series
