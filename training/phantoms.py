"""Synthetic chest films, drawn from formulas: what golden answers and tests are made of. No patient is in them."""

import numpy as np
from numpy.typing import NDArray


def _ellipse(
    y: NDArray[np.float64], x: NDArray[np.float64], centre: tuple[float, float], radii: tuple[float, float]
) -> NDArray[np.float64]:
    """Soft-edged ellipse, 1 inside and 0 outside; centre and radii as ``(y, x)`` shares of the film."""
    distance = np.hypot((y - centre[0]) / radii[0], (x - centre[1]) / radii[1])
    return 1.0 / (1.0 + np.exp(np.clip((distance - 1.0) * 24.0, -60.0, 60.0)))


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
    y, x = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    shift_y, shift_x = random.uniform(-0.03, 0.03, 2)
    size = random.uniform(0.92, 1.06)
    body = _ellipse(y, x, (0.62 + shift_y, 0.5 + shift_x), (0.66 * size, 0.46 * size))
    centres = [(0.47 + shift_y, 0.5 + shift_x + side * 0.2) for side in (-1.0, 1.0)]
    lungs = np.maximum.reduce([_ellipse(y, x, centre, (0.31 * size, 0.145 * size)) for centre in centres])
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
