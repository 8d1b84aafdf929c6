"""A drawn set in the shape of the paper's birds: four kinds that differ in the head alone, on clutter, outlines known.

The kinds are told apart by two marks of the head: a crest or none, a dark or a bright cap. Body, tail, beak, legs,
size, side, place and grey values say nothing of the kind; loose crests and caps lie in the clutter. What decides is
known (`DrawnBird.part`), and so is what an annotator would outline (`DrawnBird.outline`).
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

KINDS: Final = tuple(f"{crest}, {cap} cap" for cap in ("bright", "dark") for crest in ("no crest", "crest"))
"""Names of the kinds, in their order."""
_CREST, _DARK = 1, 2
_FINE: Final = 4
_CLUTTER: Final = 12
_LOOSE_PARTS: Final = 3

Points = NDArray[np.float64]
Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class DrawnBird:
    """One picture.

    Attributes
    ----------
    grey
        ``(S, S)`` uint8.
    outline
        ``(S, S)``: the whole bird.
    part
        ``(S, S)``: the head with beak and crest, where all that tells the kinds apart lies.
    kind
        Index into `KINDS`.
    """

    grey: Picture
    outline: NDArray[np.bool_]
    part: NDArray[np.bool_]
    kind: int


@dataclass(frozen=True, slots=True)
class _Marks:
    """Shapes of a bird of unit size around the middle of its body, looking right; ``(n, 2)`` points, x then y."""

    body: Points
    tail: Points
    head: Points
    beak: Points
    crest: Points
    cap: Points


def _ellipse(centre: tuple[float, float], radii: tuple[float, float], start: float = 0.0, stop: float = 1.0) -> Points:
    turn = 2 * np.pi * np.linspace(start, stop, 40)
    return np.stack([centre[0] + radii[0] * np.cos(turn), centre[1] + radii[1] * np.sin(turn)], axis=1)


def _marks(kind: int, random: np.random.Generator) -> _Marks:
    head_at = (0.62 + random.uniform(-0.05, 0.05), -0.42 + random.uniform(-0.06, 0.06))
    head_radius = random.uniform(0.3, 0.36)
    front, reach = head_at[0] + 0.9 * head_radius, random.uniform(0.15, 0.5)
    height = random.uniform(0.5, 0.65) if kind & _CREST else 0.0
    left, top = head_at[0] - 0.15 * head_radius, head_at[1] - 0.85 * head_radius
    return _Marks(
        body=_ellipse((0.0, 0.0), (random.uniform(0.62, 0.72), random.uniform(0.36, 0.46))),
        tail=np.array([[-0.5, -0.12], [-0.5, 0.16], [random.uniform(-1.25, -1.0), random.uniform(-0.35, 0.3)]]),
        head=_ellipse(head_at, (head_radius, head_radius)),
        beak=np.array([[front, head_at[1] - 0.09], [front, head_at[1] + 0.09], [front + reach, head_at[1] + 0.02]]),
        crest=np.array([[left - 0.2, top + 0.08], [left + 0.22, top + 0.04], [left - 0.2, top - height]]),
        cap=_ellipse(head_at, (head_radius, head_radius), 0.5, 1.0),
    )


def draw_bird(kind: int, size_px: int, seed: int) -> DrawnBird:
    """Draw one bird.

    Parameters
    ----------
    kind
        Index into `KINDS`.
    size_px
        Side of the picture.
    seed
        Decides everything but the kind.

    Returns
    -------
    DrawnBird
        The same for the same arguments.
    """
    random = np.random.default_rng((seed, kind))
    side = size_px * _FINE
    canvas = _clutter(side, random)
    outline, part = np.zeros((2, side, side), np.uint8)
    marks = _marks(kind, random)
    scale = side * random.uniform(0.28, 0.34)
    faces = 1.0 if random.random() < 0.5 else -1.0
    angle = random.uniform(-0.3, 0.3)
    middle = side * random.uniform(0.44, 0.56, 2)

    def placed(points: Points) -> NDArray[np.int32]:
        turned = points @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        placed_at: NDArray[np.int32] = np.rint(turned * [faces * scale, scale] + middle).astype(np.int32)
        return placed_at

    plumage = random.uniform(90, 170)
    greys = {
        "tail": plumage + random.uniform(-30, 30),
        "body": plumage,
        "head": plumage + random.uniform(-15, 15),
        "cap": random.uniform(15, 45) if kind & _DARK else random.uniform(215, 245),
        "beak": random.uniform(190, 250) if random.random() < 0.5 else random.uniform(10, 50),
        "crest": random.uniform(190, 250) if random.random() < 0.5 else random.uniform(10, 50),
    }
    for leg in (-0.15, 0.15):
        ends = placed(np.array([[leg, 0.3], [leg + 0.05, 0.85]]))
        for plane, grey in ((canvas, 40.0), (outline, 255.0)):
            cv2.line(plane, ends[0].tolist(), ends[1].tolist(), grey, max(1, side // 90))
    for name, grey in greys.items():
        if name == "crest" and not kind & _CREST:
            continue
        points = placed(getattr(marks, name))
        cv2.fillPoly(canvas, [points], grey)
        cv2.fillPoly(outline, [points], 255)
        if name not in ("body", "tail"):
            cv2.fillPoly(part, [points], 255)
    canvas = np.clip(cv2.GaussianBlur(canvas, (0, 0), _FINE / 2) + random.normal(0, 8, canvas.shape), 0, 255)
    small = (size_px, size_px)
    picture, whole, head = (cv2.resize(each, small, interpolation=cv2.INTER_AREA) for each in (canvas, outline, part))
    return DrawnBird(np.rint(picture).astype(np.uint8), whole > 127, head > 127, kind)


def _clutter(side: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Twigs and leaves, and parts of birds that belong to none; ``(side, side)`` grey values."""
    canvas = np.full((side, side), random.uniform(60, 190), np.float32)
    for _ in range(_CLUTTER):
        at, grey = random.uniform(0, side, 2), random.uniform(20, 235)
        if random.random() < 0.5:
            away = at + random.normal(0, 0.3 * side, 2)
            start, end = (np.rint(each).astype(int).tolist() for each in (at, away))
            cv2.line(canvas, start, end, grey, int(random.integers(1, max(2, side // 30))))
        else:
            radii = np.rint(random.uniform(0.02, 0.12, 2) * side).astype(int).tolist()
            cv2.ellipse(canvas, np.rint(at).astype(int).tolist(), radii, random.uniform(0, 180), 0, 360, grey, -1)
    for _ in range(_LOOSE_PARTS):
        marks = _marks(_CREST, random)
        points = (marks.crest, marks.cap)[int(random.integers(2))]
        points = (points - points.mean(axis=0)) * random.choice([-1.0, 1.0], 2) * side * random.uniform(0.24, 0.3)
        cv2.fillPoly(canvas, [np.rint(points + random.uniform(0, side, 2)).astype(np.int32)], random.uniform(10, 250))
    return canvas


def draw_birds(a_kind: int, size_px: int, seed: int) -> list[DrawnBird]:
    """Draw so many birds of each kind, kind by kind; pictures of different seeds have nothing in common."""
    return [draw_bird(kind, size_px, seed * 1_000_003 + k) for kind in range(len(KINDS)) for k in range(a_kind)]
