"""Joins the pulling ways in."""

from collections.abc import Callable

from app.bootstrap.destinations import access_of
from app.bootstrap.hospital import HospitalSide
from app.pacs.dicomweb_client import DicomWebClient
from app.pacs.orthanc_changes import OrthancChanges, Wanted
from app.pacs.orthanc_client import OrthancClient
from app.pacs.pulled_film import FilmPull
from app.pacs.query_sweep import QuerySweep, Window
from app.services.hospital.records import Arrival, Origin, PollReport
from app.services.hospital.source_watch import SourceWatch
from app.settings.hospital import SourceSettings
from app.storage.watched_folder import WatchedFolder

Poller = tuple[str, Callable[[], object], float]
"""Name, what to do, and how often in seconds."""


def make_pollers(side: HospitalSide) -> list[Poller]:
    """Make a poller of every source in the settings."""
    pollers = [poller for each in side.settings.sources for poller in _pollers_of(side, each)]
    side.table.forget_sources([name for name, _, _ in pollers])
    return pollers


def _pollers_of(side: HospitalSide, source: SourceSettings) -> list[Poller]:
    if source.kind == "folder":
        folder = _watched_folder(side, source)
        return [_watched(side, f"{source.name}-folder", lambda: folder.poll().as_poll_report(), source.poll_s)]
    pollers = [_watched(side, f"{source.name}-sweep", _sweep(side, source).poll, source.sweep_s)]
    if source.kind == "orthanc":
        pollers.append(_watched(side, f"{source.name}-changes", _changes(side, source).poll, source.poll_s))
    return pollers


def _watched(side: HospitalSide, name: str, poll: Callable[[], PollReport], every_s: float) -> Poller:
    return name, SourceWatch(name, poll, side.table, every_s).poll, every_s


def _changes(side: HospitalSide, source: SourceSettings) -> OrthancChanges:
    assert source.url is not None  # the settings see to it
    client = OrthancClient(access_of(source.url, source, source.timeout_s), side.settings.limits.max_upload_bytes)
    pull = FilmPull(side.receiver, Arrival(Origin.ORTHANC_CHANGES, source.name), side.table.note)
    wanted = Wanted(frozenset(source.modalities), source.start == "beginning")
    return OrthancChanges(source.name, client, pull, side.table, side.table.knows, side.clock, wanted)


def _sweep(side: HospitalSide, source: SourceSettings) -> QuerySweep:
    assert source.url is not None
    url = source.url if source.kind == "dicomweb" else source.dicomweb_url or f"{source.url.rstrip('/')}/dicom-web"
    client = DicomWebClient(access_of(url, source, source.timeout_s), side.settings.limits.max_upload_bytes)
    pull = FilmPull(side.receiver, Arrival(Origin.DICOMWEB, source.name), side.table.note)
    window = Window(source.modalities, source.sweep_days)
    return QuerySweep(source.name, client, pull, side.table, side.table.knows, side.clock, window)


def _watched_folder(side: HospitalSide, source: SourceSettings) -> WatchedFolder:
    assert source.folder is not None  # the settings see to it
    return WatchedFolder(
        source.name,
        source.folder,
        side.receiver,
        source.still_s,
        side.settings.limits.max_upload_bytes,
        source.done_folder,
        source.refused_folder,
    )
