"""The fourteen labels of the multi-label ensemble and the order among them.

Reference: papers/2 (multi-label ensemble), figure 1; ARDS under pneumonia follows the authors' released code.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

PARENT_OF: Final[Mapping[str, str | None]] = MappingProxyType(
    {
        "pneumonia": None,
        "viral": "pneumonia",
        "covid19": "viral",
        "sars": "viral",
        "mers": "viral",
        "bacterial": "pneumonia",
        "streptococcus": "bacterial",
        "klebsiella": "bacterial",
        "chlamydophila": "bacterial",
        "legionella": "bacterial",
        "fungal": "pneumonia",
        "pneumocystis": "fungal",
        "ards": "pneumonia",
        "no_finding": None,
    }
)
"""Every label and the label it implies."""

ENSEMBLE_LABELS: Final[tuple[str, ...]] = tuple(PARENT_OF)
"""The order of a multi-label member's outputs."""

DISPLAY_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "pneumonia": "Pneumonia",
        "viral": "Viral",
        "covid19": "COVID-19",
        "sars": "SARS",
        "mers": "MERS",
        "bacterial": "Bacterial",
        "streptococcus": "Streptococcus",
        "klebsiella": "Klebsiella",
        "chlamydophila": "Chlamydophila",
        "legionella": "Legionella",
        "fungal": "Fungal",
        "pneumocystis": "Pneumocystis",
        "ards": "ARDS",
        "no_finding": "No finding",
    }
)
"""What a reader sees."""


def corrected(probabilities: Mapping[str, float], parent_of: Mapping[str, str | None] = PARENT_OF) -> dict[str, float]:
    """Lower every child to its parent's probability: a species cannot be more likely than its genus.

    Parameters
    ----------
    probabilities
        Label to probability in 0..1; a parent that is missing does not bind its children.
    parent_of
        The hierarchy.

    Returns
    -------
    dict
        The same labels, with ``child <= parent`` for every pair.
    """
    fixed: dict[str, float] = {}

    def bound(label: str) -> float:
        if label not in fixed:
            parent = parent_of.get(label)
            own = probabilities[label]
            fixed[label] = min(own, bound(parent)) if parent is not None and parent in probabilities else own
        return fixed[label]

    return {label: bound(label) for label in probabilities}


def above_parent(
    probabilities: Mapping[str, float], parent_of: Mapping[str, str | None] = PARENT_OF, tolerance: float = 0.0
) -> tuple[str, ...]:
    """Name the labels that `corrected` lowers, by more than ``tolerance``: under a parent, or a parent's parent."""
    fixed = corrected(probabilities, parent_of)
    return tuple(label for label, probability in probabilities.items() if probability > fixed[label] + tolerance)
