"""The maps that are compared: both experts' own, every way to contrast them, and priors that never saw a network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from app.domain.activation_map import positive_share
from app.domain.arrays import FloatMap, HeatMap
from app.domain.directed_divergence import directed_divergence, normalised_by_maximum
from training.audit.expert_pair import FilmMaps

ALPHAS: Final = (5.0, 15.0, 50.0)
RANDOM_DRAWS: Final = 20
LUNG_MASK: Final = "lung mask"
Direction = Literal["interest", "overlap"]
Contrast = Callable[[FloatMap, FloatMap], FloatMap]
"""Own map and the other expert's, signed, to what is displayed, at least 0; all ``(h, w)``."""

_LUNG_CENTRES: Final = ((0.27, 0.46), (0.72, 0.46))
_LUNG_SPREAD: Final = (0.10, 0.19)
"""Centres of the right and the left lung and half of half their size, as shares ``(x, y)`` of the film: means of the
lung boxes of 202 training films."""


@dataclass(frozen=True, slots=True)
class MapMethod:
    """One way to say where to look.

    Attributes
    ----------
    name
        As in the tables.
    direction
        The expert it speaks for; None for a prior.
    heats
        One film's maps to heat maps over the film, ``(H, W)``, at least 0; several where the method is random, none
        where it cannot serve the film.
    against
        The name of the method it is compared with, film by film.
    """

    name: str
    direction: Direction | None
    heats: Callable[[FilmMaps], list[HeatMap]]
    against: str | None = None


def cam_name(expert: str) -> str:
    """Name an expert's own map."""
    return f"CAM {expert}"


def divergence_name(interest: str, overlap: str, alpha: float) -> str:
    """Name the amplified directed divergence."""
    return f"ADDK {interest} over {overlap}, alpha {alpha:g}"


def map_methods(interest: str, overlap: str, alphas: tuple[float, ...] = ALPHAS) -> tuple[MapMethod, ...]:
    """List every method for a pair of experts.

    Parameters
    ----------
    interest, overlap
        Names of the experts.
    alphas
        Amplifications of the directed divergence.
    """
    names: dict[Direction, tuple[str, str]] = {"interest": (interest, overlap), "overlap": (overlap, interest)}
    methods = [MapMethod(cam_name(own), way, _native(own_map, way)) for way, (own, _) in names.items()]
    methods += [
        MapMethod(divergence_name(own, other, alpha), way, _native(divergence_map(alpha), way), cam_name(own))
        for way, (own, other) in names.items()
        for alpha in alphas
    ]
    for way, (own, other) in names.items():
        methods += [
            MapMethod(
                f"normalised difference {own} - {other}", way, _native(normalised_difference, way), cam_name(own)
            ),
            MapMethod(f"raw difference {own} - {other}", way, _native(raw_difference, way), cam_name(own)),
        ]
    methods += [
        MapMethod(LUNG_MASK, None, _lung_mask),
        MapMethod("two-lungs prior", None, lambda maps: [two_lungs_prior(*maps.shape)]),
        MapMethod("centre prior", None, lambda maps: [centre_prior(*maps.shape)]),
        MapMethod("random map", None, _random_maps),
    ]
    return tuple(methods)


def _native(contrast: Contrast, way: Direction) -> Callable[[FilmMaps], list[HeatMap]]:
    """Compute on the native grid, own map first, then lay over the film (SPEC 1.13)."""

    def heats(maps: FilmMaps) -> list[HeatMap]:
        own, other = (maps.interest, maps.overlap) if way == "interest" else (maps.overlap, maps.interest)
        return [maps.over_film(contrast(own, other))]

    return heats


def own_map(own: FloatMap, _: FloatMap) -> FloatMap:
    """Rectify the expert's own map and divide it by its maximum, ``(h, w)``."""
    return positive_share(own)


def divergence_map(alpha: float) -> Contrast:
    """Give the display map of the directed divergence at one amplification."""

    def display(own: FloatMap, other: FloatMap) -> FloatMap:
        return directed_divergence(own, other, alpha).display

    return display


def normalised_difference(own: FloatMap, other: FloatMap) -> FloatMap:
    """Rectify ``x / max x - x' / max x'``: the kernel's exponent without its amplification, ``(h, w)``."""
    return np.maximum(normalised_by_maximum(own)[0] - normalised_by_maximum(other)[0], 0.0)


def raw_difference(own: FloatMap, other: FloatMap) -> FloatMap:
    """Rectify ``x - x'``, in logits, ``(h, w)``."""
    return np.maximum(own - other, 0.0)


def _lung_mask(maps: FilmMaps) -> list[HeatMap]:
    """Both lungs as found on this film; nothing without a lungs model."""
    if maps.lungs is None:
        return []
    return [np.asarray(maps.lungs.masks(*maps.shape).any(axis=0), np.float32)]


def _shares(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixel centres as shares of the film, ``(H, 1)`` down and ``(1, W)`` across."""
    return (np.arange(height)[:, None] + 0.5) / height, (np.arange(width)[None, :] + 0.5) / width


def two_lungs_prior(height: int, width: int) -> HeatMap:
    """Two bells where lungs usually are, the same for every film."""
    y, x = _shares(height, width)
    (spread_x, spread_y) = _LUNG_SPREAD
    prior = np.zeros((height, width), np.float32)
    for at_x, at_y in _LUNG_CENTRES:
        bell = np.exp(-0.5 * (((x - at_x) / spread_x) ** 2 + ((y - at_y) / spread_y) ** 2))
        prior = np.maximum(prior, bell.astype(np.float32))
    return prior


def centre_prior(height: int, width: int) -> HeatMap:
    """One bell in the middle, a quarter of each side wide."""
    y, x = _shares(height, width)
    bell: NDArray[np.float64] = np.exp(-8.0 * ((x - 0.5) ** 2 + (y - 0.5) ** 2))
    return bell.astype(np.float32)


def _random_maps(maps: FilmMaps) -> list[HeatMap]:
    """Uniform noise on the native grid, several draws: their mean is the chance level of any such grid."""
    random = np.random.default_rng(maps.seed)
    return [maps.over_film(random.random(maps.interest.shape)) for _ in range(RANDOM_DRAWS)]
