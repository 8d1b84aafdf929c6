"""A stage as the training loop sees it: batches, a weighted loss, validation by macro F1."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from app.domain.discrimination import auroc
from training.engine import VALIDATION
from training.label_metrics import metrics_of
from training.multiclass.augmentation import changed
from training.multiclass.frozen import freeze_all_but, head_inputs, parameters_of, squared_weights, train_mode
from training.multiclass.recipe import MulticlassRecipe, Stage
from training.networks import head_of

_CHUNK = 64


@dataclass(frozen=True, slots=True)
class Examples:
    """Prepared films of one part: inputs ``(N, S, S)`` float32 in 0..1, and class indices ``(N,)``."""

    inputs: NDArray[np.float32]
    labels: NDArray[np.int64]


def to_input(films: NDArray[np.float32], device: torch.device) -> Tensor:
    """Grey films ``(N, S, S)`` in 0..1 to three equal channels in -1..1, ``(N, 3, S, S)``."""
    grey = torch.from_numpy(np.ascontiguousarray(films)).to(device)
    three: Tensor = ((grey - 0.5) / 0.5).unsqueeze(1).expand(-1, 3, -1, -1)
    return three.contiguous(memory_format=torch.channels_last)


def logits_of(network: nn.Module, films: NDArray[np.float32], *, mixed_precision: bool) -> NDArray[np.float32]:
    """Compute the logits ``(N, K)`` of prepared films in inference mode."""
    network.eval()
    device = next(network.parameters()).device
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=mixed_precision):
        chunks = [
            network(to_input(films[start : start + _CHUNK], device)).float().cpu()
            for start in range(0, len(films), _CHUNK)
        ]
    logits: NDArray[np.float32] = torch.cat(chunks).numpy()
    return logits


def validation_scores(
    logits: NDArray[np.float32], labels: NDArray[np.int64], classes: tuple[str, ...]
) -> dict[str, float]:
    """Measure logits ``(N, K)``: macro F1, which chooses, with macro AUROC, accuracy, loss, and each class's recall.

    Averages are over the classes that the part holds films of.
    """
    scores = torch.from_numpy(logits)
    probabilities = torch.softmax(scores, 1).double().numpy()
    said = logits.argmax(axis=1)
    there, called = labels[:, None] == np.arange(len(classes)), said[:, None] == np.arange(len(classes))
    cells = (there & called, ~there & called, ~there & ~called, there & ~called)
    counts = np.stack([cell.sum(axis=0) for cell in cells]).astype(np.float64)
    _, recall, f1, _ = metrics_of(counts)
    held = [k for k in range(len(classes)) if there[:, k].any() and not there[:, k].all()]
    areas = [auroc(there[:, k].astype(np.float64), probabilities[:, k]) for k in held]
    return {
        VALIDATION: float(np.nanmean(f1)) if not np.isnan(f1).all() else math.nan,
        "macro_auroc": float(np.mean(areas)) if areas else math.nan,
        "accuracy": float((said == labels).mean()),
        "validation_loss": float(functional.cross_entropy(scores, torch.from_numpy(labels))),
        **{f"recall_{name}": float(value) for name, value in zip(classes, recall, strict=True)},
    }


class _ExclusiveClasses:
    """What the tasks of a stage share: the order of films, the weighted loss, and nothing to resume by."""

    def __init__(self, recipe: MulticlassRecipe, classes: tuple[str, ...], weights: tuple[float, ...]) -> None:
        self._recipe, self._classes = recipe, classes
        self._weights = torch.tensor(weights)

    def may_be_kept(self, epoch: int) -> bool:  # noqa: ARG002  # every epoch has the full size
        """Every epoch may be chosen."""
        return True

    def state_dict(self) -> dict[str, Any]:  # Any: as the loop stores it
        """Nothing besides network and optimiser."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # Any: as above
        """Nothing."""

    def _weighted(self, logits: Tensor, labels: Tensor, network: nn.Module) -> Tensor:
        """Mean of the films' cross-entropies times their classes' weights, and the penalty on squared weights."""
        each = functional.cross_entropy(logits.float(), labels, reduction="none")
        loss = (each * self._weights.to(each.device)[labels]).mean()
        return loss + self._recipe.l2 * squared_weights(network) if self._recipe.l2 else loss

    def _chunks(self, order: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Cut an order into batches; a single film left over joins the last one: batch normalisation needs two."""
        size = self._recipe.batch_size
        chunks = [order[start : start + size] for start in range(0, len(order), size)]
        if len(chunks) > 1 and len(chunks[-1]) == 1:
            chunks[-2:] = [np.concatenate(chunks[-2:])]
        return chunks


class StageTask(_ExclusiveClasses):
    """One stage of a run; an `training.engine.Task`.

    Parameters
    ----------
    network
        Its part that is not trained is frozen here.
    stage
        What is trained, and how.
    trained
        Parameters that move (`training.multiclass.frozen.trained_names`).
    recipe
        Of the run.
    classes
        Names of the outputs.
    train, validation
        Prepared films.
    weights
        Of the classes in the loss.
    """

    def __init__(
        self,
        network: nn.Module,
        stage: Stage,
        trained: tuple[str, ...],
        recipe: MulticlassRecipe,
        *,
        classes: tuple[str, ...],
        train: Examples,
        validation: Examples,
        weights: tuple[float, ...],
    ) -> None:
        super().__init__(recipe, classes, weights)
        self.network = network.to(memory_format=torch.channels_last)
        self._stage, self._trained = stage, trained
        self._train, self._validation = train, validation
        freeze_all_but(network, trained)

    def parameters(self) -> Iterable[nn.Parameter]:
        """Give the trained part's."""
        return parameters_of(self.network, self._trained).values()

    def train_mode(self) -> None:
        """See `training.multiclass.frozen.train_mode`."""
        train_mode(self.network, self._trained, fixed_statistics=self._stage.fixed_statistics)

    def steps(self, epoch: int) -> int:  # noqa: ARG002  # every epoch has as many
        """Count an epoch's batches."""
        return len(self._chunks(np.arange(len(self._train.labels))))

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Give every film once, in an order of the seed and the epoch, changed at random where the recipe says so."""
        random = np.random.default_rng((self._recipe.seed, epoch))
        device = next(self.network.parameters()).device
        for chunk in self._chunks(random.permutation(len(self._train.labels))):
            films = self._train.inputs[chunk]
            if self._recipe.augmentation.is_on:
                films = np.stack([changed(film, self._recipe.augmentation, random) for film in films])
            yield to_input(films, device), torch.from_numpy(self._train.labels[chunk])

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Compute a batch's loss."""
        inputs, labels = batch
        return self._weighted(self.network(inputs), labels, self.network)

    def validate(self, network: nn.Module) -> Mapping[str, float]:
        """Measure a network on the validation part."""
        logits = logits_of(network, self._validation.inputs, mixed_precision=self._recipe.mixed_precision)
        return validation_scores(logits, self._validation.labels, self._classes)


class HeadTask(_ExclusiveClasses):
    """A stage that trains the last linear layer alone, on what it sees of every film; an `training.engine.Task`.

    Everything below is frozen and in inference mode and films are not changed at random, so that what the layer sees is
    the same in every epoch: it is computed once, and the loss and its gradients are exactly those of `StageTask`.

    Parameters
    ----------
    network
        The whole one; what is trained (and stored by the loop) is its last linear layer.
    recipe, classes, train, validation, weights
        As for `StageTask`.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: MulticlassRecipe,
        *,
        classes: tuple[str, ...],
        train: Examples,
        validation: Examples,
        weights: tuple[float, ...],
    ) -> None:
        super().__init__(recipe, classes, weights)
        self.network = head_of(network)
        self.network.requires_grad_(requires_grad=True)
        self._seen, self._labels = seen_by_head(network, train.inputs), torch.from_numpy(train.labels)
        self._validation_seen, self._validation_labels = seen_by_head(network, validation.inputs), validation.labels

    def parameters(self) -> Iterable[nn.Parameter]:
        """Give weight and bias."""
        return self.network.parameters()

    def train_mode(self) -> None:
        """Switch nothing: a linear layer has no mode."""

    def steps(self, epoch: int) -> int:  # noqa: ARG002  # every epoch has as many
        """Count an epoch's batches."""
        return len(self._chunks(np.arange(len(self._labels))))

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Give what the layer sees of every film once, in the order of `StageTask`."""
        random = np.random.default_rng((self._recipe.seed, epoch))
        for chunk in self._chunks(random.permutation(len(self._labels))):
            yield self._seen[torch.from_numpy(chunk)], self._labels[torch.from_numpy(chunk)]

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Compute a batch's loss."""
        seen, labels = batch
        return self._weighted(self.network(seen), labels, self.network)

    def validate(self, network: nn.Module) -> Mapping[str, float]:
        """Measure a linear layer on the validation part."""
        with torch.inference_mode():
            seen = self._validation_seen.to(next(network.parameters()).device)
            logits = network(seen).float().cpu().numpy()
        return validation_scores(logits, self._validation_labels, self._classes)


def seen_by_head(network: nn.Module, films: NDArray[np.float32]) -> Tensor:
    """Compute what the last linear layer sees of prepared films, ``(N, C)`` float32 on the CPU, in inference mode."""
    network.eval()
    device = next(network.parameters()).device
    pieces = [
        head_inputs(network, to_input(films[start : start + _CHUNK], device)).cpu()
        for start in tqdm(range(0, len(films), _CHUNK), "computing features", leave=False, unit="batch")
    ]
    return torch.cat(pieces)
