"""One training run of a recipe: what is drawn, how it is scored, and what is written of it."""

import json
import math
import platform
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from app.domain.discrimination import auroc
from app.domain.label_hierarchy import ENSEMBLE_LABELS
from training.batches import Batch, BatchDrawer, to_batch
from training.datasets import Film, manifest_sha256, read_manifest
from training.engine import VALIDATION, LoopSettings, TrainingLoop
from training.loading import LoadedFilm, load_inputs, load_plain_films, load_training_films
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
    device = next(network.parameters()).device
    chunks = []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
        for start in range(0, len(inputs), batch_size):
            logits = network(to_batch(inputs[start : start + batch_size]).to(device)).float().cpu()
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


class FilmTask:
    """What a recipe trains: films drawn, changed at random, and told apart; an `training.engine.Task`.

    Parameters
    ----------
    recipe
        What to do.
    films
        Training and validation part.
    lungs
        Finds the lungs, for recipes that need them.

    Raises
    ------
    ValueError
        If the recipe needs the lungs and nothing finds them.
    """

    def __init__(self, recipe: Recipe, films: TrainingSet, lungs: LungFinder | None = None) -> None:
        if recipe.needs_lungs and lungs is None:
            raise ValueError("the recipe needs masks of the lungs: give a lung network")
        self.recipe, self.films = recipe, films
        self.lungs = lungs if recipe.needs_lungs else None
        torch.manual_seed(recipe.seed)
        outputs = EXPERT_OUTPUTS if recipe.kind == "expert" else len(ENSEMBLE_LABELS)
        network = build_network(recipe.architecture, outputs)
        initialise(network, recipe.architecture, recipe.initial_weights)
        if recipe.kind == "expert" and recipe.antisymmetric_head:
            zero_head(network)
        self.network: nn.Module = network.to(memory_format=torch.channels_last)
        self.targets = targets_of(films.train, recipe)
        self._drawer = BatchDrawer(recipe, films.train, self.targets)
        self.resistance = Resistance(recipe, films.train, self.targets, self.network)
        self._epoch = 0
        self._size_px = 0
        self._loaded: list[LoadedFilm] = []
        self._val: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def parameters(self) -> Iterator[nn.Parameter]:
        """The network's, and an adversary's."""
        yield from self.network.parameters()
        yield from self.resistance.parameters()

    def train_mode(self) -> None:
        """Every part trains."""
        self.network.train()

    def steps(self, epoch: int) -> int:  # noqa: ARG002  # all epochs are alike
        """Steps of an epoch."""
        return math.ceil((self.recipe.draws_per_epoch or len(self.films.train)) / self.recipe.batch_size)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Draw an epoch at its input size."""
        wanted = self.recipe.size_at(epoch)
        self._epoch = epoch
        if wanted != self._size_px:
            self._size_px = wanted
            specification = replace(self.recipe.specification, size_px=wanted)
            self._loaded = (
                load_plain_films(self.films.train, specification)
                if self.recipe.trains_as_served
                else load_training_films(self.films.train, int(CACHE_FACTOR * wanted), specification, self.lungs)
            )
        return self._drawer.epoch(epoch, self._loaded, wanted)

    def loss(self, batch: Batch) -> Tensor:
        """Give the recipe's loss with what it adds against shortcuts."""
        return self.resistance.loss(self.network, batch)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Score the validation part by the recipe's rule."""
        if self._val is None:
            inputs = load_inputs(self.films.val, self.recipe.specification, self.lungs)
            self._val = inputs, targets_of(self.films.val, self.recipe)
        inputs, targets = self._val
        score = selection_score(scores_of(network, inputs), targets, self.films.val, self.recipe.select_by)
        return {VALIDATION: score, "size_px": self._size_px or self.recipe.size_px}

    def may_be_kept(self, epoch: int) -> bool:
        """Only an epoch at the size that is exported."""
        return self.recipe.size_at(epoch) == self.recipe.size_px

    def state_dict(self) -> dict[str, Any]:  # Any: tensors by name
        """Give the adversary's parameters and the groups' weights."""
        return self.resistance.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:  # Any: as above
        """Take them back."""
        self.resistance.load_state_dict(state)


class Run:
    """A training run in a directory; `train` carries on from its last checkpoint.

    Raises
    ------
    ValueError
        If the directory holds a run of another recipe, or the recipe needs lungs and nothing finds them.
    """

    def __init__(
        self, recipe: Recipe, films: TrainingSet, directory: Path, lungs: LungFinder | None = None, device: str = "auto"
    ) -> None:
        self.recipe, self.films, self.directory = recipe, films, directory
        settings = LoopSettings(
            recipe.epochs,
            recipe.optimiser,
            recipe.average_decay,
            recipe.mixed_precision,
            recipe.seed,
            recipe.patience,
            "last" if recipe.select_by == "last" else "best",
            device,  # type: ignore[arg-type]  # checked by the command line
        )
        self.task = FilmTask(recipe, films, lungs)
        self.loop = TrainingLoop(self.task, settings, directory, recipe.model_dump_json())

    def train(self) -> dict[str, Any]:  # Any: a JSON object
        """Train to the last epoch and return the run's manifest."""
        self.loop.run()
        best = self.loop.best
        manifest = {
            "recipe": self.recipe.model_dump(mode="json"),
            "manifests_sha256": self.films.manifests,
            "films": {"train": len(self.films.train), "val": len(self.films.val)},
            "versions": {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()},
            "device": self.loop.device.type,
            "best_validation": best if math.isfinite(best) else None,
            "curves": [{k: v if math.isfinite(v) else None for k, v in row.items()} for row in self.loop.curves],
        }
        (self.directory / "run.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        return manifest
