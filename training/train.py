"""One training run: draw, augment, step, average, validate, checkpoint; resumes where it was stopped."""

import csv
import json
import math
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from app.domain.discrimination import auroc
from app.domain.label_hierarchy import ENSEMBLE_LABELS
from training.batches import BatchDrawer, to_batch
from training.datasets import Film, manifest_sha256, read_manifest
from training.loading import LoadedFilm, load_inputs, load_training_films
from training.lung_finder import LungFinder
from training.networks import EXPERT_OUTPUTS, build_network, initialise, zero_head
from training.recipe import Recipe
from training.resistance import Resistance
from training.splits import check_groups

CACHE_FACTOR = 1.3
_FEWEST_TO_SELECT = 10


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The films of a run, already filtered by the recipe."""

    train: list[Film]
    val: list[Film]
    manifests: dict[str, str]


def select_films(recipe: Recipe, manifests: list[Path]) -> TrainingSet:
    """Read the manifests, hold the groups apart, keep what the recipe trains on.

    Raises
    ------
    SplitError
        If a patient group stands in two parts.
    ManifestError
        If a manifest cannot be read, or nothing is left to train on.
    """
    films = [film for manifest in manifests for film in read_manifest(manifest)]
    check_groups(films)
    kept = [film for film in films if film.source not in recipe.exclude_sources]
    if recipe.target is not None:
        column = ENSEMBLE_LABELS.index(recipe.target)
        kept = [film for film in kept if not math.isnan(film.targets[column])]
    parts = {part: [film for film in kept if film.part == part] for part in ("train", "val")}
    for part, chosen in parts.items():
        if not chosen:
            raise ValueError(f"the recipe leaves no film in part {part!r}")
    hashes = {f"{m.resolve().parent.name}/{m.name}": manifest_sha256(m) for m in manifests}
    return TrainingSet(parts["train"], parts["val"], hashes)


def targets_of(films: list[Film], recipe: Recipe) -> NDArray[np.float32]:
    """Targets ``(N, K)``: one column for an expert, fourteen for a multi-label member; NaN is unknown."""
    targets = np.array([film.targets for film in films], np.float32)
    if recipe.kind == "expert":
        if recipe.target is None:
            raise ValueError("an expert needs a target")
        return targets[:, [ENSEMBLE_LABELS.index(recipe.target)]]
    return targets


def scores_of(network: nn.Module, inputs: NDArray[np.float32], batch_size: int = 64) -> NDArray[np.float64]:
    """Scores ``(N, K)`` in evaluation mode: the margin of an expert (K = 1), the logits of a multi-label network."""
    network.eval()
    chunks = []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for start in range(0, len(inputs), batch_size):
            logits = network(to_batch(inputs[start : start + batch_size])).float()
            chunks.append(logits[:, 1:] - logits[:, :1] if logits.shape[1] == EXPERT_OUTPUTS else logits)
    scores: NDArray[np.float64] = torch.cat(chunks).double().numpy()
    return scores


def selection_score(scores: NDArray[np.float64], targets: NDArray[np.float32], films: list[Film], rule: str) -> float:
    """Value of an epoch: the mean over labels and sources (or pooled) of what the rule names.

    An AUROC counts where each class has ten films; where none has, a single film of each is enough, so that a run on
    very few positives still chooses. NaN where even that is lacking.
    """
    sources = np.array([film.source for film in films])
    within = [sources == source for source in np.unique(sources)]
    parts = within if rule in ("within-source-auroc", "last") else [np.ones(len(films), bool)]
    accuracies, areas = [], []
    for column in range(targets.shape[1]):
        for part in parts:
            truth, score = targets[part, column], scores[part, column]
            known = ~np.isnan(truth)
            truth, score = truth[known], score[known]
            fewest = min((truth == 1).sum(), (truth == 0).sum())
            if rule == "accuracy" and truth.size:
                accuracies.append(float(((score > 0) == (truth == 1)).mean()))
            elif fewest:
                areas.append((int(fewest), auroc(truth, score)))
    if rule == "accuracy":
        return float(np.mean(accuracies)) if accuracies else math.nan
    values = [area for fewest, area in areas if fewest >= _FEWEST_TO_SELECT] or [area for _, area in areas]
    return float(np.mean(values)) if values else math.nan


class Run:
    """A training run in a directory; `train` carries on from its last checkpoint."""

    def __init__(self, recipe: Recipe, films: TrainingSet, directory: Path, lungs: LungFinder | None = None) -> None:
        if recipe.needs_lungs and lungs is None:
            raise ValueError("the recipe needs masks of the lungs: give a lung network")
        directory.mkdir(parents=True, exist_ok=True)
        self.recipe, self.films, self.directory = recipe, films, directory
        self.lungs = lungs if recipe.needs_lungs else None
        torch.manual_seed(recipe.seed)
        outputs = EXPERT_OUTPUTS if recipe.kind == "expert" else len(ENSEMBLE_LABELS)
        self.network = build_network(recipe.architecture, outputs)
        initialise(self.network, recipe.architecture, recipe.initial_weights)
        if recipe.kind == "expert" and recipe.antisymmetric_head:
            zero_head(self.network)
        self.network = self.network.to(memory_format=torch.channels_last)
        self.average = (
            AveragedModel(
                self.network,
                multi_avg_fn=get_ema_multi_avg_fn(recipe.average_decay),  # type: ignore[no-untyped-call]  # torch's gap
                use_buffers=True,
            )
            if recipe.average_decay
            else None
        )
        self.targets = targets_of(films.train, recipe)
        self.drawer = BatchDrawer(recipe, films.train, self.targets)
        self.resistance = Resistance(recipe, films.train, self.targets, self.network)
        self.draws = recipe.draws_per_epoch or len(films.train)
        self.steps_per_epoch = math.ceil(self.draws / recipe.batch_size)
        self.optimiser = self._optimiser()
        self.schedule = (
            torch.optim.lr_scheduler.OneCycleLR(
                self.optimiser,
                recipe.optimiser.learning_rate,
                total_steps=self.steps_per_epoch * recipe.epochs,
                pct_start=0.25,
            )
            if recipe.optimiser.schedule == "one-cycle"
            else None
        )
        self.epoch = 0
        self.curves: list[dict[str, float]] = []
        self.best = -math.inf

    def _optimiser(self) -> torch.optim.Optimizer:
        settings = self.recipe.optimiser
        parameters = [*self.network.parameters(), *self.resistance.parameters()]
        if settings.name == "sgd":
            return torch.optim.SGD(
                parameters, settings.learning_rate, settings.momentum, weight_decay=settings.weight_decay
            )
        return torch.optim.AdamW(parameters, settings.learning_rate, weight_decay=settings.weight_decay)

    @property
    def evaluated(self) -> nn.Module:
        """The network that is validated and exported: the averaged one where there is one."""
        return self.average.module if self.average is not None else self.network

    def train(self) -> dict[str, Any]:
        """Train to the last epoch and return the run's manifest."""
        self._resume()
        specification = self.recipe.specification
        val_inputs = load_inputs(self.films.val, specification, self.lungs)
        val_targets = targets_of(self.films.val, self.recipe)
        size_px = 0
        cached: list[LoadedFilm] = []
        while self.epoch < self.recipe.epochs:
            if (wanted := self.recipe.size_at(self.epoch)) != size_px:
                size_px = wanted
                cached = load_training_films(self.films.train, int(CACHE_FACTOR * size_px), specification, self.lungs)
            loss = self._epoch(cached, size_px)
            score = selection_score(
                scores_of(self.evaluated, val_inputs), val_targets, self.films.val, self.recipe.select_by
            )
            self.curves.append({"epoch": self.epoch, "size_px": size_px, "loss": loss, "validation": score})
            done, rule = f"epoch {self.epoch + 1}/{self.recipe.epochs}", self.recipe.select_by
            tqdm.write(f"{done} loss {loss:.4f} {rule} {score:.4f}")
            self.epoch += 1
            if self.recipe.select_by == "last":
                score = float(self.epoch)
            undecided = math.isnan(score) and self.best == -math.inf  # nothing to choose by: keep the last epoch
            if size_px == self.recipe.size_px and (score > self.best or undecided):
                self.best = self.best if undecided else score
                torch.save({"network": self.evaluated.state_dict(), "epoch": self.epoch}, self.directory / "best.pt")
            self._checkpoint()
        return self._manifest()

    def _epoch(self, cached: list[LoadedFilm], size_px: int) -> float:
        self.network.train()
        total = 0.0
        batches = self.drawer.epoch(self.epoch, cached, size_px)
        title = f"epoch {self.epoch + 1}"
        for batch in tqdm(batches, title, self.steps_per_epoch, leave=False, unit="batch"):
            with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.mixed_precision):
                loss = self.resistance.loss(self.network, batch)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch's gap
            self.optimiser.step()
            if self.schedule is not None:
                self.schedule.step()
            if self.average is not None:
                self.average.update_parameters(self.network)
            total += float(loss.detach())
        if not math.isfinite(total):
            raise FloatingPointError(f"the loss of epoch {self.epoch + 1} is not finite")
        return total / self.steps_per_epoch

    def _checkpoint(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict() if self.average is not None else None,
            "resistance": self.resistance.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict() if self.schedule is not None else None,
            "epoch": self.epoch,
            "curves": self.curves,
            "best": self.best,
            "recipe": self.recipe.model_dump_json(),
        }
        unfinished = self.directory / "last.pt.part"
        torch.save(state, unfinished)
        unfinished.replace(self.directory / "last.pt")
        with (self.directory / "curves.csv").open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, ("epoch", "size_px", "loss", "validation"))
            writer.writeheader()
            writer.writerows(self.curves)

    def _resume(self) -> None:
        path = self.directory / "last.pt"
        if not path.is_file():
            return
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["recipe"] != self.recipe.model_dump_json():
            raise ValueError(f"{self.directory} holds a run of another recipe; choose another directory")
        self.network.load_state_dict(state["network"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.resistance.load_state_dict(state["resistance"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        self.epoch, self.curves, self.best = state["epoch"], state["curves"], state["best"]

    def _manifest(self) -> dict[str, Any]:
        manifest = {
            "recipe": self.recipe.model_dump(mode="json"),
            "manifests_sha256": self.films.manifests,
            "films": {"train": len(self.films.train), "val": len(self.films.val)},
            "versions": {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()},
            "best_validation": self.best if math.isfinite(self.best) else None,
            "curves": [{k: v if math.isfinite(v) else None for k, v in row.items()} for row in self.curves],
        }
        (self.directory / "run.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        return manifest
