"""One training run of a region network in a directory."""

import json
import math
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch

from training.engine import BEST_FILE, LoopSettings, TrainingLoop
from training.networks.saliency import SaliencyNetwork
from training.onnx_graph import ExportError
from training.plan import StepCost, duration
from training.regions.examples import RegionData
from training.regions.recipe import RegionRecipe
from training.regions.task import RegionTask

RUN_FILE = "run.json"
Device: TypeAlias = Literal["auto", "cpu", "cuda"]


class RegionRun:
    """Trains a recipe on its data; `train` carries on from the last checkpoint.

    Parameters
    ----------
    recipe, data
        What is trained, on what.
    directory
        Where it is written.
    manifests
        Hashes of the manifests by name, for the record.
    device
        See `training.engine.LoopSettings`.

    Raises
    ------
    ValueError
        If the directory holds a run of another recipe.
    """

    def __init__(
        self,
        recipe: RegionRecipe,
        data: RegionData,
        directory: Path,
        manifests: Mapping[str, str] | None = None,
        device: Device = "auto",
    ) -> None:
        self._recipe, self._data, self._directory = recipe, data, directory
        self._manifests = dict(manifests or {})
        self.task = RegionTask(recipe, data)
        keep: Literal["best", "last"] = "last" if recipe.select_by == "last" else "best"
        settings = LoopSettings(
            epochs=recipe.epochs,
            optimiser=recipe.optimiser,
            average_decay=recipe.average_decay,
            mixed_precision=recipe.mixed_precision,
            seed=recipe.seed,
            patience=recipe.patience,
            keep=keep,
            device=device,
        )
        self.loop = TrainingLoop(self.task, settings, directory, recipe.model_dump_json())

    def train(self) -> dict[str, Any]:  # Any: a JSON object
        """Train to the end and return the run's record, also written as ``run.json``."""
        self.loop.run()
        best, data, shown = self.loop.best, self._data, self.task.drawer.shown
        record = {
            "recipe": self._recipe.model_dump(mode="json"),
            "classes": list(data.classes),
            "manifests_sha256": self._manifests,
            "films": {"train": len(data.train), "val": len(data.val)},
            "outlines": {
                "train": sum(e.outline is not None for e in data.train),
                "train_shown": int(shown.sum()),
                "train_drawn_shown": int((shown & np.array([e.is_drawn_on for e in data.train])).sum()),
                "val": sum(e.outline is not None for e in data.val),
            },
            "versions": {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()},
            "device": self.loop.device.type,
            "best_validation": best if math.isfinite(best) else None,
            "curves": [{k: v if math.isfinite(v) else None for k, v in row.items()} for row in self.loop.curves],
        }
        (self._directory / RUN_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        return record


def _measured_step(task: RegionTask, recipe: RegionRecipe) -> StepCost:
    """Take the second of two steps at the largest size; nothing is moved."""
    task.train_mode()
    seconds, loss = 0.0, torch.zeros(())
    for batch in islice(task.batches(recipe.epochs - 1), 2):
        started = time.monotonic()
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.mixed_precision):
            loss = task.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's gap
        seconds = time.monotonic() - started
    return StepCost(seconds, recipe.batch_size, recipe.size_px, float(loss.detach()))


def dry_run(recipe: RegionRecipe, data: RegionData) -> str:
    """Say what a run would train on, and how long it would take after two measured steps."""
    task = RegionTask(recipe, data)
    drawer, outlined = task.drawer, [e for e in data.train if e.outline is not None]
    step = _measured_step(task, recipe)
    seconds = recipe.epochs * drawer.steps * step.seconds
    drawn = sum(e.is_drawn_on for e in outlined)
    counts = [sum(e.label == k for e in data.train) for k in range(len(data.classes))]
    weights = sum(parameter.numel() for parameter in task.network.parameters())
    lines = (
        f"{recipe.architecture}, {weights:,} weights, {recipe.epochs} epochs of {drawer.steps} steps",
        f"train: {', '.join(f'{n} {name}' for name, n in zip(data.classes, counts, strict=True))}",
        f"outlined: {len(outlined)} of train, {drawn} of them not empty; {int(drawer.shown.sum())} shown",
        f"val: {len(data.val)}, {sum(e.outline is not None for e in data.val)} of them outlined",
        f"one step took {step.seconds:.2f} s (loss {step.loss:.3f}): about {duration(seconds)} in all",
    )
    return "\n".join(lines)


def is_region_run(directory: Path) -> bool:
    """Say whether a directory holds a finished run of a region network."""
    path = directory / RUN_FILE
    return path.is_file() and "region" in json.loads(path.read_text(encoding="utf-8")).get("recipe", {})


@dataclass(frozen=True, slots=True)
class TrainedRegionRun:
    """A finished run, read back: its recipe, the chosen epoch's network in evaluation mode, ``run.json``."""

    recipe: RegionRecipe
    network: SaliencyNetwork
    epoch: int
    record: dict[str, Any]  # Any: a JSON object


def load_region_run(directory: Path) -> TrainedRegionRun:
    """Read a finished run.

    Raises
    ------
    ExportError
        If the run is not finished or its checkpoint does not fit its recipe.
    """
    try:
        record = json.loads((directory / RUN_FILE).read_text(encoding="utf-8"))
        stored = torch.load(directory / BEST_FILE, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ExportError(f"{directory} holds no finished run: {Path(error.filename).name} is missing") from error
    recipe = RegionRecipe.model_validate(record["recipe"])
    network = SaliencyNetwork(recipe.architecture, len(record["classes"]), recipe.hidden_units)
    try:
        network.load_state_dict(stored["network"])
    except RuntimeError as error:
        raise ExportError(f"{directory / BEST_FILE} does not fit {recipe.architecture}: {error}") from error
    return TrainedRegionRun(recipe, network.eval(), int(stored["epoch"]), record)
