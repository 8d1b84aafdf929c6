"""Random views of films, and of pictures that are none: what the lung network must bear, and what it must tell."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from training.lung_network import LUNGS

Grey = NDArray[np.uint8]
Planes = NDArray[np.uint8]

_PART_OF_A_FILM: Final = 0.07
_TWO_FILMS: Final = 0.03
_INVERTED: Final = 0.18
_ROTATED: Final = 0.14


@dataclass(frozen=True, slots=True)
class LungExample:
    """A picture and what is known of it.

    Attributes
    ----------
    grey
        ``(H, W)`` uint8.
    lungs
        ``(2, H, W)`` uint8, 255 inside, in the order of `training.lung_network.LUNGS`; None where not known.
    is_film
        A frontal film, upright and not inverted.
    paediatric
        NaN where not known.
    """

    grey: Grey
    lungs: Planes | None
    is_film: bool
    paediatric: float = float("nan")


@dataclass(frozen=True, slots=True)
class LungView:
    """One random input with its targets.

    Attributes
    ----------
    canvas
        ``(S, S)`` float32 in 0..1.
    lungs
        ``(2, S/2, S/2)`` float32 in 0..1; None where not known.
    frontal, inverted, rotated, paediatric
        1 or 0; the last is NaN where not known, or where the view is no film.
    """

    canvas: NDArray[np.float32]
    lungs: NDArray[np.float32] | None
    frontal: float
    inverted: float
    rotated: float
    paediatric: float


def lung_view(example: LungExample, other: Grey, size_px: int, random: np.random.Generator) -> LungView:
    """Draw one random view.

    Parts of films (a quarter to a half of each side) and two films side by side are no films; inverted and turned ones
    are, and are named. Geometry, window, blur, noise, letters, lines and hidden rectangles change at random.

    Parameters
    ----------
    example
        A film or another picture.
    other
        Another film, for two side by side.
    size_px
        Side of the input.
    random
        Source of randomness.
    """
    grey, lungs = example.grey, example.lungs
    frontal, inverted, rotated = float(example.is_film), 0.0, 0.0
    if example.is_film:
        chance = random.random()
        if chance < _PART_OF_A_FILM:
            grey, lungs, frontal = _part(grey, random), None, 0.0
        elif chance < _PART_OF_A_FILM + _TWO_FILMS:
            grey, lungs, frontal = _side_by_side(grey, other, random), None, 0.0
        elif chance < _PART_OF_A_FILM + _TWO_FILMS + _INVERTED:
            grey, inverted = np.bitwise_not(grey), 1.0
        if frontal and random.random() < _ROTATED:
            quarters = int(random.integers(1, 4))
            grey, rotated = np.rot90(grey, quarters), 1.0
            lungs = None if lungs is None else np.rot90(lungs, quarters, (1, 2))
    else:
        grey = np.rot90(grey, int(random.integers(4)))
        grey = grey[:, ::-1] if random.random() < 0.5 else grey
        grey = np.bitwise_not(grey) if random.random() < 0.3 else grey
    if not frontal:
        lungs = np.zeros((len(LUNGS), *grey.shape), np.uint8)
    canvas, moved = _moved(np.ascontiguousarray(grey), lungs, size_px, random)
    child = example.paediatric if frontal else float("nan")
    return LungView(canvas, moved, frontal, inverted, rotated, child)


def _part(grey: Grey, random: np.random.Generator) -> Grey:
    height, width = (int(side * share) for side, share in zip(grey.shape, random.uniform(0.25, 0.5, 2), strict=True))
    top, left = int(random.uniform(0, grey.shape[0] - height)), int(random.uniform(0, grey.shape[1] - width))
    return grey[top : top + height, left : left + width]


def _side_by_side(grey: Grey, other: Grey, random: np.random.Generator) -> Grey:
    pair = [cv2.resize(each, (104, 104)).astype(np.uint8) for each in (grey, other)]
    axis = int(random.integers(2))
    joined = np.concatenate(pair, axis)
    return np.concatenate([joined, joined], 1 - axis) if random.random() < 0.5 else joined


def _moved(
    grey: Grey, lungs: Planes | None, size_px: int, random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Crop, stretch, turn and shift a picture and its lungs by one affine map; then change the grey values."""
    most = 0.15 if random.random() < 0.5 else 0.048
    top, bottom = (random.uniform(0, most, 2) * grey.shape[0]).astype(int)
    left, right = (random.uniform(0, most, 2) * grey.shape[1]).astype(int)
    kept = np.s_[top : grey.shape[0] - bottom, left : grey.shape[1] - right]
    part = grey[kept]
    height, width = part.shape
    stretch = np.sqrt(np.exp(random.uniform(-1, 1) * np.log(1.3)))
    scale = size_px / max(width * stretch, height / stretch) * np.exp(random.uniform(-0.25, 0.12))
    angle = np.deg2rad(random.normal(0, 6))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.zeros((2, 3))
    matrix[:, :2] = turn * np.array([stretch * scale, scale / stretch])
    centre = size_px / 2 + random.uniform(-0.06, 0.06, 2) * size_px
    matrix[:, 2] = centre - matrix[:, :2] @ np.array([width / 2, height / 2])
    whole = (size_px, size_px)
    canvas = cv2.warpAffine(part, matrix, whole, flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    on_film = cv2.warpAffine(np.full(part.shape, 255, np.uint8), matrix, whole, flags=cv2.INTER_NEAREST) > 0
    window = np.percentile(part[::2, ::2], (1 + random.uniform(-1, 2), 99 + random.uniform(-4, 1)))
    changed = _changed(canvas.astype(np.float32), on_film, (float(window[0]), float(window[1])), random)
    if lungs is None:
        return changed, None
    half = (size_px // 2, size_px // 2)
    planes = [
        cv2.warpAffine(np.ascontiguousarray(plane[kept]), matrix * 0.5, half, flags=cv2.INTER_AREA) for plane in lungs
    ]
    return changed, (np.stack(planes) / 255.0).astype(np.float32)


def _changed(
    canvas: NDArray[np.float32], on_film: NDArray[np.bool_], window: tuple[float, float], random: np.random.Generator
) -> NDArray[np.float32]:
    """Blur, window, gamma, contrast, noise; then letters, lines and hidden rectangles."""
    size_px = canvas.shape[0]
    if random.random() < 0.5:
        canvas = cv2.GaussianBlur(canvas, (0, 0), random.uniform(0.3, 1.0)).astype(np.float32)
    low, high = window
    grey = np.clip((canvas - low) / max(high - low, 1.0), 0, 1) ** np.exp(random.uniform(-1, 1) * np.log(1.8))
    if random.random() < 0.4:
        grey = np.clip((grey - 0.5) * random.uniform(0.6, 1.5) + 0.5 + random.uniform(-0.15, 0.15), 0, 1)
    if random.random() < 0.3:
        grey = grey + random.uniform(0, 0.06) * random.standard_normal(grey.shape)
    grey = np.where(on_film, grey, 0.0)
    if random.random() < 0.25:
        drawn = np.zeros(grey.shape, np.uint8)
        start, end = (tuple(int(v) for v in random.integers(0, size_px, 2)) for _ in range(2))
        if random.random() < 0.5:
            cv2.line(drawn, start, end, 255, int(random.integers(1, 3)))
        else:
            letter = "LR3P4"[int(random.integers(5))]
            cv2.putText(drawn, letter, start, cv2.FONT_HERSHEY_SIMPLEX, float(random.uniform(0.3, 0.9)), 255, 1)
        grey = np.where(drawn > 127, random.uniform(0, 1), grey)
    if random.random() < 0.15:
        height, width = (int(v) for v in random.uniform(0.1, 0.35, 2) * size_px)
        top, left = int(random.integers(0, size_px - height)), int(random.integers(0, size_px - width))
        grey[top : top + height, left : left + width] = random.uniform(0, 1)
    clipped: NDArray[np.float32] = np.clip(grey, 0, 1).astype(np.float32)
    return clipped
