"""What a release is made of, whatever kind of run it was: a network to audit, its files, and words of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.inference.manifest import Manifest
from training.audit.report import Part
from training.datasets import Film
from training.export import Export, TrainedRun, export_network, load_run
from training.lung_finder import LungFinder
from training.regions.run import is_region_run
from training.released_manifest import Data


class ReleaseSource(Protocol):
    """A finished run, as `training.release` sees it."""

    @property
    def run(self) -> TrainedRun:
        """The network that is calibrated and audited."""
        ...

    def export(self, directory: Path, val: Sequence[Film], lungs: LungFinder | None) -> Export:
        """Write ``model.onnx`` and ``golden.npz``."""
        ...

    def completed(self, manifest: Manifest, data: Data | None, part: Part | None, lungs: LungFinder | None) -> Manifest:
        """Add to the manifest what only this kind of run has, measured on a part where one is given."""
        ...

    def section(self, manifest: Manifest) -> str:
        """Give what the model card says beside; empty where there is nothing."""
        ...


@dataclass(frozen=True, slots=True)
class PlainSource:
    """An expert or a multi-label member."""

    run: TrainedRun

    def export(self, directory: Path, val: Sequence[Film], lungs: LungFinder | None) -> Export:
        """See `training.export.export_network`."""
        return export_network(self.run, directory, val, lungs)

    def completed(self, manifest: Manifest, data: Data | None, part: Part | None, lungs: LungFinder | None) -> Manifest:  # noqa: ARG002
        """Add nothing."""
        return manifest

    def section(self, manifest: Manifest) -> str:  # noqa: ARG002
        """Say nothing more."""
        return ""


def source_of(directory: Path) -> ReleaseSource:
    """Read a finished run of any kind that can be released.

    Raises
    ------
    ExportError
        If the run is not finished or its checkpoint does not fit its recipe.
    """
    if is_region_run(directory):
        from training.regions.release import RegionSource
        from training.regions.run import load_region_run

        return RegionSource(load_region_run(directory))
    return PlainSource(load_run(directory))
