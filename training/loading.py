"""Films of a run in memory: as training draws from them, and as validation is fed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from app.domain.lung_input import to_lung_input, visible_lungs
from app.domain.lungs import LIKELY, lung_window
from app.domain.preprocessing import InputSpecification, to_network_input
from app.domain.radiograph import Provenance, Radiograph
from training.datasets import Film, read_grey, shrunk
from training.lung_finder import LungFinder, lungs_for

ROOM_TO_CROP: Final = 0.08
"""Films that are cropped to the lungs are kept with so much more margin, for augmentation to cut away."""
IN_LUNGS: Final = 255
VISIBLE: Final = 127


@dataclass(frozen=True, slots=True)
class LoadedFilm:
    """What augmentation starts from.

    Attributes
    ----------
    grey
        ``(H, W)`` uint8, already cut to the window where the recipe crops.
    lungs
        ``(H, W)`` uint8; None where masks are not needed. `IN_LUNGS` where the lungs are, below `VISIBLE` in proportion
        to what is left of a pixel when all but the lungs is blacked out (`app.domain.lung_input.visible_lungs`).
        `IN_LUNGS` everywhere if none were found: nothing is then known to be outside.
    """

    grey: NDArray[np.uint8]
    lungs: NDArray[np.uint8] | None


def load_training_films(
    films: Sequence[Film], longer_side_px: int, specification: InputSpecification, lungs: LungFinder | None = None
) -> list[LoadedFilm]:
    """Decode films for augmentation: 8-bit grey, longer side at most ``longer_side_px``, aspect kept.

    Parameters
    ----------
    films
        Films to decode.
    longer_side_px
        Of the part that is kept.
    specification
        Whether to crop, and with which margin.
    lungs
        Finds the lungs; None where the recipe needs none.
    """
    return [
        _loaded(film, longer_side_px, specification, lungs) for film in tqdm(films, desc="reading films", unit="film")
    ]


def _loaded(film: Film, longer_side_px: int, specification: InputSpecification, lungs: LungFinder | None) -> LoadedFilm:
    grey = read_grey(film.path)
    if lungs is None:
        return LoadedFilm(shrunk(grey, longer_side_px), None)
    fields = lungs.of(film)
    found = lung_window(fields, specification.crop_margin + ROOM_TO_CROP)
    left, top, right, bottom = (0, 0, grey.shape[1], grey.shape[0])
    if found is not None and specification.crop != "film":
        left, top, right, bottom = found
    part = shrunk(np.ascontiguousarray(grey[top:bottom, left:right]), longer_side_px)
    if found is None:
        return LoadedFilm(part, np.full_like(part, IN_LUNGS))
    window = (float(left), float(top), float(right), float(bottom))
    height, width = part.shape
    left_over = visible_lungs(fields, window, height, width)
    inside = fields.over(window, height, width) >= LIKELY
    return LoadedFilm(part, np.where(inside, np.uint8(IN_LUNGS), np.rint(VISIBLE * left_over).astype(np.uint8)))


def load_plain_films(films: Sequence[Film], specification: InputSpecification) -> list[LoadedFilm]:
    """Prepare whole films for training without augmentation: as serving does, rounded to 8 bit, padding included."""
    grey = replace(specification, channels=1, mean=(0.0,), std=(1.0,))
    loaded = []
    for film in tqdm(films, desc="preparing films", unit="film"):
        canvas = to_network_input(Radiograph(read_grey(film.path), Provenance("png", "")), grey)[0][0, 0]
        loaded.append(LoadedFilm(np.rint(canvas * 255).astype(np.uint8), None))
    return loaded


def load_inputs(
    films: Sequence[Film], specification: InputSpecification, lungs: LungFinder | None = None
) -> NDArray[np.float32]:
    """Prepare films exactly as serving does, up to the channel statistics.

    Parameters
    ----------
    films
        Films to decode.
    specification
        The network's input.
    lungs
        Finds the window of a specification that crops to the lungs.

    Returns
    -------
    ndarray
        ``(N, size_px, size_px)`` float32 in 0..1, padded with zeros.
    """
    grey = replace(specification, channels=1, mean=(0.0,), std=(1.0,))
    inputs = []
    for film in tqdm(list(films), desc="preparing films", unit="film"):
        radiograph = Radiograph(read_grey(film.path), Provenance("png", ""))
        inputs.append(to_lung_input(radiograph, grey, lungs_for(film, specification, lungs))[0][0, 0])
    return np.stack(inputs)
