"""A network's input where the lungs decide what is fed: the film, the lungs' part of it, or nothing but the lungs."""

import numpy as np

from app.domain.activation_map import interpolate
from app.domain.arrays import HeatMap, NetworkInput
from app.domain.lungs import LungFields, lung_window
from app.domain.preprocessing import InputSpecification, Placement, Rectangle, to_network_input
from app.domain.radiograph import Radiograph


def visible_lungs(lungs: LungFields, over: Rectangle, height: int, width: int) -> HeatMap:
    """Say how much of each pixel is left where everything but the lungs is blacked out.

    The probability of either lung is widened by one cell of its own grid, doubled and cut at 1: nothing that is lung
    at even odds is darkened, and the border is soft.

    Parameters
    ----------
    lungs
        Of the film.
    over
        The rectangle of the film that the result covers.
    height, width
        Size of the result.

    Returns
    -------
    HeatMap
        ``(height, width)`` in 0..1.
    """
    either = np.pad(lungs.probability.max(axis=0), 1)
    rows, columns = lungs.probability.shape[1:]
    widened = np.max([either[y : y + rows, x : x + columns] for y in range(3) for x in range(3)], axis=0)
    visible: HeatMap = np.minimum(2.0 * interpolate(widened, lungs.extent, over, height, width), 1.0, dtype=np.float32)
    return visible


def to_lung_input(
    film: Radiograph, specification: InputSpecification, lungs: LungFields | None
) -> tuple[NetworkInput, Placement]:
    """Prepare one film for a network, cropped and blacked out as its specification says.

    Parameters
    ----------
    film
        Display-ready MONOCHROME2 pixels.
    specification
        The network's manifest entry.
    lungs
        Of the film. Where they are None, or not both were found, the whole film is fed.

    Returns
    -------
    NetworkInput
        ``(1, C, size_px, size_px)`` float32; intensities are stretched before anything is blacked out.
    Placement
        Where the film, or its window, lies in it.

    Raises
    ------
    ImageRefusedError
        ``low_contrast``, see `app.domain.preprocessing.stretch_intensity`.
    """
    window = lung_window(lungs, specification.crop_margin) if specification.crop != "film" and lungs else None
    films, placement = to_network_input(film, specification, window)
    if lungs is None or window is None or specification.crop != "lungs-only":
        return films, placement
    visible = visible_lungs(lungs, placement.extent, specification.size_px, specification.size_px)
    black = -np.array(specification.mean, np.float32) / np.array(specification.std, np.float32)
    shade = black[None, :, None, None]
    hidden = shade + (films - shade) * visible
    return hidden.astype(np.float32), placement
