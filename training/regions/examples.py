"""What a region network is trained and measured on: films of manifests with outlines, or the drawn set."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from app.domain.label_hierarchy import ENSEMBLE_LABELS
from app.domain.lung_input import to_lung_input
from app.domain.lungs import lung_window
from app.domain.preprocessing import InputSpecification, Placement, place
from app.domain.radiograph import Provenance, Radiograph
from training.datasets import Film, read_grey
from training.loading import ROOM_TO_CROP, LoadedFilm, load_training_films
from training.lung_finder import LungFinder, lungs_for
from training.regions.drawn_birds import KINDS, DrawnBird, draw_birds
from training.regions.outlines import FilmRegion, Mask, is_clear, read_outlines
from training.regions.recipe import RegionRecipe

CACHE_FACTOR: Final = 1.3
"""Training films are kept at so many times the input's side, for augmentation to scale."""
BIRDS_A_KIND: Final = {"train": 96, "val": 24, "test": 60}
"""Of the drawn set: 480 pictures for training and validation together, nearly as many as the paper's birds."""
_BIRD_SEEDS: Final = {"train": 1, "val": 2, "test": 3}
_WHOLE: Final = 255


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """What augmentation starts from.

    Attributes
    ----------
    loaded
        Grey values, and how much of each pixel is left where a recipe blacks out all but the lungs.
    outline
        ``(H, W)`` uint8, `_WHOLE` inside; None where nothing was drawn.
    label
        Class index.
    group
        The leak-proof unit.
    source
        Where it comes from.
    squashed
        See `training.datasets.Film`.
    noisy
        As there.
    """

    loaded: LoadedFilm
    outline: NDArray[np.uint8] | None
    label: int
    group: str
    source: str
    squashed: bool = False
    noisy: bool = False

    @property
    def is_drawn_on(self) -> bool:
        """Whether something was outlined: an outline may also be known to be empty."""
        return self.outline is not None and bool(self.outline.any())


@dataclass(frozen=True, slots=True)
class MeasuredExample:
    """One film as serving feeds it, and what it is compared with.

    Attributes
    ----------
    canvas
        ``(S, S)`` float32 in 0..1, padded with zeros.
    placement
        Where the film lies in it.
    outline
        ``(H, W)`` on the film's own pixels; None where nothing was drawn.
    part
        ``(H, W)``: what decides the class, where that is known (the drawn set); else None.
    is_clear
        There is nothing on the film that could be outlined.
    label, group
        As above.
    """

    canvas: NDArray[np.float32]
    placement: Placement
    outline: Mask | None
    part: Mask | None
    is_clear: bool
    label: int
    group: str


@dataclass(frozen=True, slots=True)
class RegionData:
    """The parts of one experiment; `test` is empty for films: a release reads that part, nothing else.

    ``classes`` are the names of the outputs in their order.
    """

    classes: tuple[str, ...]
    train: list[TrainingExample]
    val: list[MeasuredExample]
    test: list[MeasuredExample]

    @property
    def outlined_groups(self) -> frozenset[str]:
        """Patients of whom at least one training film has something drawn on it."""
        return frozenset(e.group for e in self.train if e.is_drawn_on)


def load_films(
    recipe: RegionRecipe,
    train: Sequence[Film],
    val: Sequence[Film],
    folders: Sequence[Path],
    lungs: LungFinder | None = None,
) -> RegionData:
    """Read the films of a recipe and what was drawn on them.

    Parameters
    ----------
    recipe
        Target, region, input.
    train, val
        As `training.train.select_films` gives them.
    folders
        Where the tables of outlines lie: those of the manifests.
    lungs
        Finds the lungs, where the recipe crops to them.

    Raises
    ------
    ValueError
        If no training film is outlined though outlines are to be shown.
    """
    region = _film_region(recipe)
    outlines = read_outlines(folders, train, region)
    if not outlines and recipe.label_ratio > 0:
        raise ValueError(f"no film of part train has an outline of {recipe.region}: masks.csv, boxes.csv are missing")
    finder = lungs if recipe.needs_lungs else None
    longer_side_px = int(CACHE_FACTOR * recipe.size_px)
    loaded = load_training_films(train, longer_side_px, recipe.specification, finder)
    column = ENSEMBLE_LABELS.index(str(recipe.target))
    examples = []
    for film, each in zip(train, loaded, strict=True):
        outline = None
        if film.path in outlines:
            outline = _like(each, outlines[film.path], film, recipe.specification, finder)
        elif recipe.clear_is_empty and is_clear(film):
            outline = np.zeros_like(each.grey)
        examples.append(
            TrainingExample(
                each, outline, int(film.targets[column]), film.group, film.source, film.squashed, film.noisy
            )
        )
    return RegionData(
        (f"not_{recipe.target}", str(recipe.target)), examples, measured_films(recipe, val, folders, finder), []
    )


def measured_films(
    recipe: RegionRecipe,
    films: Sequence[Film],
    folders: Sequence[Path],
    lungs: LungFinder | None,
    region: FilmRegion | None = None,
) -> list[MeasuredExample]:
    """Prepare films exactly as serving does, with their outlines: the recipe's, or another kind of drawings."""
    outlines = read_outlines(folders, films, region if region is not None else _film_region(recipe))
    column = ENSEMBLE_LABELS.index(str(recipe.target))
    specification = replace(recipe.specification, channels=1, mean=(0.0,), std=(1.0,))
    found = []
    for film in tqdm(list(films), desc="preparing films", unit="film", leave=False):
        radiograph = Radiograph(read_grey(film.path), Provenance("png", ""))
        canvas, placement = to_lung_input(radiograph, specification, lungs_for(film, specification, lungs))
        label = int(film.targets[column])
        found.append(
            MeasuredExample(canvas[0, 0], placement, outlines.get(film.path), None, is_clear(film), label, film.group)
        )
    return found


def _film_region(recipe: RegionRecipe) -> FilmRegion:
    if recipe.region == "object":
        raise ValueError("region object is of the drawn set; a film has lungs, infection or opacities")
    return recipe.region


def _like(
    loaded: LoadedFilm, outline: Mask, film: Film, specification: InputSpecification, lungs: LungFinder | None
) -> NDArray[np.uint8]:
    """Cut and shrink an outline as the film was when it was loaded."""
    if lungs is not None and specification.crop != "film":
        window = lung_window(lungs.of(film), specification.crop_margin + ROOM_TO_CROP)
        if window is not None:
            left, top, right, bottom = window
            outline = outline[top:bottom, left:right]
    height, width = loaded.grey.shape
    shrunk = cv2.resize(outline.astype(np.uint8) * _WHOLE, (width, height), interpolation=cv2.INTER_AREA)
    return shrunk.astype(np.uint8)


def load_birds(size_px: int, a_kind: dict[str, int] | None = None) -> RegionData:
    """Draw the synthetic set; every bird is an individual of its own."""
    counts = a_kind if a_kind is not None else BIRDS_A_KIND
    birds = {part: draw_birds(count, size_px, _BIRD_SEEDS[part]) for part, count in counts.items()}
    train = [
        TrainingExample(LoadedFilm(bird.grey, None), bird.outline.astype(np.uint8) * _WHOLE, bird.kind, f"bird {k}", "")
        for k, bird in enumerate(birds["train"])
    ]
    return RegionData(KINDS, train, _measured_birds(birds["val"]), _measured_birds(birds["test"]))


def _measured_birds(birds: Sequence[DrawnBird]) -> list[MeasuredExample]:
    return [
        MeasuredExample(
            (bird.grey / np.float32(255)).astype(np.float32),
            place(len(bird.grey), len(bird.grey), len(bird.grey)),
            bird.outline, bird.part, False, bird.kind, f"bird {k}",
        )
        for k, bird in enumerate(birds)
    ]  # fmt: skip
