"""A finished run of several classes, read back from its directory."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from training.engine import BEST_FILE
from training.multiclass.films import LabelledFilm
from training.multiclass.recipe import MulticlassRecipe
from training.multiclass.run import RUN_FILE, network_file, prepared
from training.networks import build_network
from training.onnx_graph import ExportError


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run's network, in evaluation mode, and what ``run.json`` says of it.

    Attributes
    ----------
    stage, epoch
        Which stage's best epoch it is.
    """

    recipe: MulticlassRecipe
    classes: tuple[str, ...]
    network: nn.Module
    stage: str
    epoch: int
    record: dict[str, Any]  # Any: a JSON object


def load_multiclass_run(directory: Path, stage: str | None = None) -> FinishedRun:
    """Read a finished run.

    Parameters
    ----------
    directory
        Of the run.
    stage
        Whose best epoch; None takes the stage that validation liked best.

    Raises
    ------
    ExportError
        If the run is not finished, has no such stage, or its checkpoint does not fit its recipe.
    """
    try:
        record = json.loads((directory / RUN_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ExportError(f"{directory} holds no finished run: {RUN_FILE} is missing") from error
    if "classes" not in record:
        raise ExportError(f"{directory} is no run of several classes")
    names = [each["name"] for each in record["stages"]]
    if stage is not None and stage not in names:
        raise ExportError(f"{directory} has no stage {stage!r}; {', '.join(names)}")
    path = directory / (BEST_FILE if stage is None else network_file(stage))
    stored = torch.load(path, map_location="cpu", weights_only=True)
    recipe, classes = MulticlassRecipe.model_validate(record["recipe"]), tuple(record["classes"])
    network = build_network(recipe.architecture, len(classes), recipe.size_px)
    try:
        network.load_state_dict(stored["network"])
    except RuntimeError as error:
        raise ExportError(f"{path} does not fit {recipe.architecture}: {error}") from error
    return FinishedRun(recipe, classes, network.eval(), stored["stage"], int(stored["epoch"]), record)


def network_inputs(films: Sequence[LabelledFilm], recipe: MulticlassRecipe) -> NDArray[np.float32]:
    """Prepare films as serving does, ``(N, 3, S, S)``."""
    grey = prepared(films, recipe).inputs
    return np.repeat(((grey - np.float32(0.5)) / np.float32(0.5))[:, None], 3, axis=1)
