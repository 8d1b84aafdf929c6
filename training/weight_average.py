"""One network from several runs of one recipe: the mean of their weights, its statistics measured anew.

Runs that start from the same weights and differ only in their seed end close enough for their mean to be a network at
least as good as each (Wortsman et al., Model soups, ICML 2022), and it costs no more than one of them.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torch.optim.swa_utils import update_bn

from training.batches import BatchDrawer
from training.export import TrainedRun, load_run
from training.loading import load_training_films
from training.lung_finder import LungFinder
from training.train import CACHE_FACTOR, TrainingSet, targets_of

_COUNTS: Final = "num_batches_tracked"


def average_runs(
    directories: Sequence[Path], films: TrainingSet, out: Path, lungs: LungFinder | None = None
) -> TrainedRun:
    """Average finished runs and write the result as a run of its own.

    Parameters
    ----------
    directories
        Finished runs of recipes that differ in nothing but the seed.
    films
        The runs' training films: the statistics of batch normalisation are measured on an epoch of them.
    out
        Directory of the new run.
    lungs
        Finds the lungs, for recipes that need them.

    Returns
    -------
    TrainedRun
        As `training.export.load_run` reads it back; its record names the seeds and the best validation of each run.

    Raises
    ------
    ValueError
        If fewer than two runs are given or their recipes differ.
    """
    runs = [load_run(directory) for directory in directories]
    if len(runs) < 2:
        raise ValueError(f"{len(runs)} run to average; two or more expected")
    first = runs[0].recipe
    for run, directory in zip(runs, directories, strict=True):
        if run.recipe.model_copy(update={"seed": first.seed}) != first:
            raise ValueError(f"{directory.name} follows another recipe than {directories[0].name}")
    states = [run.network.state_dict() for run in runs]
    mean: dict[str, Tensor] = {
        name: value if name.endswith(_COUNTS) else torch.stack([state[name] for state in states]).mean(dim=0)
        for name, value in states[0].items()
    }
    network = runs[0].network
    network.load_state_dict(mean)
    network.to(memory_format=torch.channels_last)
    loaded = load_training_films(
        films.train, int(CACHE_FACTOR * first.size_px), first.specification, lungs if first.needs_lungs else None
    )
    drawer = BatchDrawer(first, films.train, targets_of(films.train, first))
    update_bn((batch.films for batch in drawer.epoch(0, loaded, first.size_px)), network)
    out.mkdir(parents=True, exist_ok=True)
    torch.save({"network": network.state_dict(), "epoch": runs[0].epoch}, out / "best.pt")
    record = {
        **runs[0].record,
        "averaged": [
            {"seed": run.recipe.seed, "best_epoch": run.epoch, "best_validation": run.record.get("best_validation")}
            for run in runs
        ],
    }
    (out / "run.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return load_run(out)
