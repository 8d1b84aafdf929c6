"""From a recipe and manifests to what is trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training.lung_finder import LungFinder
from training.regions.examples import RegionData, load_birds, load_films
from training.regions.pictures import load_pictures, read_picture_folder
from training.regions.recipe import RegionRecipe
from training.train import select_films


@dataclass(frozen=True, slots=True)
class PictureFolder:
    """Pictures in folders by class (`training.regions.pictures`): the folder, a tree of masks, the classes wanted."""

    folder: Path
    masks: Path | None = None
    classes: tuple[str, ...] = ()


def load_data(
    recipe: RegionRecipe, manifests: Sequence[Path], lungs: Path | None, pictures: PictureFolder | None = None
) -> tuple[RegionData, dict[str, str]]:
    """Read the films of a recipe, or the pictures of a folder; or draw the set of birds.

    Parameters
    ----------
    recipe
        What is wanted.
    manifests
        CSV files of films; none for the drawn set.
    lungs
        Artefact of the lung network.
    pictures
        Of outlined objects; None draws birds where the recipe is not of films.

    Returns
    -------
    RegionData
        The parts.
    dict
        Hashes of the manifests by name.

    Raises
    ------
    ValueError
        If there is no manifest, target or lung network where one is needed, or a manifest where none is read.
    """
    if not recipe.of_films:
        if manifests:
            raise ValueError("region object is of pictures or of the drawn birds; leave --manifest out")
        if pictures is not None:
            found = read_picture_folder(pictures.folder, pictures.masks, pictures.classes)
            return load_pictures(found, recipe.specification), {}
        return load_birds(recipe.size_px), {}
    if pictures is not None:
        raise ValueError(f"region {recipe.region} is of films; leave --pictures out")
    if not manifests:
        raise ValueError(f"region {recipe.region} is of films; give --manifest")
    if recipe.needs_lungs and lungs is None:
        raise ValueError("the recipe needs masks of the lungs: give a lung network")
    films = select_films(recipe, list(manifests))
    folders = list(dict.fromkeys(manifest.parent for manifest in manifests))
    finder = LungFinder(lungs) if lungs is not None else None
    return load_films(recipe, films.train, films.val, folders, finder), films.manifests
