"""What keeps an expert from answering by anything but the lungs: parts of a recipe, and the losses they add."""

from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

_LEAST_GROUP_WEIGHT: Final = 1e-3


class ShortcutResistance(BaseModel):
    """How hard a run resists shortcuts; zeros switch a measure off. All but the last two need the lungs' masks.

    Attributes
    ----------
    swap_surroundings
        Probability that all around the lungs is replaced by another film's surroundings, or by black.
    blackout_lungs
        Probability that the lungs are blacked out; the network must then be undecided, whatever the label.
    outside_weight
        Weight of the mean magnitude of the evidence (in logits) that a class activation map shows outside the lungs.
    negative_weight
        Weight of the mean magnitude of negative evidence for the target: what speaks against it then stands in the
        bias, and the map adds up what speaks for it.
    group_step
        Step size of the weights of group-robust training over (source, class) groups (Sagawa et al., ICLR 2020).
    adversary_weight
        Weight of the reversed gradient of a source classifier on the pooled features, one classifier a class (Ganin
        et al., JMLR 2016; conditioned on the class, as sources and classes go together).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    swap_surroundings: float = Field(default=0.0, ge=0, le=1)
    blackout_lungs: float = Field(default=0.0, ge=0, le=1)
    outside_weight: float = Field(default=0.0, ge=0)
    negative_weight: float = Field(default=0.0, ge=0)
    group_step: float = Field(default=0.0, ge=0)
    adversary_weight: float = Field(default=0.0, ge=0)

    @property
    def needs_lungs(self) -> bool:
        """Whether the run needs masks of the lungs."""
        return max(self.swap_surroundings, self.blackout_lungs, self.outside_weight) > 0

    @property
    def needs_maps(self) -> bool:
        """Whether the losses read features or maps."""
        return max(self.outside_weight, self.negative_weight, self.adversary_weight) > 0


def evidence_of(cam: Tensor) -> Tensor:
    """Give an expert's evidence ``(N, h, w)``: the map of the margin, from both classes' maps ``(N, 2, h, w)``."""
    return cam[:, 1] - cam[:, 0]


def outside_evidence(evidence: Tensor, lungs: Tensor) -> Tensor:
    """Mean magnitude of the evidence outside the lungs, in logits a cell.

    Parameters
    ----------
    evidence
        ``(N, h, w)``.
    lungs
        ``(N, h, w)`` share of each cell that is lung, 0..1.
    """
    return (evidence.abs() * (1.0 - lungs)).mean()


def negative_evidence(evidence: Tensor) -> Tensor:
    """Mean magnitude of negative cells, in logits a cell."""
    return functional.relu(-evidence).mean()


class GroupWeights:
    """Weights of (source, class) groups that grow with the groups' losses: the worst one counts most."""

    def __init__(self, groups: int, step: float) -> None:
        self.weights = np.full(groups, 1.0 / groups)
        self._step = step

    def __call__(self, losses: Tensor, groups: NDArray[np.int64]) -> Tensor:
        """Give the weighted sum of the groups' mean losses ``(N,)``, after moving the weights."""
        present = np.unique(groups)
        means = torch.stack([losses[torch.from_numpy(groups == group).to(losses.device)].mean() for group in present])
        self.weights[present] *= np.exp(self._step * means.detach().double().cpu().numpy())
        self.weights = np.maximum(self.weights / self.weights.sum(), _LEAST_GROUP_WEIGHT)
        self.weights /= self.weights.sum()
        share = torch.from_numpy((self.weights[present] / self.weights[present].sum()).astype(np.float32))
        return (means * share.to(means.device)).sum()


class _Reversed(torch.autograd.Function):
    """Identity forward, negated gradient backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: float) -> Tensor:  # Any: torch's context
        """Pass the features on."""
        ctx.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Turn the gradient round."""
        return -ctx.weight * gradients[0], None


class SourceAdversary(nn.Module):
    """Tells the source from pooled features, one linear classifier a class; the features learn to defeat it."""

    def __init__(self, channels: int, sources: int, classes: int, weight: float) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(channels, sources) for _ in range(classes))
        self.weight = weight

    def forward(self, pooled: Tensor, sources: Tensor, classes: Tensor) -> Tensor:
        """Give the mean cross-entropy of the sources ``(N,)`` given features ``(N, C)`` and classes ``(N,)``."""
        features: Tensor = _Reversed.apply(pooled, self.weight)
        logits = torch.stack([head(features) for head in self.heads], dim=1)
        chosen = logits[torch.arange(len(classes)), classes]
        return functional.cross_entropy(chosen, sources)
