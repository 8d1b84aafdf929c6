"""A run of several classes: its films, its stages one after the other, and what is written of it."""

import json
import math
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from app.domain.preprocessing import to_network_input
from app.domain.radiograph import Provenance, Radiograph
from training.datasets import read_grey
from training.engine import BEST_FILE, LoopSettings, TrainingLoop, chosen_device
from training.multiclass.films import FilmSet, LabelledFilm
from training.multiclass.frozen import trainable_names, trained_names
from training.multiclass.parts import HeldOut, Parts, divided
from training.multiclass.recipe import ALL, HEAD, MulticlassRecipe, Stage
from training.multiclass.task import Examples, HeadTask, StageTask
from training.multiclass.weights import class_weights
from training.networks import build_network, initialise
from training.optimisers import Optimiser

RUN_FILE: Final = "run.json"
_SPLIT_SEED: Final = 0


def network_file(stage: str) -> str:
    """Name the file of a stage's chosen network, the whole of it."""
    return f"{stage}.pt"


@dataclass(frozen=True, slots=True)
class RunData:
    """Films of a run, and how they were divided."""

    films: FilmSet
    held_out: HeldOut
    parts: Parts

    def counts(self) -> dict[str, dict[str, int]]:
        """Films, patients and films of each class, by part."""
        return {
            name: {
                "films": len(part),
                "patients": len({film.group for film in part}),
                **{each: sum(film.label == k for film in part) for k, each in enumerate(self.films.classes)},
            }
            for name, part in (
                ("train", self.parts.train),
                ("validation", self.parts.validation),
                ("held_out", self.parts.held_out),
            )
        }


def select_parts(recipe: MulticlassRecipe, films: FilmSet, held_out: HeldOut) -> RunData:
    """Divide the films by the recipe's shares; raises what `divided` raises.

    The split has one seed for every seed of the weights, so that all runs are measured on the same films.
    """
    return RunData(films, held_out, divided(films, held_out, recipe.parts, _SPLIT_SEED))


def prepared(films: Sequence[LabelledFilm], recipe: MulticlassRecipe) -> Examples:
    """Prepare films exactly as serving does, up to the channel statistics."""
    grey = replace(recipe.specification, channels=1, mean=(0.0,), std=(1.0,))
    inputs = [
        to_network_input(Radiograph(read_grey(film.path), Provenance("png", "")), grey)[0][0, 0]
        for film in tqdm(films, desc="preparing films", unit="film", leave=False)
    ]
    return Examples(np.stack(inputs), np.array([film.label for film in films], np.int64))


class MulticlassRun:
    """Trains a recipe's stages in a directory, each in a folder of its own; `train` carries on where it was stopped.

    Parameters
    ----------
    recipe
        What to do.
    data
        On which films.
    directory
        Where ``run.json``, ``best.pt`` and a folder a stage go.
    device
        See `training.engine.LoopSettings`.

    Raises
    ------
    ValueError
        If a stage would train on a trunk that is random and frozen, or names no part of the network.
    """

    def __init__(
        self, recipe: MulticlassRecipe, data: RunData, directory: Path, device: Literal["auto", "cpu", "cuda"] = "auto"
    ) -> None:
        if recipe.initial_weights == "scratch" and recipe.stages[0].trains != ALL:
            raise ValueError(
                f"stage {recipe.stages[0].name!r} would freeze random weights:"
                " --initial-weights of a pretrained network expected"
            )
        self.recipe, self.data, self.directory, self.device = recipe, data, directory, device
        torch.manual_seed(recipe.seed)
        self.network: nn.Module = build_network(recipe.architecture, len(data.films.classes), recipe.size_px)
        initialise(self.network, recipe.architecture, recipe.initial_weights)
        self._trainable = trainable_names(self.network)
        counts = self._class_counts()
        self.weights = class_weights(counts) if recipe.class_weights else (1.0,) * len(counts)

    def _class_counts(self) -> list[int]:
        found = Counter(film.label for film in self.data.parts.train)
        return [found[k] for k in range(len(self.data.films.classes))]

    def trained(self, stage: Stage) -> tuple[str, ...]:
        """Name the parameters that a stage moves."""
        return trained_names(self.network, stage.trains, self._trainable)

    def train(self) -> dict[str, Any]:  # Any: a JSON object
        """Train every stage, keep the best epoch of all, and return what ``run.json`` says."""
        for stage in self.recipe.stages:
            self.trained(stage)  # a wrong name fails before the first epoch
        self.directory.mkdir(parents=True, exist_ok=True)
        train = prepared(self.data.parts.train, self.recipe)
        validation = prepared(self.data.parts.validation, self.recipe)
        records = [self._stage(stage, train, validation) for stage in self.recipe.stages]
        return self._write(records)

    def _stage(self, stage: Stage, train: Examples, validation: Examples) -> dict[str, Any]:  # Any: a JSON object
        """Train a stage from the network as it is, and put its best epoch into the network."""
        films = {"classes": self.data.films.classes, "train": train, "validation": validation, "weights": self.weights}
        self.network.to(chosen_device(self.device))
        only_head = stage.trains == HEAD and not self.recipe.augmentation.is_on
        task = (
            HeadTask(self.network, self.recipe, **films)  # type: ignore[arg-type]  # as named above
            if only_head
            else StageTask(self.network, stage, self.trained(stage), self.recipe, **films)  # type: ignore[arg-type]
        )
        settings = LoopSettings(
            epochs=stage.epochs,
            optimiser=Optimiser(name="adam", learning_rate=stage.learning_rate, schedule="constant"),
            mixed_precision=self.recipe.mixed_precision and not only_head,
            seed=self.recipe.seed,
            patience=stage.patience,
            device=self.device,
        )
        folder = self.directory / stage.name
        loop = TrainingLoop(task, settings, folder, self._identity(stage))
        curves = loop.run()
        best = torch.load(folder / BEST_FILE, map_location="cpu", weights_only=True)
        task.network.load_state_dict(best["network"])
        whole = {"network": self.network.state_dict(), "epoch": int(best["epoch"]), "stage": stage.name}
        torch.save(whole, self.directory / network_file(stage.name))
        return {
            "name": stage.name,
            "trained_parameters": sum(parameter.numel() for parameter in task.parameters()),
            "epochs": len(curves),
            "best_epoch": int(best["epoch"]),
            "best_validation": loop.best if math.isfinite(loop.best) else None,
            "seconds": round(sum(loop.seconds), 1),
            "curves": [{k: v if math.isfinite(v) else None for k, v in row.items()} for row in curves],
        }

    def _identity(self, stage: Stage) -> str:
        return json.dumps(
            {"recipe": self.recipe.model_dump(mode="json"), "stage": stage.name, "lists": self.data.films.sha256,
             "held_out": self.data.held_out},
            sort_keys=True,
        )  # fmt: skip

    def _write(self, stages: list[dict[str, Any]]) -> dict[str, Any]:  # Any: JSON objects
        """Keep the stage whose best epoch validation likes best, and write the record."""
        scores = [-math.inf if each["best_validation"] is None else each["best_validation"] for each in stages]
        kept = stages[max(range(len(scores)), key=lambda k: (scores[k], k))]["name"]
        (self.directory / BEST_FILE).write_bytes((self.directory / network_file(kept)).read_bytes())
        record = {
            "recipe": self.recipe.model_dump(mode="json"),
            "classes": list(self.data.films.classes),
            "class_weights": list(self.weights),
            "held_out": self.data.held_out,
            "lists_sha256": self.data.films.sha256,
            "films": self.data.counts(),
            "left_out": self.data.films.left_out,
            "kept_stage": kept,
            "stages": stages,
            "versions": {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()},
        }
        (self.directory / RUN_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        return record
