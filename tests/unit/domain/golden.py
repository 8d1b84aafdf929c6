"""The golden file of the directed divergence, read once and typed."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.unit.domain.strategies import Map

_FILE = Path(__file__).parents[2] / "golden" / "addk.json"


@cache
def golden() -> dict[str, Any]:  # Any: JSON
    """The whole file."""
    content: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return content


def case(identifier: str) -> dict[str, Any]:
    """One case of the kernel by its id."""
    found: dict[str, Any] = next(c for c in golden()["cases"] if c["id"] == identifier)
    return found


def as_map(rows: list[list[float | str]]) -> Map:
    """A map of the file; not-a-number and infinity are stored as words."""
    return np.array([[float(cell) for cell in row] for row in rows], np.float64)
