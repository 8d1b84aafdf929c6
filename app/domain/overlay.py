"""Heat maps in colour, on the film or transparent above it, and the bar that says which end is hot."""

from functools import lru_cache
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.domain.arrays import GrayImage, HeatMap, RgbImage, StoredPixels
from app.domain.resampling import resize

Colormap: TypeAlias = Literal["inferno", "viridis", "jet", "red"]
COLORMAPS: Final[tuple[Colormap, ...]] = ("inferno", "viridis", "jet", "red")
DEFAULT_OPACITY: Final = 0.55

_CONTROL_POINTS: Final[dict[Colormap, tuple[str, ...]]] = {
    "inferno": ("000004", "1f0c48", "550f6d", "88226a", "ba3655", "e35933", "f98c0a", "f9c932", "fcffa4"),
    "viridis": ("440154", "482878", "3e4a89", "31688e", "26828e", "1f9e89", "35b779", "6dcd59", "fde725"),
    "jet": ("000080", "0000ff", "0080ff", "00ffff", "80ff80", "ffff00", "ff8000", "ff0000", "800000"),
    "red": ("280000", "ff0000", "ff6040"),
}
"""Equally spaced colours from cold to hot, as hexadecimal RGB."""


@lru_cache(maxsize=8)
def colour_table(colormap: Colormap) -> NDArray[np.uint8]:
    """256 colours from cold (index 0) to hot (index 255), ``(256, 3)``, linear between control points."""
    points = np.array([tuple(bytes.fromhex(text)) for text in _CONTROL_POINTS[colormap]], np.float64)
    at = np.linspace(0.0, len(points) - 1.0, 256)
    table = np.stack([np.interp(at, np.arange(len(points)), points[:, channel]) for channel in range(3)], axis=1)
    colours: NDArray[np.uint8] = np.rint(table).astype(np.uint8)
    colours.setflags(write=False)
    return colours


def palette_with_opacity(colormap: Colormap, opacity: float) -> NDArray[np.uint8]:
    """Colours ``(256, 4)`` whose alpha grows with the heat: nothing at 0, ``opacity`` at full heat."""
    _checked_opacity(opacity)
    alpha = np.rint(np.linspace(0.0, 255.0 * opacity, 256)).astype(np.uint8)
    return np.concatenate([colour_table(colormap), alpha[:, None]], axis=1)


@lru_cache(maxsize=16)
def _blend_table(colormap: Colormap, opacity: float) -> NDArray[np.uint8]:
    """Colour ``(65536, 3)`` of every (heat level, grey level), row ``heat * 256 + grey``."""
    palette = palette_with_opacity(colormap, opacity).astype(np.float64)
    weight = palette[:, 3] / 255.0
    grey = np.arange(256, dtype=np.float64)
    mixed = (1.0 - weight)[:, None, None] * grey[None, :, None] + weight[:, None, None] * palette[:, None, :3]
    table: NDArray[np.uint8] = np.rint(mixed).astype(np.uint8).reshape(-1, 3)
    table.setflags(write=False)
    return table


def heat_levels(heat: HeatMap) -> NDArray[np.uint8]:
    """Quantise a heat map in 0..1 to 256 levels."""
    levels: NDArray[np.uint8] = (np.clip(heat, 0.0, 1.0) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    return levels


def overlay_size(film_height: int, film_width: int, longer_side_px: int | None) -> tuple[int, int]:
    """Height and width of an overlay: the film's shape, longer side as asked (None: the film's own size).

    A film smaller than asked is not enlarged beyond it; the result is at least 1 pixel a side.
    """
    longer = max(film_height, film_width)
    if longer_side_px is None or longer_side_px >= longer:
        return film_height, film_width
    return (max(1, round(film_height * longer_side_px / longer)), max(1, round(film_width * longer_side_px / longer)))


def grey_levels(pixels: StoredPixels, height: int, width: int) -> NDArray[np.uint8]:
    """The film itself at an overlay's size, 8 bit, without any change of window."""
    white = float(np.iinfo(pixels.dtype).max)
    if pixels.shape == (height, width):
        picture: GrayImage = pixels.astype(np.float32)
    else:
        picture = resize(pixels, height, width, "bilinear")
    scaled = picture if white == 255.0 else picture * np.float32(255.0 / white)
    levels: NDArray[np.uint8] = np.clip(scaled + np.float32(0.5), 0.0, 255.0).astype(np.uint8)
    return levels


def blend(
    grey: NDArray[np.uint8], heat: HeatMap, colormap: Colormap = "inferno", opacity: float = DEFAULT_OPACITY
) -> RgbImage:
    """Colour a film where it is hot; where the heat is 0 the film is left as it is.

    Parameters
    ----------
    grey
        ``(H, W)`` uint8 film at the overlay's size, see `grey_levels`.
    heat
        ``(H, W)`` in 0..1.
    colormap
        One of `COLORMAPS`.
    opacity
        Share of colour at full heat, 0..1; it falls linearly to nothing at heat 0.

    Returns
    -------
    RgbImage
        ``(H, W, 3)`` uint8.

    Raises
    ------
    ValueError
        If the shapes differ or the opacity is outside 0..1.
    """
    if grey.shape != heat.shape:
        raise ValueError(f"film of {grey.shape} under a heat map of {heat.shape}")
    index = heat_levels(heat).astype(np.uint16) << np.uint16(8) | grey
    coloured: RgbImage = np.take(_blend_table(colormap, _checked_opacity(opacity)), index, axis=0)
    return coloured


def legend_bar(colormap: Colormap, opacity: float, length_px: int, thickness_px: int) -> RgbImage:
    """A horizontal colour bar, cold at the left and hot at the right, as it looks on mid-grey film.

    Returns
    -------
    RgbImage
        ``(thickness_px, length_px, 3)`` uint8.
    """
    heat = np.broadcast_to(np.linspace(0.0, 1.0, length_px, dtype=np.float32), (thickness_px, length_px))
    return blend(np.full((thickness_px, length_px), 96, np.uint8), heat, colormap, opacity)


def _checked_opacity(opacity: float) -> float:
    if not 0.0 <= opacity <= 1.0:
        raise ValueError(f"opacity {opacity} is outside 0..1")
    return float(opacity)
