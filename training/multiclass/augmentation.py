"""The random changes of papers/3 (SPEC 3.6): they made its results worse, so that they are off unless asked for."""

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field


class RandomChange(BaseModel):
    """Ranges of the random changes; zeros switch a change off. Part of a recipe.

    Attributes
    ----------
    rotation_deg
        Largest rotation either way.
    shift
        Largest shift, down and across, as a share of the input's side.
    brightness
        Intensities are multiplied by 1 ± this at most.
    zoom
        The film's size is multiplied by 1 ± this at most, its aspect kept.
    horizontal_flip
        Mirror half of the films. A flip moves the heart: no recipe that comes with this package switches it on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rotation_deg: float = Field(default=0.0, ge=0)
    shift: float = Field(default=0.0, ge=0, lt=1)
    brightness: float = Field(default=0.0, ge=0, lt=1)
    zoom: float = Field(default=0.0, ge=0, lt=1)
    horizontal_flip: bool = False

    @property
    def is_on(self) -> bool:
        """Whether anything is changed."""
        return self != RandomChange()


def changed(film: NDArray[np.float32], settings: RandomChange, random: np.random.Generator) -> NDArray[np.float32]:
    """Change one prepared input at random.

    Parameters
    ----------
    film
        ``(S, S)`` in 0..1.
    settings
        How much may change.
    random
        Source of randomness.

    Returns
    -------
    ndarray
        ``(S, S)`` in 0..1; black where there is no film (their fill mode).
    """
    size = film.shape[0]
    angle = random.uniform(-settings.rotation_deg, settings.rotation_deg)
    scale = 1 + random.uniform(-settings.zoom, settings.zoom)
    centre = (size - 1) / 2
    matrix = cv2.getRotationMatrix2D((centre, centre), angle, scale)
    matrix[:, 2] += random.uniform(-settings.shift, settings.shift, 2) * size
    moved: NDArray[np.float32] = cv2.warpAffine(film, matrix, (size, size), flags=cv2.INTER_LINEAR).astype(np.float32)
    if settings.horizontal_flip and random.random() < 0.5:
        moved = moved[:, ::-1]
    brightness = np.float32(1 + random.uniform(-settings.brightness, settings.brightness))
    clipped: NDArray[np.float32] = np.clip(np.ascontiguousarray(moved) * brightness, 0, 1)
    return clipped
