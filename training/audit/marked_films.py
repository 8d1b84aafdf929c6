"""Films on which people drew what the maps should find: infection masks, and boxes of opacities."""

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.domain.preprocessing import Rectangle
from training.datasets import Film, ManifestError, read_grey

INFECTION_MASKS: Final = "infection masks"
OPACITY_BOXES: Final = "opacity boxes"
_MASK_KIND: Final = "infection (ground glass or consolidation)"
_BOX_KINDS: Final = frozenset({"lung opacity", "pneumonia", "infiltrate"})

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class MarkedFilm:
    """One film and what was drawn on it.

    Attributes
    ----------
    grey
        ``(H, W)`` uint8.
    mask
        ``(H, W)``: inside what was drawn; the union where several things were.
    kind
        What was drawn and by whom, e.g. `INFECTION_MASKS`; kinds are never pooled.
    part
        ``train``, ``val`` or ``test``.
    group
        The leak-proof unit.
    name
        The file's name without ending, for pictures.
    """

    grey: NDArray[np.uint8]
    mask: Mask
    kind: str
    part: str
    group: str
    name: str


def read_marked_films(folder: Path, films: Sequence[Film]) -> list[MarkedFilm]:
    """Read what was drawn on some films: ``masks.csv`` (image, mask, kind) and ``boxes.csv`` beside their manifest.

    Parameters
    ----------
    folder
        Where both tables lie; paths and, in the boxes, shares of width and height are relative to it and to the film.
    films
        The films that may be read; whoever calls decides on the part. Films with nothing drawn on them are left out.

    Returns
    -------
    list of MarkedFilm
        A film with both a mask and boxes is there twice, once a kind.

    Raises
    ------
    ManifestError
        If a mask is not there, or nothing is drawn on it.
    """
    return [
        MarkedFilm(grey, mask, kind, film.part, film.group, film.path.stem)
        for film, kind, grey, mask in read_drawings(folder, films)
    ]


def read_drawings(folder: Path, films: Sequence[Film]) -> Iterator[tuple[Film, str, NDArray[np.uint8], Mask]]:
    """Give film, kind, grey values and mask of everything drawn on some films; see `read_marked_films`."""
    masks = {folder / row["image"]: folder / row["mask"] for row in _rows(folder / "masks.csv", {_MASK_KIND})}
    boxes: dict[Path, list[Rectangle]] = defaultdict(list)
    for row in _rows(folder / "boxes.csv", _BOX_KINDS):
        x, y, w, h = (float(row[key]) for key in ("x", "y", "w", "h"))
        boxes[folder / row["image"]].append((x, y, x + w, y + h))
    for film in films:
        for kind, is_drawn in ((INFECTION_MASKS, film.path in masks), (OPACITY_BOXES, film.path in boxes)):
            if not is_drawn:
                continue
            grey = read_grey(film.path)
            if kind == INFECTION_MASKS:
                mask = _read_mask(masks[film.path], *grey.shape)
            else:
                mask = boxes_as_mask(boxes[film.path], *grey.shape)
            yield film, kind, grey, mask


def boxes_as_mask(boxes: Sequence[Rectangle], height: int, width: int) -> Mask:
    """Fill boxes, given in shares of width and height: a pixel is inside if its centre is, ``(height, width)``."""
    y, x = (np.arange(height)[:, None] + 0.5) / height, (np.arange(width)[None, :] + 0.5) / width
    mask = np.zeros((height, width), bool)
    for x0, y0, x1, y1 in boxes:
        mask |= (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
    return mask


def _read_mask(path: Path, height: int, width: int) -> Mask:
    if not path.is_file():
        raise ManifestError(f"masks.csv: {path.name} is not there")
    with Image.open(path) as image:
        fitted = image.convert("L").resize((width, height), Image.Resampling.NEAREST)
    mask: Mask = np.asarray(fitted) > 127
    if not mask.any():
        raise ManifestError(f"masks.csv: nothing is drawn on {path.name}")
    return mask


def _rows(table: Path, kinds: frozenset[str] | set[str]) -> list[dict[str, str]]:
    if not table.is_file():
        return []
    with table.open(newline="", encoding="utf-8") as handle:
        return [row for row in csv.DictReader(handle) if row["kind"] in kinds]
