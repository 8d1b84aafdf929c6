"""Random films from films: geometry and intensity, so that neither aspect ratio nor window gives the source away.

One affine map does crop, stretch, rotation, shift and resizing at once. Films are never flipped: a flip moves the
heart.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field


class Augmentation(BaseModel):
    """Ranges of the random changes; zeros switch a change off. Part of a recipe.

    Attributes
    ----------
    crop
        Largest share of a side cut away at each edge.
    aspect
        Largest relative change of width against height.
    rotation_deg
        Largest rotation either way.
    scale
        Largest relative change of size.
    shift
        Largest shift as a share of the input's side.
    gamma
        Intensities are raised to a power between ``1/(1+gamma)`` and ``1+gamma``.
    brightness
        Largest additive change in 0..1.
    noise
        Largest standard deviation of added noise in 0..1.
    erase
        Probability that a rectangle is greyed out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    crop: float = Field(default=0.0, ge=0, lt=0.5)
    aspect: float = Field(default=0.0, ge=0)
    rotation_deg: float = Field(default=0.0, ge=0)
    scale: float = Field(default=0.0, ge=0)
    shift: float = Field(default=0.0, ge=0)
    gamma: float = Field(default=0.0, ge=0)
    brightness: float = Field(default=0.0, ge=0, le=1)
    noise: float = Field(default=0.0, ge=0, le=1)
    erase: float = Field(default=0.0, ge=0, le=1)


def _window(film: NDArray[np.uint8], crop: float, random: np.random.Generator) -> tuple[int, int, int, int]:
    """Choose the part of the film that is kept: top, bottom, left, right."""
    height, width = film.shape
    top, bottom = (int(v * height) for v in random.uniform(0, crop, 2))
    left, right = (int(v * width) for v in random.uniform(0, crop, 2))
    return top, height - bottom, left, width - right


def augmented(
    film: NDArray[np.uint8], size_px: int, settings: Augmentation, random: np.random.Generator, squashed: bool = False
) -> NDArray[np.float32]:
    """Make one random training input.

    Parameters
    ----------
    film
        ``(H, W)`` uint8.
    size_px
        Side of the square input.
    settings
        How much may change.
    random
        Source of randomness.
    squashed
        The file lost its aspect ratio: draw one between 1 and 1.5 (width over height).

    Returns
    -------
    ndarray
        ``(size_px, size_px)`` float32 in 0..1, zero where there is no film.
    """
    top, bottom, left, right = _window(film, settings.crop, random)
    part = film[top:bottom, left:right]
    low, high = np.percentile(part[::3, ::3], (1 + random.uniform(-1, 1), 99 + random.uniform(-1, 1)))
    height, width = part.shape
    stretch = np.exp(random.uniform(-1, 1) * np.log1p(settings.aspect))
    stretch *= random.uniform(1.0, 1.5) if squashed else 1.0
    seen_width, seen_height = width * np.sqrt(stretch), height / np.sqrt(stretch)
    scale = size_px / max(seen_width, seen_height) * np.exp(random.uniform(-1, 1) * np.log1p(settings.scale))
    angle = np.deg2rad(random.uniform(-settings.rotation_deg, settings.rotation_deg))
    per_x, per_y = scale * np.sqrt(stretch), scale / np.sqrt(stretch)
    matrix = np.array(
        [[np.cos(angle) * per_x, -np.sin(angle) * per_y, 0.0], [np.sin(angle) * per_x, np.cos(angle) * per_y, 0.0]]
    )
    shift = random.uniform(-settings.shift, settings.shift, 2) * size_px
    matrix[:, 2] = size_px / 2 + shift - matrix[:, :2] @ np.array([width / 2, height / 2])
    table = (np.arange(256, dtype=np.float32) - low) / max(high - low, 1.0)
    table = np.clip(table, 0.0, 1.0) ** np.exp(random.uniform(-1, 1) * np.log1p(settings.gamma))
    table = np.clip(table + random.uniform(-settings.brightness, settings.brightness), 0.0, 1.0)
    windowed = cv2.LUT(part, np.rint(table * 255).astype(np.uint8))
    canvas = cv2.warpAffine(windowed, matrix, (size_px, size_px), flags=cv2.INTER_LINEAR, borderValue=0.0)
    canvas = canvas.astype(np.float32) / np.float32(255)
    if settings.noise > 0 and random.random() < 0.5:
        canvas += np.float32(random.uniform(0, settings.noise)) * random.standard_normal(canvas.shape, np.float32)
    if settings.erase > 0 and random.random() < settings.erase:
        high_px, wide_px = (int(size_px * v) for v in random.uniform(0.08, 0.3, 2))
        y, x = int(random.integers(0, size_px - high_px)), int(random.integers(0, size_px - wide_px))
        canvas[y : y + high_px, x : x + wide_px] = random.uniform(0, 1)
    clipped: NDArray[np.float32] = np.clip(canvas, 0.0, 1.0)
    return clipped
