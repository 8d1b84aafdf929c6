"""What a run would do, said before it is done: films, network, steps, and the time that one measured step predicts."""

import time
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import torch

from app.domain.label_hierarchy import ENSEMBLE_LABELS
from training.datasets import Film
from training.engine import chosen_device, moved
from training.lung_finder import LungFinder
from training.recipe import Recipe
from training.train import FilmTask, TrainingSet


@dataclass(frozen=True, slots=True)
class StepCost:
    """One measured training step: forward, loss, backward; nothing is moved."""

    seconds: float
    films: int
    size_px: int
    loss: float


def measured_step(recipe: Recipe, films: TrainingSet, lungs: LungFinder | None = None) -> StepCost:
    """Take the second of two steps on a few of the films, at the size that is exported.

    Parameters
    ----------
    recipe, films, lungs
        As `training.train.Run` takes them.
    """
    few = replace(films, train=films.train[: recipe.batch_size])
    stage = recipe.stages[-1].model_copy(update={"epochs": 1})
    short = recipe.model_copy(update={"stages": (stage,), "draws_per_epoch": 2 * recipe.batch_size})
    task = FilmTask(short, few, lungs)
    device = chosen_device("auto")
    task.network.to(device)
    task.train_mode()
    seconds, loss = 0.0, torch.zeros(())
    for batch in task.batches(0):
        started = time.monotonic()
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.mixed_precision):
            loss = task.loss(moved(batch, device))
        loss.backward()  # type: ignore[no-untyped-call]  # torch's gap
        seconds = time.monotonic() - started
    return StepCost(seconds, recipe.batch_size, recipe.size_px, float(loss.detach()))


def plan_text(recipe: Recipe, films: TrainingSet, step: StepCost) -> str:
    """Say what a run would do.

    Parameters
    ----------
    recipe, films
        As `training.train.Run` takes them.
    step
        From `measured_step`; a stage at another size costs in proportion to its pixels.
    """
    draws = recipe.draws_per_epoch or len(films.train)
    steps = -(-draws // recipe.batch_size)
    seconds = sum(stage.epochs * steps * step.seconds * (stage.size_px / step.size_px) ** 2 for stage in recipe.stages)
    what = recipe.target if recipe.kind == "expert" else "fourteen labels"
    stages = " then ".join(f"{stage.epochs} epochs at {stage.size_px} px" for stage in recipe.stages)
    labels = (recipe.target,) if recipe.target is not None else ENSEMBLE_LABELS
    optimiser = recipe.optimiser
    settings = f"{optimiser.name}, learning rate {optimiser.learning_rate:g}, {optimiser.schedule}"
    measured = f"one step of {step.films} films at {step.size_px} px took {step.seconds:.2f} s (loss {step.loss:.3f})"
    lines = [
        f"{recipe.kind} for {what}: {recipe.architecture}, from {recipe.initial_weights}",
        f"{stages}; {draws} films an epoch in batches of {recipe.batch_size}, {steps} steps",
        f"{settings}, chosen by {recipe.select_by}, seed {recipe.seed}",
        f"{measured}: about {duration(seconds)} in all, without reading the films",
    ]
    for part, chosen in (("train", films.train), ("val", films.val)):
        lines.append(f"{part}: {len(chosen)} films of {len({film.group for film in chosen})} patients")
        lines += [f"  {row}" for row in counts_by_source(chosen, labels)]
    return "\n".join(lines)


def counts_by_source(films: list[Film], labels: tuple[str, ...]) -> list[str]:
    """Count films by source, and each label's positives, negatives and unknowns, a line a source."""
    rows = []
    for source, count in sorted(Counter(film.source for film in films).items()):
        targets = np.array([film.targets for film in films if film.source == source])
        found = []
        for label in labels:
            column = targets[:, ENSEMBLE_LABELS.index(label)]
            positives, unknown = int((column == 1).sum()), int(np.isnan(column).sum())
            if positives or len(labels) == 1:
                found.append(f"{label} +{positives} -{count - positives - unknown}" + (f" ?{unknown}" * bool(unknown)))
        rows.append(f"{source}: {count} films; {', '.join(found) or 'no positive label'}")
    return rows


def duration(seconds: float) -> str:
    """Write a duration as people say it: ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
