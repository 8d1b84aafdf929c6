"""The network that is audited, whether it is released already or only a finished run."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.domain.calibration import Calibration
from app.domain.preprocessing import InputSpecification, Rectangle
from app.inference.artifact import Artifact, file_sha256, read_artifact, verify_files
from app.inference.manifest import MANIFEST_FILE, MODEL_FILE, Manifest
from training.calibrate import calibrated
from training.evaluate import scored_labels
from training.export import TrainedRun, export_network, load_run
from training.networks import grid_rectangle
from training.onnx_session import ExportedNetwork

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Decider:
    """From a label's raw score to a probability and a decision: its calibration and default operating point."""

    calibration: Calibration
    threshold: float

    def probability(self, scores: Values) -> Values:
        """Give calibrated probabilities."""
        return calibrated(self.calibration, scores)

    @property
    def positive_from(self) -> float:
        """The raw score at and above which the label is called positive."""
        logit = float(np.log(self.threshold) - np.log1p(-self.threshold)) if 0 < self.threshold < 1 else np.inf
        logit = -np.inf if self.threshold <= 0 else logit
        return (logit - self.calibration.intercept) / self.calibration.slope


@dataclass(frozen=True, slots=True)
class Subject:
    """An exported network and what the audit must know of it.

    Attributes
    ----------
    name
        Of the artefact, or of the run's directory.
    kind
        ``expert`` or ``multilabel``.
    labels
        Labels that get a score: the expert's target, or every label of a member.
    specification
        How the network wants its films.
    network
        In a session.
    model
        Its file.
    model_sha256
        Of the file.
    excluded_sources
        Sources that training left out.
    deciders
        By label, as released; empty for a run.
    recipe_sha256
        Of the recipe without its seed.
    grid_px
        The rectangle of the input that the maps' grid covers; None is all of it.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    specification: InputSpecification
    network: ExportedNetwork
    model: Path
    model_sha256: str
    excluded_sources: tuple[str, ...] = ()
    deciders: Mapping[str, Decider] = field(default_factory=dict)
    recipe_sha256: str | None = None
    grid_px: Rectangle | None = None

    def map_index(self, column: int) -> int:
        """Give the plane of ``cam`` that argues for the label of a score's column."""
        return 1 if self.kind == "expert" else column


def deciders_of(manifest: Manifest) -> dict[str, Decider]:
    """Give what a manifest decides by, label by label."""
    return {
        label: Decider(manifest.calibration_of(label), manifest.operating_point_of(label).threshold)
        for label in scored_labels(manifest)
    }


def subject_of_artifact(artifact: Artifact, threads: int = 0) -> Subject:
    """Load a released network."""
    manifest = artifact.manifest
    recipe = manifest.training.get("recipe", {})
    return Subject(
        f"{manifest.name} {manifest.version}",
        manifest.kind,
        scored_labels(manifest),
        manifest.input.specification(),
        ExportedNetwork(artifact.model_path, threads),
        artifact.model_path,
        manifest.model_sha256,
        tuple(recipe.get("exclude_sources", ())),
        deciders_of(manifest),
        _recipe_sha256(recipe) if recipe else None,
        manifest.grid_px,
    )


def subject_of_run(run: TrainedRun, name: str, model: Path, threads: int = 0) -> Subject:
    """Take the network of a run from its exported file."""
    return Subject(
        name,
        run.recipe.kind,
        run.labels,
        run.specification,
        ExportedNetwork(model, threads),
        model,
        file_sha256(model),
        run.recipe.exclude_sources,
        recipe_sha256=_recipe_sha256(run.recipe.model_dump(mode="json")),
        grid_px=grid_rectangle(run.network, run.specification.size_px),
    )


def _recipe_sha256(recipe: Mapping[str, Any]) -> str:  # Any: a JSON object
    """Hash a recipe without its seed."""
    rest = {key: value for key, value in recipe.items() if key != "seed"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


@contextmanager
def opened(directory: Path, threads: int = 0) -> Iterator[Subject]:
    """Open an artefact, or a run (exported to a temporary file, checked on phantoms).

    Parameters
    ----------
    directory
        ``models/<name>/<version>``, or the directory of a finished run.
    threads
        Threads to compute with; 0 leaves it to the engine.

    Yields
    ------
    Subject
        Usable inside the context.

    Raises
    ------
    ArtifactError
        If the artefact is broken.
    ExportError
        If it is neither, or the run does not export.
    """
    directory = directory.resolve()
    if (directory / MANIFEST_FILE).is_file():
        artifact = read_artifact(directory)
        verify_files(artifact)
        yield subject_of_artifact(artifact, threads)
        return
    run = load_run(directory)
    with TemporaryDirectory() as temporary:
        export_network(run, Path(temporary))
        yield subject_of_run(run, directory.name, Path(temporary) / MODEL_FILE, threads)
