"""What the lung network learns from: masks of both lungs, boxes of each, and pictures that are no frontal films."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.domain.preprocessing import Rectangle
from training.datasets import Film, ManifestError, read_grey
from training.lung_network import LUNGS

BOTH_LUNGS: Final = "lungs (both)"
_BOX_KINDS: Final = {"right lung": LUNGS[0], "left lung": LUNGS[1]}
_PICTURES: Final = (".png", ".jpg", ".jpeg")

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LungReference:
    """What people drew on one film.

    Attributes
    ----------
    mask
        File of the mask of both lungs; None where there is none.
    boxes
        By the names of `LUNGS`, in shares of width and height ``(x0, y0, x1, y1)``; empty where none was drawn.
    """

    mask: Path | None
    boxes: dict[str, Rectangle]


def read_references(folder: Path, films: Sequence[Film]) -> dict[Path, LungReference]:
    """Read ``masks.csv`` (image, mask, kind) and ``boxes.csv`` (image, kind, x, y, w, h) beside a manifest.

    Parameters
    ----------
    folder
        Where both tables lie; either may be absent.
    films
        Films of that manifest.

    Returns
    -------
    dict
        By the film's path; films without mask or box are absent.

    Raises
    ------
    ManifestError
        If a mask that is listed is not there.
    """
    masks: dict[Path, Path] = {}
    boxes: dict[Path, dict[str, Rectangle]] = defaultdict(dict)
    for row in _rows(folder / "masks.csv"):
        if row["kind"] == BOTH_LUNGS:
            masks[folder / row["image"]] = folder / row["mask"]
            if not masks[folder / row["image"]].is_file():
                raise ManifestError(f"masks.csv: {row['mask']} is not there")
    for row in _rows(folder / "boxes.csv"):
        if row["kind"] in _BOX_KINDS:
            x, y, w, h = (float(row[key]) for key in ("x", "y", "w", "h"))
            boxes[folder / row["image"]][_BOX_KINDS[row["kind"]]] = (x, y, x + w, y + h)
    known = {film.path for film in films} & (masks.keys() | boxes.keys())
    return {path: LungReference(masks.get(path), boxes.get(path, {})) for path in known}


def _rows(table: Path) -> list[dict[str, str]]:
    if not table.is_file():
        return []
    with table.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def separate_lungs(both: Mask, boxes: dict[str, Rectangle]) -> NDArray[np.bool_]:
    """Cut a mask of both lungs into the patient's right and left one.

    A pixel belongs to the lung whose box's centre is nearer; without boxes, to the side of the middle between the two
    largest areas on which it lies (the patient's right is on the left of a film). Areas are kept whole where they lie
    on one side by more than nine tenths.

    Parameters
    ----------
    both
        ``(H, W)``.
    boxes
        As in `LungReference`.

    Returns
    -------
    ndarray
        ``(2, H, W)`` in the order of `LUNGS`.
    """
    width = both.shape[1]
    count, labels, stats, centres = cv2.connectedComponentsWithStats(both.astype(np.uint8))
    if len(boxes) == len(LUNGS):
        middle = width * sum((boxes[lung][0] + boxes[lung][2]) / 2 for lung in LUNGS) / 2
    else:
        largest = np.argsort(-stats[1:, cv2.CC_STAT_AREA])[:2] + 1
        middle = float(np.mean([centres[k][0] for k in largest])) if count > 2 else float(np.nonzero(both)[1].mean())
    on_the_left = np.broadcast_to(np.arange(width) + 0.5 < middle, both.shape)
    side = on_the_left.copy()
    for number in range(1, count):
        area = labels == number
        share = float(on_the_left[area].mean())
        if share > 0.9 or share < 0.1:
            side[area] = share > 0.5
    return np.stack([both & side, both & ~side])


def lung_masks(film: Film, reference: LungReference) -> NDArray[np.bool_] | None:
    """Read a film's masks, ``(2, H, W)`` on the film's own pixels; None where only boxes were drawn."""
    if reference.mask is None:
        return None
    height, width = read_grey(film.path).shape
    with Image.open(reference.mask) as image:
        drawn = np.asarray(image.convert("L")) > 127
    if drawn.shape != (height, width):
        drawn = cv2.resize(drawn.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
    return separate_lungs(drawn, reference.boxes) if drawn.any() else None


def read_pictures(folder: Path) -> list[NDArray[np.uint8]]:
    """Read every PNG and JPEG of a folder as grey: pictures that are no frontal chest films."""
    return [read_grey(path) for path in sorted(folder.iterdir()) if path.suffix.lower() in _PICTURES]
