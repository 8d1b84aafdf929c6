"""The labels films are trained on: targets of the experts, and the fourteen of the multi-label ensemble."""

import math
from collections.abc import Mapping
from typing import Final

from app.domain.label_hierarchy import ENSEMBLE_LABELS

POSITIVE: Final = 1.0
NEGATIVE: Final = 0.0
UNKNOWN: Final = math.nan

_COLUMN_OF: Final[Mapping[str, str]] = {
    "pneumonia": "pneumonia",
    "viral": "viral",
    "covid19": "covid19",
    "sars": "sars",
    "bacterial": "bacterial",
    "fungal": "fungal",
    "ards": "ards",
    "no_finding": "no_finding",
}
_SPECIES_TOKENS: Final[Mapping[str, frozenset[str]]] = {
    "mers": frozenset({"MERS"}),
    "streptococcus": frozenset({"Streptococcus"}),
    "klebsiella": frozenset({"Klebsiella"}),
    "chlamydophila": frozenset({"Chlamydophila"}),
    "legionella": frozenset({"Legionella"}),
    "pneumocystis": frozenset({"Pneumocystis"}),
}
_SPECIES_SOURCE: Final = "ieee8023"
LABEL_COLUMNS: Final = tuple(_COLUMN_OF.values())
"""Columns of a manifest that are labels."""


def _column_value(row: Mapping[str, str], column: str) -> float:
    """Read a 1 / 0 / -1 column; an absent or empty one is unknown."""
    text = row.get(column, "").strip()
    if text == "1":
        return POSITIVE
    if text == "0":
        return NEGATIVE
    if text in ("-1", ""):
        return UNKNOWN
    raise ValueError(f"label {column}={text!r}; 1, 0, -1 or nothing expected")


def ensemble_targets(row: Mapping[str, str]) -> list[float]:
    """Give one manifest row's fourteen targets.

    Species below viral, bacterial and fungal pneumonia are named only by the words of ieee8023, compared token by
    token; where pneumonia is absent every species is absent, elsewhere it is unknown.

    Parameters
    ----------
    row
        A manifest row (see `training.datasets`).

    Returns
    -------
    list of float
        In the order of `ENSEMBLE_LABELS`: 1, 0, or NaN where unknown.
    """
    tokens = {token.strip() for token in row.get("finding", "").replace("/", ",").split(",")}
    pneumonia = _column_value(row, "pneumonia")
    targets = []
    for label in ENSEMBLE_LABELS:
        if label in _COLUMN_OF:
            targets.append(_column_value(row, _COLUMN_OF[label]))
        elif tokens & _SPECIES_TOKENS[label]:
            targets.append(POSITIVE)
        elif pneumonia == NEGATIVE or (row.get("dataset") == _SPECIES_SOURCE and pneumonia == POSITIVE):
            targets.append(NEGATIVE)
        else:
            targets.append(UNKNOWN)
    return targets


def target(row: Mapping[str, str], label: str) -> float:
    """Give one label of one manifest row: 1, 0, or NaN where unknown."""
    return ensemble_targets(row)[ENSEMBLE_LABELS.index(label)]
