"""One expert's maps of two films of one patient, contrasted after the lungs were laid over each other.

The maps of *one* network are evidence in the same unit, calibrated logits, so both are divided by the larger of the two
maxima, not each by its own as maps of two networks are (papers/1, eq. 2): otherwise an opacity that grows in place
would leave no trace. What the one direction amplifies the other suppresses: their ln K are each other's negatives.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from app.domain.activation_map import interpolate, is_negligible
from app.domain.arrays import ActivationMap, FloatMap
from app.domain.directed_divergence import DEFAULT_ALPHA, DirectedDivergence, amplified, checked_alpha, checked_map
from app.domain.lungs import LIKELY, LungFields, lung_window
from app.domain.preprocessing import Rectangle

ALIGNMENT_POOR: Final = "alignment_poor"
"""The lungs overlap badly even laid over each other: another projection, a cut-off film, an effusion."""
NO_EVIDENCE: Final = "no_evidence_on_either"
"""Neither map moves the expert's answer: whatever differs is noise."""
_LEAST_OVERLAP: Final = 0.7
_MARGIN: Final = 0.05
_CELLS: Final = 32
_LUNG_SAMPLES: Final = 128


@dataclass(frozen=True, slots=True)
class DatedMap:
    """One film's map of an expert.

    Attributes
    ----------
    values
        ``(h, w)`` signed evidence in calibrated logits.
    extent
        The rectangle of its film that the grid covers.
    lungs
        Of its film.
    """

    values: ActivationMap
    extent: Rectangle
    lungs: LungFields


@dataclass(frozen=True, slots=True)
class TemporalDivergence:
    """What is new since the earlier film, and what has gone.

    Attributes
    ----------
    new, resolved
        Directed divergence of the current against the earlier map, and the other way round, on one grid.
    extent
        The rectangle of the *current* film that both grids cover: the lungs and a little around them.
    lungs_overlap
        Intersection over union of both films' lungs on that grid, 0..1.
    flags
        `ALIGNMENT_POOR`, `NO_EVIDENCE`.
    """

    new: DirectedDivergence
    resolved: DirectedDivergence
    extent: Rectangle
    lungs_overlap: float
    flags: tuple[str, ...]


def temporal_divergence(
    current: DatedMap, earlier: DatedMap, alpha: float = DEFAULT_ALPHA
) -> TemporalDivergence | None:
    """Contrast two films of one patient by one expert.

    Parameters
    ----------
    current, earlier
        The same expert's maps, of the same version.
    alpha
        Amplification, ``0 < alpha <= 700``.

    Returns
    -------
    TemporalDivergence or None
        None where not both lungs were found on both films: there is nothing to lay over each other.

    Raises
    ------
    DivergenceError
        If a map is empty or not finite, or alpha out of range.

    Notes
    -----
    The box around both lungs, with a margin of 5 %, is carried onto the other film's box by a shift and a scale per
    axis: it follows the position of the patient, the distance to the detector and the depth of breath, not a rotation.
    """
    checked_alpha(alpha)
    checked_map(current.values, "current")
    checked_map(earlier.values, "earlier")
    here, there = lung_window(current.lungs, _MARGIN), lung_window(earlier.lungs, _MARGIN)
    if here is None or there is None:
        return None
    box: Rectangle = (float(here[0]), float(here[1]), float(here[2]), float(here[3]))
    other: Rectangle = (float(there[0]), float(there[1]), float(there[2]), float(there[3]))
    own, past = _over(current, box), _over(earlier, other)
    scale = max(float(own.max()), float(past.max()), np.finfo(np.float64).tiny)
    difference = (own - past) / scale
    overlap = _overlap(current.lungs, box, earlier.lungs, other)
    flags: tuple[str, ...] = (ALIGNMENT_POOR,) if overlap < _LEAST_OVERLAP else ()
    if is_negligible(current.values) and is_negligible(earlier.values):
        flags += (NO_EVIDENCE,)
    return TemporalDivergence(amplified(difference, alpha), amplified(-difference, alpha), box, overlap, flags)


def _over(dated: DatedMap, box: Rectangle) -> FloatMap:
    """Sample the positive evidence of a map over a box of its film."""
    positive = np.maximum(np.asarray(dated.values, np.float64), 0.0)
    sampled: FloatMap = interpolate(positive, dated.extent, box, _CELLS, _CELLS).astype(np.float64)
    return sampled


def _overlap(current: LungFields, box: Rectangle, earlier: LungFields, other: Rectangle) -> float:
    one = current.over(box, _LUNG_SAMPLES, _LUNG_SAMPLES) >= LIKELY
    two = earlier.over(other, _LUNG_SAMPLES, _LUNG_SAMPLES) >= LIKELY
    return float((one & two).sum() / max(1, (one | two).sum()))
