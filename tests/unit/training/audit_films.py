"""Films, lungs and networks for the tests of the audit."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.domain.lungs import LungFields
from app.domain.preprocessing import InputSpecification
from training.audit.subject import Subject
from training.datasets import Film
from training.onnx_session import ExportedNetwork, Outputs

HALVES = np.stack([np.pad(np.ones((64, 16), np.float32), ((0, 0), (left, 48 - left))) for left in (8, 40)])
"""Lungs ``(2, 64, 64)`` that are two bars."""


def bars(height: int, width: int) -> LungFields:
    """Two lungs, each a quarter of a film wide, from its top to its bottom."""
    return LungFields(HALVES, (0.0, 0.0, float(width), float(height)), height, width)


def film(  # one film with only what matters to a test
    name: str = "film",
    source: str = "alpha",
    group: str | None = None,
    covid19: float = 0.0,
    paediatric: bool | None = False,
    path: Path | None = None,
) -> Film:
    """Give a film that need not exist."""
    return Film(
        path if path is not None else Path(f"{name}.png"),
        "val",
        source,
        group if group is not None else name,
        paediatric,
        "PA",
        "F",
        (0.0, 0.0, covid19, *([0.0] * 11)),
        False,
        False,
    )


class DrawnNetwork(ExportedNetwork):
    """A network whose only feature is the mean grey value of each cell of a 7 x 7 grid, as its evidence."""

    def __init__(self, specification: InputSpecification) -> None:
        self.specification = specification

    def outputs(self, films: NDArray[np.float32]) -> Outputs:
        """Give the mean of each cell as feature and as evidence for the second class."""
        cell = self.specification.size_px // 7
        grey = films[:, 0] * self.specification.std[0] + self.specification.mean[0]
        features = grey.reshape(len(films), 7, cell, 7, cell).mean(axis=(2, 4))[:, None].astype(np.float32)
        cam = np.concatenate([-features, features], axis=1)
        return Outputs(cam.mean(axis=(2, 3)), features, cam)

    def logits(self, films: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give the logits alone."""
        return self.outputs(films).logits


def drawn_subject(specification: InputSpecification | None = None) -> Subject:
    """Give an expert for COVID-19 that answers by brightness."""
    chosen = specification if specification is not None else InputSpecification(size_px=56)
    return Subject("drawn", "expert", ("covid19",), chosen, DrawnNetwork(chosen), Path("drawn.onnx"), "0" * 64)
