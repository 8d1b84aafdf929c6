"""What a run of several classes does, as a YAML file says it: one base, and the settings of papers/3's table 1."""

from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.domain.preprocessing import InputSpecification, IntensityRule
from training.multiclass.augmentation import RandomChange
from training.multiclass.parts import SHARES

ALL: Final = "all"
HEAD: Final = "head"
_FOLDER: Final = "multiclass"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Stage(_Part):
    """One training loop.

    Attributes
    ----------
    name
        Folder of its checkpoints.
    trains
        ``all``; ``head``, the last linear layer alone; or the first module of the part that is trained, by its name in
        the network: everything from there up to the answer (``stages.2.blocks.5.conv3`` of ResNet50V2).
    epochs
        At most.
    learning_rate
        Of Adam, constant.
    patience
        Convergence: the stage ends after so many epochs without a better validation macro F1. None trains all epochs.
    fixed_statistics
        Leave the statistics of batch normalisation as they are in the trained part too. What is frozen never changes
        them.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    trains: str
    epochs: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    patience: int | None = Field(default=None, gt=0)
    fixed_statistics: bool = False


class MulticlassRecipe(_Part):
    """A run, as read from YAML.

    Attributes
    ----------
    setting
        Which of the file's settings was chosen; None is the file's base.
    architecture
        A name of `training.networks.ARCHITECTURES`.
    size_px, intensity
        Input: films are padded to a square, never stretched; 0..1 becomes -1..1 (SPEC 3.2).
    initial_weights
        ``scratch``, ``imagenet`` or a file, see `training.networks.initialise`.
    stages
        One after the other, each from the best epoch of the one before.
    class_weights
        Weigh the loss by papers/3, eq. 1.
    l2
        The squared weights of the linear layers, times this, are added to the loss.
    shares
        ``text`` 70/15/15, ``code`` 72.25/12.75/15, where films have no part.
    augmentation
        Off unless given.
    """

    setting: str | None = None
    architecture: str
    size_px: int = Field(default=224, ge=32)
    intensity: IntensityRule = "full-range"
    initial_weights: Literal["scratch", "imagenet"] | str = "scratch"
    stages: tuple[Stage, ...] = Field(min_length=1)
    class_weights: bool = True
    l2: float = Field(default=0.0, ge=0)
    batch_size: int = Field(default=32, ge=2)
    shares: Literal["text", "code"] = "text"
    augmentation: RandomChange = RandomChange()
    mixed_precision: bool = True
    seed: int = 20261120

    @model_validator(mode="after")
    def _stages_are_apart(self) -> "MulticlassRecipe":
        names = [stage.name for stage in self.stages]
        if len(set(names)) != len(names):
            raise ValueError(f"stages {', '.join(names)}: every one needs a name of its own")
        return self

    @property
    def specification(self) -> InputSpecification:
        """How the network wants its films: ``x / 127.5 - 1`` of the padded film."""
        half = (0.5, 0.5, 0.5)
        return InputSpecification(self.size_px, intensity=self.intensity, mean=half, std=half)

    @property
    def parts(self) -> tuple[float, float, float]:
        """Shares of training, validation and held-out films."""
        return SHARES[self.shares]


def multiclass_recipe_names() -> list[str]:
    """Names of the recipes that come with the package."""
    entries = files("training.recipes").joinpath(_FOLDER).iterdir()
    return sorted(entry.name.removesuffix(".yaml") for entry in entries if entry.name.endswith(".yaml"))


def load_multiclass_recipe(name_or_path: str, setting: str | None = None) -> MulticlassRecipe:
    """Read a recipe by the name of a shipped one or by path.

    Parameters
    ----------
    name_or_path
        Which file.
    setting
        One of its settings; None takes the base.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it has no such setting, or a field is wrong (pydantic's error, which names it).
    """
    content = _content(name_or_path)
    settings = content.pop("settings", {})
    if setting is not None and setting not in settings:
        raise ValueError(f"{name_or_path} has no setting {setting!r}; {', '.join(settings) or 'it has none'}")
    chosen = {} if setting is None else {"setting": setting, **settings[setting]}
    return MulticlassRecipe.model_validate({**content, **chosen})


def settings_of(name_or_path: str) -> list[str]:
    """Names of a recipe's settings."""
    return list(_content(name_or_path).get("settings", {}))


def _content(name_or_path: str) -> dict[str, Any]:  # Any: YAML's values
    path = Path(name_or_path)
    if path.suffix == ".yaml" and path.is_file():
        text = path.read_text(encoding="utf-8")
    elif name_or_path in multiclass_recipe_names():
        text = files("training.recipes").joinpath(_FOLDER, f"{name_or_path}.yaml").read_text(encoding="utf-8")
    else:
        raise FileNotFoundError(f"no recipe {name_or_path!r}; shipped: {', '.join(multiclass_recipe_names())}")
    content = yaml.safe_load(text)
    if not isinstance(content, dict):
        raise ValueError(f"{name_or_path} is no recipe: a mapping of fields expected")
    return content
