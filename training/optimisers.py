"""Optimisers and schedules by name, as recipes write them."""

from collections.abc import Iterable
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR


class Optimiser(BaseModel):
    """How weights are moved.

    Attributes
    ----------
    name
        ``adam`` adds the weight decay to the gradient (L2), ``adamw`` takes it from the weights.
    learning_rate
        The highest one.
    momentum
        Of ``sgd``.
    schedule
        ``constant``; ``one-cycle`` (up over a quarter of the steps, then down to nearly nothing); ``cosine`` (down to
        zero).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["sgd", "adam", "adamw"] = "adamw"
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    schedule: Literal["constant", "one-cycle", "cosine"] = "one-cycle"


def optimiser_of(settings: Optimiser, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Make the optimiser."""
    moved = list(parameters)
    if settings.name == "sgd":
        return torch.optim.SGD(moved, settings.learning_rate, settings.momentum, weight_decay=settings.weight_decay)
    adam = torch.optim.Adam if settings.name == "adam" else torch.optim.AdamW
    return adam(moved, settings.learning_rate, weight_decay=settings.weight_decay)


def schedule_of(settings: Optimiser, optimiser: torch.optim.Optimizer, steps: int) -> LRScheduler | None:
    """Make the schedule over so many steps; None where the rate is constant."""
    if settings.schedule == "one-cycle":
        return OneCycleLR(optimiser, settings.learning_rate, total_steps=steps, pct_start=0.25)
    return CosineAnnealingLR(optimiser, steps) if settings.schedule == "cosine" else None
