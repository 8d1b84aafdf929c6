"""Synthetic chest films, drawn from formulas: what golden answers and tests are made of. No patient is in them."""

import numpy as np
from numpy.typing import NDArray


def _ellipse(
    y: NDArray[np.float64], x: NDArray[np.float64], centre: tuple[float, float], radii: tuple[float, float]
) -> NDArray[np.float64]:
    """Soft-edged ellipse, 1 inside and 0 outside; centre and radii as ``(y, x)`` shares of the film."""
    distance = np.hypot((y - centre[0]) / radii[0], (x - centre[1]) / radii[1])
    return 1.0 / (1.0 + np.exp(np.clip((distance - 1.0) * 24.0, -60.0, 60.0)))


def _shares(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixel centres as shares of the film, down and across, ``(height, width)`` each."""
    y, x = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    return y, x


def _proportions(random: np.random.Generator) -> tuple[float, float, float]:
    """Draw shift down, shift across and size: the first draws of every film."""
    shift_y, shift_x = random.uniform(-0.03, 0.03, 2)
    return float(shift_y), float(shift_x), float(random.uniform(0.92, 1.06))


def _lungs(shift_y: float, shift_x: float, size: float) -> tuple[list[tuple[float, float]], tuple[float, float]]:
    """Centres of both lungs, the one on the left of the film first, and their half axes, ``(y, x)`` shares."""
    centres = [(0.47 + shift_y, 0.5 + shift_x + side * 0.2) for side in (-1.0, 1.0)]
    return centres, (0.31 * size, 0.145 * size)


def phantom_lungs(height: int, width: int, seed: int) -> NDArray[np.float64]:
    """Give where the lungs of `radiograph_phantom` lie, ``(2, height, width)`` in 0..1, right lung first."""
    y, x = _shares(height, width)
    centres, radii = _lungs(*_proportions(np.random.default_rng(seed)))
    return np.stack([_ellipse(y, x, centre, radii) for centre in centres])


def radiograph_phantom(
    height: int, width: int, seed: int, opacities: int = 0, black: int = 12, white: int = 245
) -> NDArray[np.uint8]:
    """Draw a frontal chest: soft tissue, two lungs, ribs, spine, heart, and round opacities in the lungs.

    Parameters
    ----------
    height, width
        Size in pixels.
    seed
        Decides the proportions, the noise and where the opacities lie.
    opacities
        How many bright round shadows lie in the lungs.
    black, white
        Grey values of air and of the brightest bone.

    Returns
    -------
    ndarray
        ``(height, width)`` uint8, MONOCHROME2.
    """
    random = np.random.default_rng(seed)
    y, x = _shares(height, width)
    shift_y, shift_x, size = _proportions(random)
    body = _ellipse(y, x, (0.62 + shift_y, 0.5 + shift_x), (0.66 * size, 0.46 * size))
    centres, radii = _lungs(shift_y, shift_x, size)
    lungs = np.maximum.reduce([_ellipse(y, x, centre, radii) for centre in centres])
    heart = _ellipse(y, x, (0.6 + shift_y, 0.56 + shift_x), (0.16 * size, 0.14 * size))
    spine = np.exp(-(((x - 0.5 - shift_x) / 0.035) ** 2))
    ribs = np.maximum(0.0, np.cos(2 * np.pi * 9.0 * (y + 0.5 * (x - 0.5 - shift_x) ** 2))) ** 4
    film = 0.62 * body - 0.42 * lungs + 0.1 * ribs * body + 0.16 * spine * body
    film = np.maximum(film, 0.55 * heart)
    for _ in range(opacities):
        centre = centres[int(random.integers(2))]
        at = centre[0] + random.uniform(-0.16, 0.2), centre[1] + random.uniform(-0.07, 0.07)
        film += random.uniform(0.3, 0.45) * _ellipse(y, x, at, (random.uniform(0.04, 0.08), random.uniform(0.03, 0.06)))
    film += random.normal(0.0, 0.008, film.shape)
    scaled = black + (white - black) * np.clip(film / 0.9, 0.0, 1.0)
    grey: NDArray[np.uint8] = np.rint(scaled).astype(np.uint8)
    return grey
