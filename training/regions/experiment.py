"""The experiments of the paper's tables: localisation losses times label ratios, beside the plain classifier."""

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from training.engine import BEST_FILE, LAST_FILE
from training.regions.examples import RegionData
from training.regions.measuring import MeasuredRun, measure
from training.regions.recipe import RegionRecipe
from training.regions.run import Device, RegionRun, load_region_run
from training.regions.tables import BASELINE, RegionTable, region_table
from training.training_log import EVENTS_FOLDER

MEASURED_FILE: Final = "measured.json"
TABLE_FILE: Final = "table.json"


@dataclass(frozen=True, slots=True)
class Planned:
    """One network of an experiment: the row it belongs to and the recipe it is trained by."""

    row: str
    recipe: RegionRecipe

    @property
    def folder(self) -> str:
        """Name of its directory."""
        return f"{self.row.replace(' ', '-').replace(':', '-')}-seed{self.recipe.seed}"


def planned(
    base: RegionRecipe, rows: Sequence[str], seeds: Sequence[int], architectures: Sequence[str] = ()
) -> list[Planned]:
    """List the networks of an experiment, the plain classifiers last.

    Parameters
    ----------
    base
        What they share.
    rows
        ``LOSS:RATIO`` each.
    seeds
        Every row is trained with each.
    architectures
        Of the features; none is the recipe's own.

    Raises
    ------
    ValueError
        If a row is not of that form.
    """
    found = []
    for architecture in architectures or (base.architecture,):
        for row in (*rows, BASELINE):
            for seed in seeds:
                loss, _, ratio = row.partition(":")
                changes: dict[str, object] = {"architecture": architecture, "seed": seed}
                if row == BASELINE:
                    changes |= {"label_ratio": 0.0}
                else:
                    changes |= {"localisation_loss": loss, "label_ratio": _ratio(row, ratio)}
                recipe = RegionRecipe.model_validate({**base.model_dump(), **changes})
                name = row if len(architectures) < 2 else f"{architecture} {row}"  # more than one
                found.append(Planned(name, recipe))
    return found


def _ratio(row: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"row {row!r}; LOSS:RATIO expected, e.g. cross-entropy:0.25") from None


def run_experiment(
    name: str, plan: Sequence[Planned], data: RegionData, out: Path, device: Device = "auto"
) -> RegionTable:
    """Train and measure what is not measured yet, then write ``table.json``.

    Films are measured on validation, the drawn set on its test part. A network's checkpoints are deleted once it is
    measured.

    Parameters
    ----------
    name
        Of the experiment.
    plan
        As `planned` gives it.
    data
        What all are trained and measured on.
    out
        A directory a network, and the table.
    device
        See `training.engine.LoopSettings`.
    """
    out.mkdir(parents=True, exist_ok=True)
    table = region_table(name, list(_measured(plan, data, out, device)))
    (out / TABLE_FILE).write_text(table.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return table


def _measured(plan: Sequence[Planned], data: RegionData, out: Path, device: Device) -> Iterator[MeasuredRun]:
    for one in plan:
        directory = out / one.folder
        path = directory / MEASURED_FILE
        if not path.is_file():
            started = time.monotonic()
            run = RegionRun(one.recipe, data, directory, device=device)
            run.train()
            network = load_region_run(directory).network
            MeasuredRun(
                row=one.row,
                seed=one.recipe.seed,
                classes=data.classes,
                part="test" if data.test else "val",
                outlines_shown=int(run.task.drawer.shown.sum()),
                seconds=round(time.monotonic() - started, 1),
                films=measure(network, data.test or data.val),
            ).write(path)
            for file in (BEST_FILE, LAST_FILE):
                (directory / file).unlink(missing_ok=True)
            shutil.rmtree(directory / EVENTS_FOLDER, ignore_errors=True)
        yield MeasuredRun.model_validate_json(path.read_bytes())
