"""What a map must not be mistaken for: the film's edges, its middle, the lungs, and noise, on a network's grid."""

import cv2
import numpy as np
from numpy.typing import NDArray

from app.domain.arrays import FloatMap, HeatMap
from training.audit.expert_pair import PreparedFilm
from training.audit.map_methods import LUNG_MASK, centre_prior


def edges(grey: NDArray[np.uint8]) -> HeatMap:
    """Strength of the edges of a film (Sobel after a slight blur), 0..1, ``(H, W)``."""
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 2.0)
    strength = np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
    scaled: HeatMap = (strength / max(float(strength.max()), 1e-6)).astype(np.float32)
    return scaled


def baselines(grey: NDArray[np.uint8], film: PreparedFilm, shape: tuple[int, int], seed: int) -> dict[str, FloatMap]:
    """What the maps must not be mistaken for, averaged over the cells of their grid, ``(h, w)`` each."""
    over_film: dict[str, HeatMap] = {"edges": edges(grey), "centre prior": centre_prior(grey.shape[0], grey.shape[1])}
    if film.lungs is not None:
        over_film[LUNG_MASK] = np.asarray(film.lungs.masks(*grey.shape).any(axis=0), np.float32)
    cells = {name: on_grid(heat, film, shape) for name, heat in over_film.items()}
    cells["random map"] = np.random.default_rng(seed).random(shape)
    return cells


def on_grid(heat: HeatMap, film: PreparedFilm, shape: tuple[int, int]) -> FloatMap:
    """Average a picture of the film over the cells of a grid that covers the network's input, ``(h, w)`` in 0..1."""
    placement = film.placement
    left, top, right, bottom = placement.seen
    canvas = np.zeros((placement.size_px, placement.size_px), np.float32)
    resized = cv2.resize(
        heat[top:bottom, left:right], (placement.width_px, placement.height_px), interpolation=cv2.INTER_AREA
    )
    low, start = placement.top_px + placement.height_px, placement.left_px
    canvas[placement.top_px : low, start : start + placement.width_px] = resized
    averaged = np.asarray(cv2.resize(canvas, shape[::-1], interpolation=cv2.INTER_AREA), np.float64)
    peak = float(averaged.max())
    return averaged / peak if peak > 0 else averaged
