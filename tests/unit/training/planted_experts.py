"""Experts whose maps are known because they were written down: each looks at the brightness of one part of the film."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from app.domain.preprocessing import InputSpecification
from training.audit.expert_pair import Expert

CELLS, CELL_PX = 8, 8
SIZE_PX = CELLS * CELL_PX
SPECIFICATION = InputSpecification(SIZE_PX, 1, intensity="full-range", mean=(0.0,), std=(1.0,))

Grid = NDArray[np.float64]


def brightness_of_cells(inputs: NDArray[np.float32]) -> Grid:
    """Mean brightness of every cell, ``(N, CELLS, CELLS)``."""
    blocks = inputs[:, 0].reshape(-1, CELLS, CELL_PX, CELLS, CELL_PX)
    means: Grid = blocks.mean(axis=(2, 4), dtype=np.float64)
    return means


def planted(
    name: str,
    weigh: Callable[[Grid], Grid] = lambda cells: cells,
    *,
    bias: float = 0.0,
    positive_from: float = 0.0,
    specification: InputSpecification = SPECIFICATION,
) -> Expert:
    """Make an expert whose evidence for its class is a function of the brightness of the cells; rows antisymmetric."""

    def explain(inputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        evidence = weigh(brightness_of_cells(inputs)) / 2
        cam = np.stack([-evidence, evidence], axis=1).astype(np.float32)
        logits = cam.mean(axis=(2, 3)) + np.array([-bias, bias], np.float32) / 2
        return logits, cam

    return Expert(name, specification, explain, positive_from)


def left_half(cells: Grid) -> Grid:
    """Look at the left half only."""
    seen = cells.copy()
    seen[..., CELLS // 2 :] = 0.0
    return seen


def spot(row: int, column: int, ground: int = 20) -> NDArray[np.uint8]:
    """Draw a film with one bright cell."""
    film = np.full((SIZE_PX, SIZE_PX), ground, np.uint8)
    film[row * CELL_PX : (row + 1) * CELL_PX, column * CELL_PX : (column + 1) * CELL_PX] = 220
    return film


def cell_mask(row: int, column: int) -> NDArray[np.bool_]:
    """Mark one cell."""
    return spot(row, column, 0) > 100
