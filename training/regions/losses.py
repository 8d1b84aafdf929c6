"""The loss of a network that classifies and predicts a region: L = L_cls + λ L_loc (papers/4)."""

from typing import Final, Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

LocalisationLoss: TypeAlias = Literal["cross-entropy", "l1", "l2"]
LOCALISATION_LOSSES: Final[tuple[LocalisationLoss, ...]] = ("cross-entropy", "l1", "l2")


def localisation_loss(region: Tensor, truth: Tensor, kind: LocalisationLoss) -> Tensor:
    """Compare predicted regions with outlines, pixel by pixel, and average over pixels and films.

    Parameters
    ----------
    region
        Logits ``(M, 1, S, S)`` of outlined films only.
    truth
        ``(M, 1, S, S)`` in 0..1.
    kind
        ``cross-entropy`` of each pixel, or the mean absolute (``l1``) or squared (``l2``) difference of probabilities.

    Returns
    -------
    Tensor
        A scalar; 0 where no film is outlined.

    Notes
    -----
    The mean is over *outlined* films. Averaging over the whole batch, as a loss that is merely zero without an outline
    would, makes λ smaller the fewer films are outlined (SPEC 4.3).
    """
    if len(region) == 0:
        return region.sum()
    logits = region.float()
    if kind == "cross-entropy":
        return functional.binary_cross_entropy_with_logits(logits, truth)
    difference = torch.sigmoid(logits) - truth
    return difference.abs().mean() if kind == "l1" else difference.square().mean()


def total_loss(
    logits: Tensor,
    classes: Tensor,
    region: Tensor,
    truth: Tensor,
    *,
    kind: LocalisationLoss,
    weight: float,
    smoothing: float = 0.0,
) -> Tensor:
    """Sum the loss of the classes and the weighted loss of the regions.

    Parameters
    ----------
    logits, classes
        ``(N, K)`` and ``(N,)`` int64, of all films.
    region, truth
        ``(M, 1, S, S)`` each, of the outlined films.
    kind
        See `localisation_loss`.
    weight
        λ.
    smoothing
        Of the classes' labels.

    Returns
    -------
    Tensor
        A scalar.
    """
    return functional.cross_entropy(logits.float(), classes, label_smoothing=smoothing) + weight * localisation_loss(
        region, truth, kind
    )
