"""A recipe: everything that decides what a training run does, in one readable YAML file."""

from importlib.resources import files
from itertools import takewhile
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from app.domain.preprocessing import Crop, InputSpecification, IntensityRule
from training.augmentation import Augmentation
from training.optimisers import Optimiser
from training.shortcuts import ShortcutResistance


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Stage(_Part):
    """Some epochs at one input size: small first, then full size."""

    epochs: int = Field(gt=0)
    size_px: int = Field(ge=32)


class Recipe(_Part):
    """A training run, as read from YAML.

    Attributes
    ----------
    kind
        ``expert``: two outputs, ``target`` against the rest. ``multilabel``: fourteen sigmoid outputs.
    target
        The expert's positive class, one of the fourteen labels.
    exclude_sources
        Sources that are left out of training and validation (e.g. a paediatric one).
    source_weights
        Multiplies how often a source is drawn.
    draws_per_epoch
        Films drawn an epoch; None takes every film once.
    balance
        A film of a (source, label) cell with n films is drawn with weight ``n ** -balance``.
    select_by
        What chooses the epoch: mean AUROC within sources, pooled AUROC, or accuracy on validation; ``last`` keeps the
        last one, where validation is too small to choose by.
    patience
        Stop after so many epochs that are no better; None trains to the end.
    average_decay
        Exponential moving average of the weights, per step; 0 switches it off.
    initial_weights
        ``scratch``, ``imagenet``, the path of a checkpoint, or ``grow:PATH`` (`training.networks.initialise`).
    crop, crop_margin
        Whether the network is fed with the whole film, with the lungs and a margin, or with nothing but the lungs.
    shortcuts
        What keeps the network to the lungs.
    """

    kind: Literal["expert", "multilabel"]
    target: str | None = None
    architecture: str = "resnet18"
    stages: tuple[Stage, ...]
    intensity: IntensityRule = "percentile-1-99"
    crop: Crop = "film"
    crop_margin: float = Field(default=0.0, ge=0, le=1)
    batch_size: int = Field(default=32, gt=0)
    optimiser: Optimiser
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    noisy_label_weight: float = Field(default=1.0, gt=0, le=1)
    exclude_sources: tuple[str, ...] = ()
    source_weights: dict[str, float] = Field(default_factory=dict)
    draws_per_epoch: int | None = None
    balance: float = Field(default=0.0, ge=0, le=1)
    select_by: Literal["within-source-auroc", "auroc", "accuracy", "last"] = "auroc"
    patience: int | None = Field(default=None, gt=0)
    average_decay: float = Field(default=0.0, ge=0, lt=1)
    augmentation: Augmentation = Augmentation()
    shortcuts: ShortcutResistance = ShortcutResistance()
    mixed_precision: bool = True
    initial_weights: Literal["scratch", "imagenet"] | str = "scratch"
    antisymmetric_head: bool = True
    seed: int = 20261120

    @property
    def size_px(self) -> int:
        """Input size of the last stage: the one that is exported."""
        return self.stages[-1].size_px

    @property
    def specification(self) -> InputSpecification:
        """How the network wants its films."""
        return InputSpecification(
            size_px=self.size_px, intensity=self.intensity, crop=self.crop, crop_margin=self.crop_margin
        )

    @property
    def needs_lungs(self) -> bool:
        """Whether a lung network is needed to train by this recipe."""
        return self.crop != "film" or self.shortcuts.needs_lungs

    @property
    def trains_as_served(self) -> bool:
        """Whether training is fed with whole films exactly as serving is, rounded to 8 bit."""
        return self.augmentation.is_off and not self.needs_lungs

    @property
    def epochs(self) -> int:
        """Epochs over all stages."""
        return sum(stage.epochs for stage in self.stages)

    def size_at(self, epoch: int) -> int:
        """Input size of one epoch, counted from 0."""
        for stage in self.stages:
            if epoch < stage.epochs:
                return stage.size_px
            epoch -= stage.epochs
        raise ValueError("epoch is past the last stage")


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package."""
    entries = files("training.recipes").iterdir()
    return sorted(entry.name.removesuffix(".yaml") for entry in entries if entry.name.endswith(".yaml"))


def recipe_text(name_or_path: str) -> str:
    """Give a recipe's YAML by the name of a shipped one or by path.

    Raises
    ------
    FileNotFoundError
        If there is neither.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return path.read_text(encoding="utf-8")
    if name_or_path in recipe_names():
        return files("training.recipes").joinpath(f"{name_or_path}.yaml").read_text(encoding="utf-8")
    raise FileNotFoundError(f"no recipe {name_or_path!r}; shipped: {', '.join(recipe_names())}")


def described_recipes() -> dict[str, str]:
    """Give every shipped recipe's first sentence: the comment it opens with."""
    described = {}
    for name in recipe_names():
        comment = takewhile(lambda line: line.startswith("#"), recipe_text(name).splitlines())
        words = " ".join(line.removeprefix("#").strip() for line in comment)
        described[name] = f"{words.split('. ')[0].removesuffix('.')}."
    return described


def load_recipe(name_or_path: str) -> Recipe:
    """Read a recipe by the name of a shipped one or by path.

    Raises
    ------
    FileNotFoundError
        If there is neither.
    ValueError
        If it is not valid, with every setting that is wrong.
    """
    return Recipe.model_validate(yaml.safe_load(recipe_text(name_or_path)))
