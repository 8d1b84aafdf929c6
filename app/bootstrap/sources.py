"""Joins the pulling ways in."""

from collections.abc import Callable

from app.bootstrap.hospital import HospitalSide
from app.settings.hospital import SourceSettings

Poller = tuple[str, Callable[[], object], float]
"""Name, what to do, and how often in seconds."""


def make_pollers(side: HospitalSide) -> list[Poller]:
    """Make a poller of every source in the settings."""
    return [poller for each in side.settings.sources for poller in _pollers_of(each)]


def _pollers_of(source: SourceSettings) -> list[Poller]:
    raise NotImplementedError(source.kind)
