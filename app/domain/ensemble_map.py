"""What an ensemble's logits are made of: the members' class activation maps, averaged on one grid.

Every member has its own grid, and its grid covers its own rectangle of the film. Each map is taken as a density of
evidence, constant within a cell, and spread over the cells of a common grid by the area they share. Nothing is
interpolated, so no evidence appears or disappears: the mean map's spatial mean plus the mean bias is the mean logit,
as it is for each member alone (papers/1, eq. 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from app.domain.arrays import ActivationMaps, FloatMap
from app.domain.calibration import Calibration
from app.domain.preprocessing import Rectangle

MOST_CELLS: Final = 64
"""A side of the common grid has no more cells, however small a member's rectangle is within the common one."""


@dataclass(frozen=True, slots=True)
class MemberMaps:
    """One member's maps of every label, and what its logits have beside them.

    Attributes
    ----------
    values
        ``(K, h, w)`` class activation maps in logits, without bias.
    biases
        ``(K,)``: a map's spatial mean plus its bias is the member's logit.
    extent
        The rectangle of the film, in its pixels, that the grid covers.
    """

    values: ActivationMaps
    biases: FloatMap
    extent: Rectangle

    def __post_init__(self) -> None:
        """Refuse parts that do not belong together."""
        if self.values.ndim != 3 or 0 in self.values.shape or self.biases.shape != self.values.shape[:1]:
            raise ValueError(f"maps of shape {self.values.shape} with biases of shape {self.biases.shape}")
        x0, y0, x1, y1 = self.extent
        if not (x0 < x1 and y0 < y1):
            raise ValueError(f"the rectangle {self.extent} is empty")


@dataclass(frozen=True, slots=True)
class EnsembleMaps:
    """The mean maps of an ensemble ``(K, H, W)``, the mean biases ``(K,)``, and the rectangle the grid covers."""

    values: FloatMap
    biases: FloatMap
    extent: Rectangle


def calibrated_maps(
    maps: ActivationMaps, biases: FloatMap, extent: Rectangle, calibrations: Sequence[Calibration]
) -> MemberMaps:
    """Give the maps of a member whose logits are calibrated.

    A calibration scales a logit and moves it. Scaling the rows of the last linear layer and moving its biases does the
    same, so the calibrated member is a network of its own, and these are its maps.

    Parameters
    ----------
    maps
        ``(K, h, w)`` of the member as it is.
    biases
        ``(K,)`` of the member as it is.
    extent
        The rectangle of the film that the grid covers.
    calibrations
        One a label.

    Returns
    -------
    MemberMaps
        Whose spatial means plus biases are the calibrated logits.
    """
    slopes = np.array([calibration.slope for calibration in calibrations], np.float64)
    intercepts = np.array([calibration.intercept for calibration in calibrations], np.float64)
    return MemberMaps(maps.astype(np.float64) * slopes[:, None, None], biases * slopes + intercepts, extent)


def mean_maps(members: Sequence[MemberMaps]) -> EnsembleMaps:
    """Average the members' maps on one grid.

    Parameters
    ----------
    members
        At least one; all with the same labels.

    Returns
    -------
    EnsembleMaps
        Over the smallest rectangle around all members', with cells about as large as the smallest of any member.

    Raises
    ------
    ValueError
        If there is no member or their numbers of labels differ.

    Notes
    -----
    Outside its own rectangle a member has no evidence; within, its density is scaled by the ratio of the areas, so that
    its mean over the common rectangle is what its mean over its own was. Mean map and mean bias then add up to the mean
    logit, whatever the grids and the rectangles are.

    Examples
    --------
    >>> half = MemberMaps(np.full((1, 1, 1), 2.0), np.zeros(1), (0.0, 0.0, 1.0, 2.0))
    >>> whole = MemberMaps(np.array([[[0.0, 4.0]]]), np.ones(1), (0.0, 0.0, 2.0, 2.0))
    >>> found = mean_maps([half, whole])
    >>> found.values.tolist(), float(found.values.mean() + found.biases[0])
    ([[[2.0, 2.0]]], 2.5)
    """
    if not members:
        raise ValueError("an ensemble needs a member")
    if len({len(member.biases) for member in members}) > 1:
        raise ValueError("members do not have as many labels as each other")
    over = _common_rectangle([member.extent for member in members])
    height, width = _common_grid(members, over)
    each = [regridded(member.values, member.extent, over, height, width) for member in members]
    return EnsembleMaps(np.mean(each, axis=0), np.mean([member.biases for member in members], axis=0), over)


def _common_rectangle(extents: Sequence[Rectangle]) -> Rectangle:
    """Give the smallest rectangle around all."""
    x0, y0, x1, y1 = zip(*extents, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def _common_grid(members: Sequence[MemberMaps], over: Rectangle) -> tuple[int, int]:
    """Cells of the common grid, rows and columns: about as large as the smallest of any member."""
    sides = []
    for axis in (1, 0):  # rows lie along y
        length = over[axis + 2] - over[axis]
        finest = max(
            round(member.values.shape[2 - axis] * length / (member.extent[axis + 2] - member.extent[axis]))
            for member in members
        )
        sides.append(min(finest, MOST_CELLS))
    return sides[0], sides[1]


def regridded(maps: ActivationMaps, extent: Rectangle, over: Rectangle, height: int, width: int) -> FloatMap:
    """Spread maps over another grid of a larger rectangle by shared areas; their spatial means stay what they are.

    First-order conservative regridding (Jones 1999), of a density that is scaled by the ratio of the rectangles' areas.

    Parameters
    ----------
    maps
        ``(K, h, w)``.
    extent
        The rectangle that they cover.
    over
        The rectangle that the result covers; it contains ``extent``.
    height, width
        Cells of the result.

    Returns
    -------
    FloatMap
        ``(K, height, width)``; 0 outside ``extent``.

    Raises
    ------
    ValueError
        If ``extent`` reaches beyond ``over``.

    References
    ----------
    Jones, First- and second-order conservative remapping schemes for grids in spherical coordinates, Monthly Weather
    Review 127 (1999).
    """
    if not (over[0] <= extent[0] and over[1] <= extent[1] and extent[2] <= over[2] and extent[3] <= over[3]):
        raise ValueError(f"the rectangle {extent} reaches beyond {over}")
    down = _shares(maps.shape[1], extent[1], extent[3], height, over[1], over[3])
    across = _shares(maps.shape[2], extent[0], extent[2], width, over[0], over[2])
    spread: FloatMap = down @ maps.astype(np.float64) @ across.T
    return spread


def _shares(cells: int, low: float, high: float, targets: int, start: float, end: float) -> FloatMap:
    """Weights ``(targets, cells)`` of one axis: shared lengths, so scaled that each column adds to targets / cells."""
    sources, bounds = np.linspace(low, high, cells + 1), np.linspace(start, end, targets + 1)
    below = np.minimum(bounds[1:, None], sources[None, 1:])
    above = np.maximum(bounds[:-1, None], sources[None, :-1])
    shared = np.maximum(below - above, 0.0)
    weights: FloatMap = shared * (targets / cells / shared.sum(axis=0))
    return weights
