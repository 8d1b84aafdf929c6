"""Classes that exclude each other: probabilities that sum to one, and what a network of them says of a film.

A probability here is a class's share among the network's classes. It is no expert's probability of one class against
everything else, and no label's of the ensemble: numbers of different heads are never compared (SPEC 5).
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.domain.arrays import ActivationMap
from app.domain.preprocessing import Rectangle

ExplanationKind: TypeAlias = Literal["cam", "none"]
NoExplanation: TypeAlias = Literal["no_global_average_pooling"]
"""Why a network has no class activation map: its answer is not one linear layer over the mean of its last features."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a network explains itself.

    Attributes
    ----------
    kind
        ``cam``: by class activation maps; ``none``: not at all.
    reason, detail
        Of ``none``, as a code and in words.
    """

    kind: ExplanationKind = "cam"
    reason: NoExplanation | None = None
    detail: str | None = None

    def __post_init__(self) -> None:
        """A network without an explanation says why; one with an explanation has nothing to excuse."""
        if (self.kind == "none") != (self.reason is not None):
            raise ValueError(f"explanation {self.kind} with the reason {self.reason}")


@dataclass(frozen=True, slots=True)
class ClassesFinding:
    """What one network of exclusive classes says of a film.

    Attributes
    ----------
    probabilities
        Of every class, in the network's order; they sum to one.
    predicted
        The most probable class.
    explanation
        Whether there can be a map at all.
    activation_map
        ``(h, w)`` signed evidence for the predicted class in logits; None where there can be none or none was asked
        for.
    extent
        Rectangle of the film that the map's grid covers.
    outside_lungs
        Share of the map's positive evidence outside the lungs; None where no lungs are known.
    map_flags, flags
        About the map; and what puts the film outside what the network was measured on.
    """

    name: str
    title: str
    probabilities: dict[str, float]
    predicted: str
    explanation: Explanation
    activation_map: ActivationMap | None
    extent: Rectangle
    outside_lungs: float | None = None
    map_flags: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


def class_probabilities(logits: NDArray[np.floating], slope: float = 1.0) -> NDArray[np.float64]:
    """Softmax over the last axis, without overflow.

    Parameters
    ----------
    logits
        ``(..., K)``.
    slope
        Multiplies the logits first; ``1 / T`` of temperature scaling.

    Returns
    -------
    ndarray
        ``(..., K)``; each row sums to one.

    Raises
    ------
    ValueError
        If the slope is not positive: it would turn the order of the classes around.

    References
    ----------
    Guo et al., On calibration of modern neural networks, ICML 2017.
    """
    if not slope > 0:
        raise ValueError(f"a slope of {slope}; above 0 expected")
    scaled = logits.astype(np.float64) * slope
    shares = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    probabilities: NDArray[np.float64] = shares / shares.sum(axis=-1, keepdims=True)
    return probabilities
