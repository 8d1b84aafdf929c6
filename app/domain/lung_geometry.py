"""How two lungs lie on a picture, in numbers: on a frontal chest film within narrow bounds, elsewhere hardly ever."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from app.domain.lungs import LIKELY, LungFields, Mask, box_of, lung_masks

_EDGE: Final = 1 / 64
"""What counts as the edge, as a share of a side: one cell of a network that sees 64 x 64 cells."""


@dataclass(frozen=True, slots=True)
class LungGeometry:
    """Measures of the lungs that were found; every one is a share or a ratio, so the film's size does not matter.

    Attributes
    ----------
    share
        Both lungs' area over the picture's.
    balance
        The smaller lung's area over the larger one's; 0 where one was not found.
    overlap
        The columns that hold both lungs, over the columns of the narrower one; 1 where one lies above the other.
    aspect
        Width over height of the box around both.
    offset
        How far that box's centre lies from the picture's, over half of the picture's side, on the worse axis.
    certainty
        Mean probability of the cells that are lung.
    edge_contact
        The largest part of any of the picture's four sides that lung touches.
    """

    share: float
    balance: float
    overlap: float
    aspect: float
    offset: float
    certainty: float
    edge_contact: float


def lung_geometry(lungs: LungFields) -> LungGeometry | None:
    """Measure the lungs of a picture.

    Parameters
    ----------
    lungs
        As a network found them.

    Returns
    -------
    LungGeometry or None
        None where no lung was found.
    """
    masks = lung_masks(lungs)
    both = masks[0] | masks[1]
    box = box_of(both)
    if box is None:
        return None
    x0, y0, x1, y1 = box
    height, width = both.shape
    areas = sorted(float(area) for area in masks.sum(axis=(1, 2)))
    return LungGeometry(
        share=float(both.mean()),
        balance=areas[0] / areas[1],
        overlap=_overlap(masks),
        aspect=((x1 - x0) * lungs.film_width / width) / ((y1 - y0) * lungs.film_height / height),
        offset=max(abs((x0 + x1) / width - 1.0), abs((y0 + y1) / height - 1.0)),
        certainty=float(lungs.probability[lungs.probability >= LIKELY].mean()),
        edge_contact=_edge_contact(both),
    )


def _overlap(masks: Mask) -> float:
    columns = masks.any(axis=1)
    narrower = int(columns.sum(axis=1).min())
    return float(columns.all(axis=0).sum()) / narrower if narrower else 0.0


def _edge_contact(both: Mask) -> float:
    down, across = (max(1, round(side * _EDGE)) for side in both.shape)
    sides = (
        both[:down].any(axis=0),
        both[-down:].any(axis=0),
        both[:, :across].any(axis=1),
        both[:, -across:].any(axis=1),
    )
    return max(float(np.mean(side)) for side in sides)
