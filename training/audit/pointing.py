"""Where one heat map points, against what was drawn on the film."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from app.domain.arrays import HeatMap

_TOP: Final = 1.0 - 1e-4

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Pointing:
    """One heat map against one mask; means where a method has several maps.

    Attributes
    ----------
    hit
        1 where the map's maximum lies inside the mask, else 0; a share where several places share the maximum.
    energy
        Share of the heat that lies inside.
    iou
        Intersection over union of the mask and the map cut by Otsu's threshold.
    flat
        The map is the same everywhere: it points nowhere and misses.
    """

    hit: float
    energy: float
    iou: float
    flat: bool


def top_points(heat: HeatMap) -> list[tuple[int, int]]:
    """Find the maxima of a map: row and column, one for each connected area at the top.

    A map clamped at its edges, or a mask, is at its top over a whole area (within 1e-4 of the maximum); the pixel that
    lies deepest in the area stands for it. Areas of equal height all count.
    """
    top = (heat >= heat.max() * _TOP).astype(np.uint8)
    if int(top.sum()) == 1:
        row, column = divmod(int(top.argmax()), heat.shape[1])
        return [(row, column)]
    depth = cv2.distanceTransform(np.pad(top, 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    count, labels = cv2.connectedComponents(top, connectivity=8)
    points = []
    for number in range(1, count):
        inside = np.where(labels == number, depth, -1.0)
        rows, columns = np.nonzero(inside >= inside.max() - 1e-3)
        middle = int(((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2).argmin())
        points.append((int(rows[middle]), int(columns[middle])))
    return points


def otsu_mask(heat: HeatMap) -> Mask:
    """Cut a map that is not flat at Otsu's threshold over its 256 levels, from 0 to its maximum.

    References
    ----------
    Otsu, A threshold selection method from gray-level histograms, IEEE Trans. SMC 1979.
    """
    levels = np.rint(heat / heat.max() * 255.0).astype(np.uint8)
    _, cut = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    mask: Mask = cut > 0
    return mask


def point(heat: HeatMap, mask: Mask) -> Pointing:
    """Measure one map.

    Parameters
    ----------
    heat
        ``(H, W)`` over the whole film; negative values count as 0.
    mask
        ``(H, W)``, not empty.

    Returns
    -------
    Pointing
        All 0 for a flat map.
    """
    if heat.shape != mask.shape:
        raise ValueError(f"a heat map of {heat.shape} against a mask of {mask.shape}")
    if not heat.max() > 0.0 or float(np.ptp(heat)) <= 1e-9 * float(heat.max()):
        return Pointing(0.0, 0.0, 0.0, flat=True)
    positive = np.maximum(heat, 0.0)
    hit = float(np.mean([mask[where] for where in top_points(positive)]))
    energy = float(positive[mask].sum(dtype=np.float64) / positive.sum(dtype=np.float64))
    hot = otsu_mask(positive)
    return Pointing(hit, energy, float((hot & mask).sum() / (hot | mask).sum()), flat=False)


def mean_pointing(pointings: list[Pointing]) -> Pointing:
    """Average over several maps of one method on one film."""
    hit, energy, iou = (float(np.mean([getattr(p, name) for p in pointings])) for name in ("hit", "energy", "iou"))
    return Pointing(hit, energy, iou, all(p.flat for p in pointings))
