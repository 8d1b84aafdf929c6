"""A recipe of a network that also predicts a region: an expert's recipe, and what the region adds."""

from importlib.resources import files
from pathlib import Path
from typing import Final, Literal, Self

import yaml
from pydantic import Field, model_validator

from training.networks.saliency import SALIENCY_ARCHITECTURES
from training.recipe import Recipe
from training.regions.losses import LocalisationLoss

DRAWN: Final = "object"
"""The region of pictures and of the drawn birds (`training.regions.drawn_birds`); every other one is of films."""


class RegionRecipe(Recipe):
    """As `training.recipe.Recipe`, of an expert, with a region.

    Attributes
    ----------
    region
        What the outlines show: ``lungs``, ``infection``, ``opacities`` (`training.regions.outlines`), or ``object``:
        pictures in folders, or the drawn birds, which need no manifest and no target.
    localisation_loss, localisation_weight
        L_loc and λ of ``L = L_cls + λ L_loc``.
    label_ratio
        Share of the outlined patients whose outlines are shown; 0 trains a plain classifier.
    hidden_units
        Of the classification net: 0 for one linear layer, 1024 for the paper's (no class activation maps then).
    outlined_share
        At least so much of what is drawn each epoch comes from films that have an outline, shown or not; 0 leaves the
        drawing as it is.
    clear_is_empty
        Films without any finding count as outlined, with an empty region.
    """

    region: Literal["lungs", "infection", "opacities", "object"]
    localisation_loss: LocalisationLoss = "cross-entropy"
    localisation_weight: float = Field(default=1.0, ge=0)
    label_ratio: float = Field(default=1.0, ge=0, le=1)
    hidden_units: int = Field(default=0, ge=0)
    outlined_share: float = Field(default=0.0, ge=0, lt=1)
    clear_is_empty: bool = False

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if self.kind != "expert":
            raise ValueError("kind must be expert: a region belongs to a network with one target")
        if self.architecture not in SALIENCY_ARCHITECTURES:
            raise ValueError(
                f"architecture is {self.architecture!r}; one of {', '.join(SALIENCY_ARCHITECTURES)} expected"
            )
        if self.shortcuts.needs_lungs or self.shortcuts.needs_maps:
            raise ValueError("shortcuts is for experts without a region; crop keeps this one to the lungs")
        if self.clear_is_empty and self.region not in ("infection", "opacities"):
            raise ValueError(f"clear_is_empty: a film without finding has {self.region} all the same")
        if self.select_by == "within-source-auroc":
            raise ValueError("select_by is within-source-auroc; auroc, accuracy or last expected")
        if self.region == DRAWN and (self.target is not None or self.crop != "film"):
            raise ValueError("the drawn set has no target and no lungs: leave target and crop out")
        return self

    @property
    def of_films(self) -> bool:
        """Whether it is trained on the films of a manifest, not on the drawn set."""
        return self.region != DRAWN


def region_recipe_names() -> list[str]:
    """Names of the recipes that come with the package."""
    entries = files("training.recipes").joinpath("regions").iterdir()
    return sorted(entry.name.removesuffix(".yaml") for entry in entries if entry.name.endswith(".yaml"))


def load_region_recipe(name_or_path: str) -> RegionRecipe:
    """Read a recipe by the name of a shipped one or by path.

    Raises
    ------
    FileNotFoundError
        If there is neither.
    """
    path = Path(name_or_path)
    if path.suffix == ".yaml" and path.is_file():
        text = path.read_text(encoding="utf-8")
    elif name_or_path in region_recipe_names():
        shipped = files("training.recipes").joinpath("regions", f"{name_or_path}.yaml")
        text = shipped.read_text(encoding="utf-8")
    else:
        raise FileNotFoundError(f"no recipe {name_or_path!r}; shipped: {', '.join(region_recipe_names())}")
    return RegionRecipe.model_validate(yaml.safe_load(text))
