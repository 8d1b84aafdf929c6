"""Losses of experts and of multi-label networks; labels that are unknown carry no gradient."""

import torch
from torch import Tensor
from torch.nn import functional

from training.recipe import Recipe


def losses_of(logits: Tensor, targets: Tensor, undecided: Tensor, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Give every film's loss and how many of its labels are known, each ``(N,)``.

    An expert's is smoothed cross-entropy, towards one half for undecided films; a multi-label network's is the sum of
    the binary cross-entropies of the labels that are known.
    """
    if recipe.kind == "expert":
        classes = targets[:, 0].long()
        each = functional.cross_entropy(logits, classes, reduction="none", label_smoothing=recipe.label_smoothing)
        even = -functional.log_softmax(logits, dim=1).mean(dim=1)
        return torch.where(undecided, even, each), torch.ones_like(each)
    known = ~torch.isnan(targets)
    smoothed = torch.where(known, targets, 0.0) * (1 - recipe.label_smoothing) + recipe.label_smoothing / 2
    smoothed = torch.where(undecided[:, None], 0.5, smoothed)
    each = functional.binary_cross_entropy_with_logits(logits, smoothed, reduction="none")
    return (each * known).sum(dim=1), known.float().sum(dim=1)


def loss_of(
    logits: Tensor, targets: Tensor, weights: Tensor, recipe: Recipe, undecided: Tensor | None = None
) -> Tensor:
    """Weighted mean loss over the labels that are known; see `losses_of`."""
    nothing_hidden = torch.zeros(len(logits), dtype=torch.bool, device=logits.device)
    each, known = losses_of(logits, targets, nothing_hidden if undecided is None else undecided, recipe)
    return (each * weights).sum() / (known * weights).sum().clamp_min(1e-6)
