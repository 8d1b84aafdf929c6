"""The loss of one training step, with what a recipe adds against shortcuts."""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training.batches import Batch, cell_of
from training.datasets import Film
from training.losses import loss_of, losses_of
from training.networks import EXPERT_OUTPUTS, ExplainedNetwork, head_of
from training.recipe import Recipe
from training.shortcuts import GroupWeights, SourceAdversary, evidence_of, negative_evidence, outside_evidence

AUXILIARY_WEIGHT: Final = 0.4
"""Weight of the auxiliary head's loss (torchvision's reference training; 0.3 in Szegedy et al., CVPR 2015)."""


class Resistance(nn.Module):
    """Computes the loss of a batch; holds the adversary's parameters and the groups' weights.

    Parameters
    ----------
    recipe
        What to add.
    films, targets
        The training part: its sources and (source, labels) groups.
    network
        The network that will be trained; only the width of its last layer is read.
    """

    def __init__(self, recipe: Recipe, films: list[Film], targets: NDArray[np.float32], network: nn.Module) -> None:
        super().__init__()
        self._recipe, settings = recipe, recipe.shortcuts
        if (settings.outside_weight or settings.negative_weight or settings.adversary_weight) and (
            recipe.kind != "expert"
        ):
            raise ValueError("evidence and adversaries are an expert's; a multi-label recipe sets their weights to 0")
        cells = [cell_of(film, row) for film, row in zip(films, targets, strict=True)]
        names = sorted(set(cells))
        self._groups = np.array([names.index(cell) for cell in cells], np.int64)
        sources = sorted({film.source for film in films})
        self._sources = torch.tensor([sources.index(film.source) for film in films])
        self.group_weights = GroupWeights(len(names), settings.group_step) if settings.group_step else None
        channels = int(head_of(network).weight.shape[1])
        self.adversary = (
            SourceAdversary(channels, len(sources), EXPERT_OUTPUTS, settings.adversary_weight)
            if settings.adversary_weight
            else None
        )

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Give the loss of a batch; to be called under the run's autocast."""
        settings = self._recipe.shortcuts
        if not settings.needs_maps:
            found = network(batch.films)
            logits, auxiliary = found if isinstance(found, tuple) else (found, None)
            loss = self._of_logits(logits.float(), batch)
            return loss if auxiliary is None else loss + AUXILIARY_WEIGHT * self._of_logits(auxiliary.float(), batch)
        logits, features, cam = ExplainedNetwork(network)(batch.films)
        loss = self._of_logits(logits.float(), batch)
        evidence = evidence_of(cam.float())
        if settings.outside_weight:
            assert batch.lungs is not None
            grid = (int(evidence.shape[1]), int(evidence.shape[2]))
            lungs = functional.adaptive_avg_pool2d(batch.lungs[:, None], grid)[:, 0]
            loss = loss + settings.outside_weight * outside_evidence(evidence, lungs)
        if settings.negative_weight:
            loss = loss + settings.negative_weight * negative_evidence(evidence)
        if self.adversary is not None:
            decided = ~batch.undecided
            pooled = features.float().mean(dim=(2, 3))[decided]
            sources = self._sources[torch.from_numpy(batch.indices)].to(pooled.device)[decided]
            loss = loss + self.adversary(pooled, sources, batch.targets[decided, 0].long())
        return loss

    def _of_logits(self, logits: Tensor, batch: Batch) -> Tensor:
        if self.group_weights is None:
            return loss_of(logits, batch.targets, batch.weights, self._recipe, batch.undecided)
        each, known = losses_of(logits, batch.targets, batch.undecided, self._recipe)
        return self.group_weights(each * batch.weights / known.clamp_min(1.0), self._groups[batch.indices])

    def get_extra_state(self) -> dict[str, Tensor]:
        """Keep the groups' weights in a checkpoint."""
        return {} if self.group_weights is None else {"groups": torch.from_numpy(self.group_weights.weights)}

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        """Take the groups' weights back from a checkpoint."""
        if self.group_weights is not None:
            self.group_weights.weights = state["groups"].numpy().copy()
