"""Lungs whose place is known: rectangles and ellipses on a network's grid."""

import numpy as np
from numpy.typing import NDArray

from app.domain.lungs import LungFields
from app.domain.preprocessing import Rectangle, place

CELLS = 64
Box = tuple[float, float, float, float]
RIGHT_BOX: Box = (0.125, 0.25, 0.375, 0.75)
LEFT_BOX: Box = (0.625, 0.25, 0.875, 0.75)
"""In fractions of the film; the patient's right lung is on the left of it."""


def plane(box: Box | None, cells: int = CELLS) -> NDArray[np.float32]:
    """A grid over the film: certain inside the box, certainly not outside; empty without box."""
    found = np.zeros((cells, cells), np.float32)
    if box is not None:
        x0, y0, x1, y1 = (round(side * cells) for side in box)
        found[y0:y1, x0:x1] = 1.0
    return found


def boxed_lungs(
    right: Box | None = RIGHT_BOX, left: Box | None = LEFT_BOX, height: int = 256, width: int = 256, cells: int = CELLS
) -> LungFields:
    """Lungs that are boxes, on a grid that covers exactly the film."""
    extent: Rectangle = (0.0, 0.0, float(width), float(height))
    return LungFields(np.stack([plane(right, cells), plane(left, cells)]), extent, height, width)


def padded_lungs(height: int, width: int) -> LungFields:
    """Two soft ellipses where a film has its lungs, on the grid of a padded square input."""
    placement = place(height, width, 2 * CELLS)
    x0, y0, x1, y1 = placement.extent
    y, x = (np.indices((CELLS, CELLS)) + 0.5) / CELLS
    u, v = (x0 + x * (x1 - x0)) / width, (y0 + y * (y1 - y0)) / height
    planes = [np.clip(6.5 - 6.0 * np.hypot((u - side) / 0.15, (v - 0.5) / 0.3), 0.0, 1.0) for side in (0.3, 0.7)]
    return LungFields(np.stack(planes).astype(np.float32), placement.extent, height, width)
