"""Random films from films: geometry and intensity, so that neither aspect ratio nor window gives the source away.

One affine map does crop, stretch, rotation, shift and resizing at once, and takes a mask of the lungs along. Films are
never flipped: a flip moves the heart.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

_HIDDEN_GRID: Final = 8


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
    blur
        Largest standard deviation of a Gaussian blur, in pixels of the input.
    jpeg
        Probability that the picture goes through JPEG of a quality between 40 and 95.
    erase
        Probability that a rectangle is greyed out.
    hide
        Probability that each cell of an 8 x 8 grid takes the picture's mean: the network must then find more than the
        most telling part (Singh and Lee, hide-and-seek, ICCV 2017).
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
    blur: float = Field(default=0.0, ge=0)
    jpeg: float = Field(default=0.0, ge=0, le=1)
    erase: float = Field(default=0.0, ge=0, le=1)
    hide: float = Field(default=0.0, ge=0, lt=1)

    @property
    def is_off(self) -> bool:
        """Whether nothing is changed: a film is then fed in training as it is served."""
        return not any(self.model_dump().values())


def _window(film: NDArray[np.uint8], crop: float, random: np.random.Generator) -> tuple[int, int, int, int]:
    """Choose the part of the film that is kept: top, bottom, left, right."""
    height, width = film.shape
    top, bottom = (int(v * height) for v in random.uniform(0, crop, 2))
    left, right = (int(v * width) for v in random.uniform(0, crop, 2))
    return top, height - bottom, left, width - right


def augmented(
    film: NDArray[np.uint8],
    size_px: int,
    settings: Augmentation,
    random: np.random.Generator,
    squashed: bool = False,
    lungs: NDArray[np.uint8] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
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
    lungs
        ``(H, W)`` uint8, a plane that is moved along with the film; or ``(H, W, P)``, several of them.

    Returns
    -------
    ndarray
        ``(size_px, size_px)`` float32 in 0..1, zero where there is no film.
    ndarray or None
        The plane moved along, ``(size_px, size_px)`` or ``(size_px, size_px, P)`` float32 in 0..255.
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
    moved = None
    if lungs is not None:
        warped = cv2.warpAffine(lungs[top:bottom, left:right], matrix, (size_px, size_px), flags=cv2.INTER_LINEAR)
        moved = warped.astype(np.float32)
    if settings.blur > 0 and random.random() < 0.5:
        canvas = _blurred(canvas, random.uniform(0.2, 0.2 + settings.blur))
    if settings.jpeg > 0 and random.random() < settings.jpeg:
        canvas = _recompressed(canvas, int(random.integers(40, 96)))
    if settings.noise > 0 and random.random() < 0.5:
        canvas += np.float32(random.uniform(0, settings.noise)) * random.standard_normal(canvas.shape, np.float32)
    if settings.erase > 0 and random.random() < settings.erase:
        high_px, wide_px = (int(size_px * v) for v in random.uniform(0.08, 0.3, 2))
        y, x = int(random.integers(0, size_px - high_px)), int(random.integers(0, size_px - wide_px))
        canvas[y : y + high_px, x : x + wide_px] = random.uniform(0, 1)
    if settings.hide > 0:
        cells = (random.random((_HIDDEN_GRID, _HIDDEN_GRID)) < settings.hide).astype(np.uint8)
        hidden = cv2.resize(cells, (size_px, size_px), interpolation=cv2.INTER_NEAREST) > 0
        canvas = np.where(hidden, np.float32(canvas.mean()), canvas)
    clipped: NDArray[np.float32] = np.clip(canvas, 0.0, 1.0)
    return clipped, moved


def _recompressed(canvas: NDArray[np.float32], quality: int) -> NDArray[np.float32]:
    """Write and read a picture as JPEG, so that a source's compression is no sign."""
    written = cv2.imencode(".jpg", np.rint(canvas * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    read: NDArray[np.uint8] = cv2.imdecode(written, cv2.IMREAD_GRAYSCALE)  # type: ignore[assignment]  # just written
    return read.astype(np.float32) / np.float32(255)


def _blurred(canvas: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    blurred: NDArray[np.float32] = cv2.GaussianBlur(canvas, (0, 0), sigma_px).astype(np.float32)
    return blurred


def without_surroundings(
    canvas: NDArray[np.float32], lungs: NDArray[np.float32], other: NDArray[np.float32] | None, grow_px: int
) -> NDArray[np.float32]:
    """Replace everything around the lungs by another picture, or by black.

    Parameters
    ----------
    canvas, lungs
        As `augmented` gives them.
    other
        ``(S, S)`` what comes in its place; None is black.
    grow_px
        The lungs are widened by so much, and the border softened.
    """
    kept = _soft(lungs, grow_px)
    mixed: NDArray[np.float32] = canvas * kept if other is None else canvas * kept + other * (1.0 - kept)
    return mixed


def without_lungs(canvas: NDArray[np.float32], lungs: NDArray[np.float32], grow_px: int) -> NDArray[np.float32]:
    """Black the lungs out; arguments as for `without_surroundings`."""
    rest: NDArray[np.float32] = canvas * (1.0 - _soft(lungs, grow_px))
    return rest


def _soft(lungs: NDArray[np.float32], grow_px: int) -> NDArray[np.float32]:
    grown = cv2.dilate(lungs, np.ones((2 * grow_px + 1, 2 * grow_px + 1), np.uint8)) if grow_px else lungs
    return _blurred(grown.astype(np.float32), 1.0)
