"""What people drew on films, as one region a film: lungs, infection, or opacities of any kind."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.domain.label_hierarchy import ENSEMBLE_LABELS
from training.audit.marked_films import INFECTION_MASKS, OPACITY_BOXES, read_drawings
from training.datasets import Film
from training.lung_films import lung_masks, read_references

FilmRegion: TypeAlias = Literal["lungs", "infection", "opacities", "opacity boxes"]
Mask: TypeAlias = NDArray[np.bool_]

_KINDS: Final[dict[FilmRegion, frozenset[str]]] = {
    "infection": frozenset({INFECTION_MASKS}),
    "opacities": frozenset({INFECTION_MASKS, OPACITY_BOXES}),
    "opacity boxes": frozenset({OPACITY_BOXES}),
}
_NO_FINDING: Final = ENSEMBLE_LABELS.index("no_finding")


def read_outlines(folders: Sequence[Path], films: Sequence[Film], region: FilmRegion) -> dict[Path, Mask]:
    """Read the outlines of one region from the tables beside some manifests.

    Parameters
    ----------
    folders
        Each may hold ``masks.csv`` and ``boxes.csv`` (see `training.audit.marked_films` and `training.lung_films`).
    films
        Whose outlines are wanted; who calls decides on their part.
    region
        ``lungs``: both together. ``infection``: masks of ground glass and consolidation. ``opacities``: those, and
        boxes around opacities filled as if they were masks; what was drawn twice is united. ``opacity boxes``: these
        alone.

    Returns
    -------
    dict
        By the film's path, ``(H, W)`` on the film's own pixels; films without an outline are absent.
    """
    found: dict[Path, Mask] = {}
    for folder in folders:
        if region == "lungs":
            references = read_references(folder, films)
            for film in films:
                both = lung_masks(film, references[film.path]) if film.path in references else None
                if both is not None:
                    found[film.path] = both[0] | both[1]
            continue
        for film, kind, _, mask in read_drawings(folder, films):
            if kind in _KINDS[region]:
                found[film.path] = found[film.path] | mask if film.path in found else mask
    return found


def is_clear(film: Film) -> bool:
    """Say whether the film's label states that there is no finding: nothing on it could be outlined."""
    return film.targets[_NO_FINDING] == 1.0
