"""Joins the pulling ways in."""

from collections.abc import Callable

from app.bootstrap.hospital import HospitalSide
from app.settings.hospital import SourceSettings
from app.storage.watched_folder import WatchedFolder

Poller = tuple[str, Callable[[], object], float]
"""Name, what to do, and how often in seconds."""


def make_pollers(side: HospitalSide) -> list[Poller]:
    """Make a poller of every source in the settings."""
    return [poller for each in side.settings.sources for poller in _pollers_of(side, each)]


def _pollers_of(side: HospitalSide, source: SourceSettings) -> list[Poller]:
    if source.kind == "folder":
        return [(f"folder {source.name}", _watched_folder(side, source).poll, source.poll_s)]
    raise NotImplementedError(source.kind)


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
