"""What a run of several classes would do, said before it is done: films, parameters, steps, and measured time."""

import time

import numpy as np
import torch

from training.engine import chosen_device
from training.multiclass.frozen import parameters_of
from training.multiclass.recipe import HEAD, Stage
from training.multiclass.run import MulticlassRun
from training.multiclass.task import Examples, StageTask, seen_by_head
from training.plan import duration


def plan_text(run: MulticlassRun) -> str:
    """Say what a run would do, with its films, its numbers of parameters and how long it takes at most.

    One step of every stage is measured on noise of the input's size; nothing is written.
    """
    recipe, classes = run.recipe, run.data.films.classes
    lines = [
        f"{recipe.architecture}, {recipe.size_px} px, from {recipe.initial_weights}"
        + (f", setting {recipe.setting}" if recipe.setting else "")
    ]
    for part, counts in run.data.counts().items():
        each = ", ".join(f"{name} {counts[name]}" for name in classes)
        lines.append(f"  {part}: {counts['films']} films of {counts['patients']} patients ({each})")
    lines.append(f"  left out, as their class is none of these or not known: {run.data.films.left_out}")
    said = ", ".join(f"{name} {weight:.3f}" for name, weight in zip(classes, run.weights, strict=True))
    lines.append(f"  class weights: {said}")
    steps = -(-len(run.data.parts.train) // recipe.batch_size)
    for stage in recipe.stages:
        count = sum(p.numel() for p in parameters_of(run.network, run.trained(stage)).values())
        stop = f", ends after {stage.patience} epochs without a better macro F1" if stage.patience else ""
        lines.append(
            f"  stage {stage.name}: {stage.trains}, {count:,} parameters, {stage.epochs} epochs of {steps} steps,"
            f" Adam {stage.learning_rate:g}{stop}; {_time(run, stage, steps)}"
        )
    return "\n".join(lines)


def _time(run: MulticlassRun, stage: Stage, steps: int) -> str:
    once = stage.trains == HEAD and not run.recipe.augmentation.is_on
    seconds = measured_step(run, stage)
    if once:
        return f"about {duration(seconds * steps)} for features that are computed once, then next to nothing"
    return f"a step takes {seconds:.2f} s, all of them {duration(seconds * steps * stage.epochs)}"


def measured_step(run: MulticlassRun, stage: Stage) -> float:
    """Measure the second of two steps of a stage, in seconds: forward and, unless features are cached, backward."""
    recipe, classes = run.recipe, run.data.films.classes
    noise = np.random.default_rng(0).random((recipe.batch_size, recipe.size_px, recipe.size_px), np.float32)
    examples = Examples(noise, np.arange(recipe.batch_size) % len(classes))
    device = chosen_device(run.device)
    run.network.to(device)
    taken = 0.0
    if stage.trains == HEAD and not recipe.augmentation.is_on:
        for _ in range(2):
            started = time.monotonic()
            seen_by_head(run.network, noise)
            taken = time.monotonic() - started
        return taken
    task = StageTask(
        run.network, stage, run.trained(stage), recipe,
        classes=classes, train=examples, validation=examples, weights=run.weights,
    )  # fmt: skip
    task.train_mode()
    for _ in range(2):
        started = time.monotonic()
        for inputs, labels in task.batches(0):
            with torch.autocast(device.type, torch.bfloat16, enabled=recipe.mixed_precision):
                loss = task.loss((inputs, labels.to(device)))
            loss.backward()  # type: ignore[no-untyped-call]  # torch's gap
        taken = time.monotonic() - started
    return taken
