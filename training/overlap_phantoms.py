"""Drawn films of two overlapping classes, with the parts that belong to the first alone, the second alone, and both.

Two scenes. *Whole and part*: the first class is a wagon, the second a wheel; a wagon has wheels, so whatever shows the
first class shows the second. *Diffuse and focal*: two diseases of the lungs; the first makes diffuse haze, the second
round shadows, and both may fill the base of a lung. No patient is in them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from training.phantoms import phantom_lungs, radiograph_phantom

SIDE_PX: Final = 64
_VISIBLE: Final = 0.25
"""A pixel belongs to a soft-edged sign where it has more than this share of its full strength."""

Plane = NDArray[np.float64]
Mask = NDArray[np.bool_]
Content = Literal["neither", "first", "second", "both"]
SceneName = Literal["whole and part", "diffuse and focal"]


@dataclass(frozen=True, slots=True)
class OverlapPhantom:
    """One drawn film and the truth about it.

    Attributes
    ----------
    grey
        ``(H, W)`` uint8.
    first_only, second_only, shared
        ``(H, W)`` where the signs lie that belong to the first class alone, to the second alone, and to both; disjoint.
    is_first, is_second
        Whether the film shows each class.
    lungs
        ``(2, H, W)`` in 0..1 where there are lungs, right one first.
    """

    grey: NDArray[np.uint8]
    first_only: Mask
    second_only: Mask
    shared: Mask
    is_first: bool
    is_second: bool
    lungs: Plane | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """How films of two overlapping classes are drawn.

    Attributes
    ----------
    name
        Of the scene.
    first, second
        Names of the classes.
    draw
        Draws one film of some content. Where the second class is a part of the first, ``first`` and ``both`` are the
        same films.
    has_lungs
        Whether the films are of chests.
    """

    name: SceneName
    first: str
    second: str
    draw: Callable[[Content, int], OverlapPhantom]
    has_lungs: bool = False


def whole_and_part(content: Content, seed: int) -> OverlapPhantom:
    """Draw a wagon on its wheels (``first``, ``both``), loose wheels (``second``) or other things (``neither``).

    Every film has a mottled ground and other things: a cross and a triangle.
    """
    random = np.random.default_rng(seed)
    film = _mottled(random, 90.0, 14.0)
    body, wheels, discs, others = (np.zeros((SIDE_PX, SIDE_PX), np.uint8) for _ in range(4))
    radius = int(random.integers(5, 8))
    tone = int(random.integers(150, 230))
    if content in {"first", "both"}:
        length, height = int(random.integers(28, 42)), int(random.integers(9, 14))
        left, top = int(random.integers(3, SIDE_PX - 3 - length)), int(random.integers(5, 30))
        cv2.rectangle(body, (left, top), (left + length, top + height), 255, cv2.FILLED)
        cabin = int(random.integers(2, length - 12))
        cv2.rectangle(body, (left + cabin, max(0, top - 6)), (left + cabin + 10, top), 255, cv2.FILLED)
        for x in (left + radius, left + length - radius):
            _wheel(wheels, discs, x, top + height + radius + 1, radius)
    elif content == "second":
        for _ in range(int(random.integers(1, 3))):
            x, y = (int(v) for v in random.integers(radius + 1, SIDE_PX - radius - 1, 2))
            _wheel(wheels, discs, x, y, radius)
    for draw_other in (_cross, _triangle):
        draw_other(others, random)
    others[cv2.dilate(body | wheels, np.ones((5, 5), np.uint8)) > 0] = 0
    for drawn, brightness in ((others, random.uniform(130, 220)), (body, tone), (wheels, random.uniform(170, 240))):
        film = np.where(drawn > 0, brightness, film)
    wheel, whole = discs > 0, body > 0
    return OverlapPhantom(
        _finished(film, random), whole & ~wheel, np.zeros_like(whole), wheel, bool(whole.any()), bool(wheel.any())
    )


def diffuse_and_focal(content: Content, seed: int) -> OverlapPhantom:
    """Draw a chest with diffuse haze (first disease), round shadows (second), both or neither.

    Whatever shows a disease shows, in seven films of ten, a filled lung base as well: the sign that both share.
    """
    random = np.random.default_rng(seed)
    film = radiograph_phantom(SIDE_PX, SIDE_PX, seed).astype(np.float64)
    lungs = phantom_lungs(SIDE_PX, SIDE_PX, seed)
    inside = lungs.max(axis=0)
    is_first, is_second = content in {"first", "both"}, content in {"second", "both"}
    haze = _haze(lungs, random) if is_first else np.zeros_like(inside)
    shadows = _round_shadows(lungs, random) if is_second else np.zeros_like(inside)
    is_filled = content != "neither" and random.random() < 0.7
    base = _filled_base(lungs, random) if is_filled else np.zeros_like(inside)
    film = film + 80.0 * haze + 95.0 * shadows
    film = film + base * (190.0 - film)
    first, second, shared = (
        plane * inside > _VISIBLE for plane in (cv2.GaussianBlur(haze, (0, 0), 1.5), shadows, base)
    )
    return OverlapPhantom(
        _finished(film * random.uniform(0.9, 1.1), random),
        first & ~second & ~shared,
        second & ~shared,
        shared,
        is_first,
        is_second,
        lungs,
    )


SCENES: Final = (
    Scene("whole and part", "wagon", "wheel", whole_and_part),
    Scene("diffuse and focal", "diffuse", "focal", diffuse_and_focal, has_lungs=True),
)


def _mottled(random: np.random.Generator, level: float, spread: float) -> Plane:
    """A ground that is brighter here and darker there."""
    coarse = random.normal(level, spread, (6, 6))
    return np.asarray(cv2.resize(coarse, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC), np.float64)


def _finished(film: Plane, random: np.random.Generator) -> NDArray[np.uint8]:
    """Add grain and store."""
    grey: NDArray[np.uint8] = np.clip(np.rint(film + random.normal(0.0, 5.0, film.shape)), 0, 255).astype(np.uint8)
    return grey


def _wheel(canvas: NDArray[np.uint8], disc: NDArray[np.uint8], x: int, y: int, radius: int) -> None:
    """A rim and a hub, and the whole disc that they take."""
    cv2.circle(disc, (x, y), radius + 1, 255, cv2.FILLED)
    cv2.circle(canvas, (x, y), radius, 255, 2)
    cv2.circle(canvas, (x, y), 1, 255, cv2.FILLED)


def _cross(canvas: NDArray[np.uint8], random: np.random.Generator) -> None:
    x, y = (int(v) for v in random.integers(8, SIDE_PX - 8, 2))
    arm = int(random.integers(4, 8))
    cv2.line(canvas, (x - arm, y - arm), (x + arm, y + arm), 255, 2)
    cv2.line(canvas, (x - arm, y + arm), (x + arm, y - arm), 255, 2)


def _triangle(canvas: NDArray[np.uint8], random: np.random.Generator) -> None:
    x, y = (int(v) for v in random.integers(8, SIDE_PX - 8, 2))
    half = int(random.integers(5, 9))
    corners = np.array([[x - half, y + half], [x + half, y + half], [x, y - half]], np.int32)
    cv2.polylines(canvas, [corners], isClosed=True, color=255, thickness=2)


def _bell(row: float, column: float, spread: float) -> Plane:
    """A bell of height 1, in pixels."""
    y, x = np.mgrid[0:SIDE_PX, 0:SIDE_PX]
    bell: Plane = np.exp(-0.5 * ((y - row) ** 2 + (x - column) ** 2) / spread**2)
    return bell


def _haze(lungs: Plane, random: np.random.Generator) -> Plane:
    """Wide mottled haze at the outer side of both lungs, in the upper two thirds."""
    haze = np.zeros(lungs.shape[1:])
    for lung, outer in zip(lungs, (-1.0, 1.0), strict=True):
        for _ in range(int(random.integers(1, 3))):
            row, column = _point(lung, random, 0.15, 0.6)
            haze = np.maximum(haze, _bell(row, column + 2.5 * outer, random.uniform(4.5, 6.5)))
    mottle = cv2.GaussianBlur(random.normal(0.0, 1.0, haze.shape), (0, 0), 0.8)
    mottled: Plane = np.clip(haze * (0.75 + 0.8 * mottle), 0.0, 1.0) * lungs.max(axis=0)
    return mottled


def _round_shadows(lungs: Plane, random: np.random.Generator) -> Plane:
    """One or two round shadows with sharp edges, about as large as a cell of the grid, anywhere but at the base."""
    y, x = np.mgrid[0:SIDE_PX, 0:SIDE_PX]
    shadows = np.zeros(lungs.shape[1:])
    for _ in range(int(random.integers(1, 3))):
        row, column = _point(lungs[int(random.integers(2))], random, 0.1, 0.65)
        distance = np.hypot(y - row, x - column)
        shadows = np.maximum(
            shadows, 1.0 / (1.0 + np.exp(np.clip(2.0 * (distance - random.uniform(3.8, 5.2)), -30, 30)))
        )
    return shadows


def _filled_base(lungs: Plane, random: np.random.Generator) -> Plane:
    """The base of one lung, filled up to a level that rises outwards."""
    side = int(random.integers(2))
    lung = lungs[side]
    rows = np.nonzero((lung > 0.5).any(axis=1))[0]
    y, x = np.mgrid[0:SIDE_PX, 0:SIDE_PX]
    outward = (x - SIDE_PX / 2) * (1.0 if side else -1.0)
    level = rows[-1] - random.uniform(0.16, 0.26) * rows.size - 0.12 * outward
    filled: Plane = lung / (1.0 + np.exp(np.clip(level - y, -30, 30)))
    return filled


def _point(lung: Plane, random: np.random.Generator, top: float, bottom: float) -> tuple[float, float]:
    """Draw a place inside a lung, between two shares of its height."""
    rows, columns = np.nonzero(lung > 0.8)
    low, high = rows.min() + top * np.ptp(rows), rows.min() + bottom * np.ptp(rows)
    among = np.nonzero((rows >= low) & (rows <= high))[0]
    chosen = int(among[int(random.integers(among.size))])
    return float(rows[chosen]), float(columns[chosen])
