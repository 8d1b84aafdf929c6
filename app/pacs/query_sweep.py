"""Films of a DICOMweb archive that no message told us of: recent ones are asked for, those that are unknown fetched."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from app.domain.errors import DestinationError
from app.pacs.dicomweb_client import Attributes, DicomWebClient, first_value
from app.pacs.own_objects import MANUFACTURER
from app.pacs.pulled_film import OURS, FilmPull, Pulled, Tally
from app.services.hospital.ports import CursorStore
from app.services.hospital.records import PollReport
from app.services.ports import Clock

_log = logging.getLogger(__name__)

_PAGE: Final = 500
_MOST_LISTED: Final = 200_000
_MOST_REMEMBERED: Final = 10_000
_FIRST_AGAIN_S: Final = 60.0
_LONGEST_AGAIN_S: Final = 24 * 3600.0
_BREAKING: Final = frozenset({"timeout", "connection_lost", "unavailable"})
_NOT_SUPPORTED: Final = frozenset({"refused", "not_found", "server_error"})
_FIELDS: Final = {
    "instances": ("0020000D", "0020000E", "00080060", "00080070"), "series": ("00080060", "00080070"), "studies": (),
}  # fmt: skip
"""What is asked for beside what archives give anyway, by the last word of the query's path."""
_STUCK: Final = 8
_LONGEST_WINDOW_DAYS: Final = 60
_SOP_INSTANCE, _STUDY, _SERIES, _MODALITY, _MANUFACTURER = "00080018", "0020000D", "0020000E", "00080060", "00080070"


@dataclass(frozen=True, slots=True)
class _Film:
    study: str
    series: str
    instance: str


@dataclass(frozen=True, slots=True)
class Window:
    """What a sweep asks for.

    Attributes
    ----------
    modalities
        One after another; empty asks for all.
    days
        How far back study dates are looked at, from the day of the last whole sweep; a day more on both sides for
        clocks that differ.
    """

    modalities: tuple[str, ...]
    days: int


class QuerySweep:
    """Asks a DICOMweb archive for recent films by QIDO-RS and fetches those that are not known by WADO-RS.

    Parameters
    ----------
    name
        Of the source; the day it was last looked at as a whole is kept under it.
    client
        Of the archive.
    pull
        Takes films.
    cursors
        Keeps that day.
    knows
        Tells which SOP Instance UIDs have a job.
    clock
        For the window.
    window
        What is asked for.
    now_s
        A monotonic clock.
    """

    def __init__(  # noqa: PLR0917  # the edges it joins
        self,
        name: str,
        client: DicomWebClient,
        pull: FilmPull,
        cursors: CursorStore,
        knows: Callable[[Collection[str]], set[str]],
        clock: Clock,
        window: Window,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key, self._client, self._pull, self._cursors = f"sweep:{name}", client, pull, cursors
        self._knows, self._clock, self._now_s = knows, clock, now_s
        self._modalities, self._days = window.modalities, window.days
        self._later: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._study_by_study = self._unsettled = False

    def poll(self) -> PollReport:
        """Look at all recent films; what failed is tried again later, and keeps no other back."""
        tally, today = Tally(), self._clock.now().date()
        self._unsettled = False
        try:
            for modality in self._modalities or (None,):
                for page in self._listed(modality):
                    self._take_unknown(page, tally)
        except DestinationError as error:
            tally.failed(error)
        except OURS as error:
            tally.failed(error)
        if not (tally.failures or self._unsettled):
            self._cursors.keep_cursor(self._key, today.isoformat())
        return tally.report()

    def _take_unknown(self, page: list[Attributes], tally: Tally) -> None:
        films = []
        for each in page:
            film = _film_of(each)
            modality = first_value(each, _MODALITY)
            if film is None or first_value(each, _MANUFACTURER) == MANUFACTURER or (
                self._modalities and modality is not None and modality not in self._modalities
            ):  # fmt: skip
                tally.add("passed_over")
            else:
                films.append(film)
        known = self._knows([film.instance for film in films])
        tally.add("known", sum(film.instance in known for film in films))
        for film in films:
            if film.instance not in known:
                self._take(film, tally)

    def _take(self, film: _Film, tally: Tally) -> None:
        failures, not_before = self._later.get(film.instance, (0, 0.0))
        self._unsettled |= 0 < failures < _STUCK
        if not_before > self._now_s():
            tally.add(Pulled.POSTPONED)
            return
        try:
            outcome = self._pull.take(
                lambda: self._client.retrieve(film.study, film.series, film.instance), film.instance
            )
        except DestinationError as error:
            if error.reason in _BREAKING:
                self._remember(film.instance, failures + 1)
            raise
        tally.add(outcome)
        if outcome is Pulled.TAKEN:
            self._later.pop(film.instance, None)
        else:
            self._remember(film.instance, failures + (_STUCK if outcome is Pulled.REFUSED else 1))
            self._unsettled |= outcome is Pulled.POSTPONED and failures + 1 < _STUCK
            if outcome is Pulled.POSTPONED and failures + 1 == _STUCK:
                self._pull.note("source_film_stuck", f"{film.instance} could not be fetched {_STUCK} times")

    def _remember(self, instance: str, failures: int) -> None:
        """Let a film wait: the more often it failed, the longer; for a day at most."""
        wait_s = min(_LONGEST_AGAIN_S, _FIRST_AGAIN_S * 2.0 ** min(failures - 1, 20))
        self._later[instance] = (failures, self._now_s() + wait_s)
        self._later.move_to_end(instance)
        while len(self._later) > _MOST_REMEMBERED:
            self._later.popitem(last=False)

    def _listed(self, modality: str | None) -> Iterator[list[Attributes]]:
        """List films page by page: in one query where the archive knows such ones, else study by study."""
        window = self._window()
        if not self._study_by_study:
            query = [("StudyDate", window), *([("Modality", modality)] if modality else [])]
            pages = self._pages("instances", query)
            try:
                first = next(pages, [])
            except DestinationError as error:
                if error.reason not in _NOT_SUPPORTED:
                    raise
                self._study_by_study = True
                _log.info("sweep_study_by_study", extra={"host": self._client.host, "code": error.reason})
            else:
                yield first
                yield from pages
                return
        query = [("StudyDate", window), *([("ModalitiesInStudy", modality)] if modality else [])]
        for studies in self._pages("studies", query):
            for study in filter(None, (first_value(each, _STUDY) for each in studies)):
                yield from self._of_study(study, modality)

    def _of_study(self, study: str, modality: str | None) -> Iterator[list[Attributes]]:
        wanted = [("Modality", modality)] if modality else []
        for several in self._pages(f"studies/{study}/series", wanted):
            for each in several:
                series = first_value(each, _SERIES)
                if series and first_value(each, _MODALITY) in {modality, None}:
                    for page in self._pages(f"studies/{study}/series/{series}/instances", []):
                        names = {_STUDY: {"Value": [study]}, _SERIES: {"Value": [series]}}
                        yield [{**names, _MODALITY: each.get(_MODALITY, {}), **instance} for instance in page]

    def _pages(self, path: str, query: list[tuple[str, str]]) -> Iterator[list[Attributes]]:
        """Give pages until one is empty or brings nothing new: archives give fewer than asked, or ignore offsets."""
        fields = [("includefield", field) for field in _FIELDS[path.rpartition("/")[2]]]
        offset, before = 0, set[str]()
        while offset < _MOST_LISTED:
            page = self._client.search(path, [*query, *fields], _PAGE, offset)
            names = {str(first_value(each, _SOP_INSTANCE) or first_value(each, _SERIES) or first_value(each, _STUDY))
                     for each in page}  # fmt: skip
            if not page or names <= before:
                return
            yield page
            offset, before = offset + len(page), names
        _log.warning("sweep_cut_off", extra={"host": self._client.host, "listed": offset})

    def _window(self) -> str:
        today = self._clock.now().date()
        try:
            last = date.fromisoformat(self._cursors.cursor(self._key) or today.isoformat())
        except ValueError:
            last = today
        since = max(min(last, today), today - timedelta(days=_LONGEST_WINDOW_DAYS)) - timedelta(days=self._days + 1)
        return f"{since:%Y%m%d}-{today + timedelta(days=1):%Y%m%d}"


def _film_of(attributes: Attributes) -> _Film | None:
    """Give what is needed to fetch a film; None where the archive left it out."""
    found = [first_value(attributes, tag) for tag in (_STUDY, _SERIES, _SOP_INSTANCE)]
    return _Film(*found) if all(found) else None  # type: ignore[arg-type]  # all of them are there
