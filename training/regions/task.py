"""A network that classifies and predicts a region, as the training loop sees it."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from app.domain.predicted_region import intersection_over_union, region_mask
from training.engine import VALIDATION
from training.networks import initialise, zero_head
from training.networks.saliency import SaliencyNetwork
from training.regions.batches import RegionBatch, RegionDrawer
from training.regions.examples import RegionData
from training.regions.looking import film_region, look_at
from training.regions.losses import total_loss
from training.regions.measuring import classification
from training.regions.recipe import RegionRecipe

_TWO: Final = 2


def build_saliency_network(recipe: RegionRecipe, classes: int) -> SaliencyNetwork:
    """Make the network that a recipe starts from; the same one for the same seed."""
    torch.manual_seed(recipe.seed)
    network = SaliencyNetwork(recipe.architecture, classes, recipe.hidden_units)
    if network.has_activation_maps:
        initialise(network.trunk, recipe.architecture, recipe.initial_weights)
        if classes == _TWO and recipe.antisymmetric_head:
            zero_head(network.trunk)
    elif recipe.initial_weights != "scratch":
        plain = SaliencyNetwork(recipe.architecture, classes)
        initialise(plain.trunk, recipe.architecture, recipe.initial_weights)
        kept = {name: value for name, value in plain.trunk.state_dict().items() if not name.startswith("fc.")}
        network.trunk.load_state_dict(kept, strict=False)
    moved: SaliencyNetwork = network.to(memory_format=torch.channels_last)
    return moved


class RegionTask:
    """See `training.engine.Task`.

    Parameters
    ----------
    recipe
        What is trained.
    data
        On what.

    Attributes
    ----------
    drawer
        Draws the batches, and knows whose outlines are shown.
    """

    def __init__(self, recipe: RegionRecipe, data: RegionData) -> None:
        self._recipe, self._data = recipe, data
        self.drawer = RegionDrawer(recipe, data.train)
        self._network = build_saliency_network(recipe, len(data.classes))
        self._size_px = recipe.size_px

    @property
    def network(self) -> SaliencyNetwork:
        """The network in training."""
        return self._network

    def parameters(self) -> Iterable[nn.Parameter]:
        """Give all of them."""
        return self._network.parameters()

    def train_mode(self) -> None:
        """Switch everything to training."""
        self._network.train()

    def steps(self, epoch: int) -> int:  # noqa: ARG002  # every epoch has as many
        """Count the batches of an epoch."""
        return self.drawer.steps

    def batches(self, epoch: int) -> Iterator[RegionBatch]:
        """Give an epoch's batches."""
        self._size_px = self._recipe.size_at(epoch)
        return self.drawer.epoch(epoch)

    def loss(self, batch: RegionBatch) -> Tensor:
        """Give L_cls + λ L_loc.

        The saliency prediction network sees the outlined films alone: its batch normalisation would otherwise carry
        gradients to films that have no localisation loss.
        """
        recipe, network = self._recipe, self._network
        features = network.features(batch.films)
        logits = network.classify(features)
        if recipe.localisation_weight > 0 and len(batch.outlined):
            region = network.spn(features[batch.outlined], batch.films.shape[-1])
        else:
            region = logits.new_zeros(batch.outlines[:0].shape)
        truth = batch.outlines[: len(region)]
        return total_loss(
            logits, batch.labels, region, truth,
            kind=recipe.localisation_loss, weight=recipe.localisation_weight, smoothing=recipe.label_smoothing,
        )  # fmt: skip

    def validate(self, network: nn.Module) -> Mapping[str, float]:
        """Measure on the validation part; `VALIDATION` is what the recipe selects by."""
        assert isinstance(network, SaliencyNetwork)
        looked = look_at(network, self._data.val)
        found = classification(looked.logits, [e.label for e in self._data.val])
        overlaps = [
            intersection_over_union(region_mask(film_region(each, example.placement)), example.outline)
            for each, example in zip(looked.regions, self._data.val, strict=True)
            if example.outline is not None
        ]
        found["region_iou"] = float(np.mean(overlaps)) if overlaps else math.nan
        rule = "accuracy" if self._recipe.select_by == "accuracy" else "auroc"
        return {VALIDATION: found[rule], **found, "size_px": float(self._size_px)}

    def may_be_kept(self, epoch: int) -> bool:
        """Only an epoch at full size can be chosen."""
        return self._recipe.size_at(epoch) == self._recipe.size_px

    def state_dict(self) -> dict[str, Any]:  # Any: as torch stores it
        """Nothing but the network goes on from epoch to epoch."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # Any: as above
        """Take nothing back."""
