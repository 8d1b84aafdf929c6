"""From a film to a network's input, and exactly back.

The film, or the window of it that the network wants (the lungs and a margin), is scaled so that its longer side fills
the input, its intensities are stretched by a named rule that looks at that window alone (never at the padding), and the
shorter side is padded with zeros on both sides. It is never stretched to another shape. `Placement` remembers where the
film came to lie, so that every map of the network can be laid over the film's own pixels.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from app.domain.arrays import GrayImage, NetworkInput
from app.domain.errors import ImageRefusedError, RefusalReason
from app.domain.radiograph import Radiograph
from app.domain.resampling import Kernel, resize

Rectangle: TypeAlias = tuple[float, float, float, float]
"""``(x0, y0, x1, y1)`` in pixels of the original film; pixel ``(0, 0)`` covers ``[0, 1] x [0, 1]``."""

Window: TypeAlias = tuple[int, int, int, int]
"""A `Rectangle` of whole pixels, inside the film."""

IntensityRule: TypeAlias = Literal["percentile-1-95", "percentile-1-99", "full-range", "global-0-207"]

Crop: TypeAlias = Literal["film", "lungs", "lungs-only"]

_PERCENTILES: dict[str, tuple[float, float]] = {"percentile-1-95": (1.0, 95.0), "percentile-1-99": (1.0, 99.0)}
_GLOBAL_WHITE = 207.0 / 255.0


@dataclass(frozen=True, slots=True)
class InputSpecification:
    """How a network wants its films; it travels in the manifest.

    Attributes
    ----------
    size_px
        Side of the square input.
    channels
        1, or 3 identical ones.
    kernel
        Resampling kernel.
    intensity
        ``percentile-1-95`` (SPEC default of the ensemble's paper), ``percentile-1-99``, ``full-range`` (0 to the
        largest value of the stored type) or ``global-0-207`` (compatibility with that paper's released code, 8 bit).
    mean, std
        Per channel, subtracted and divided after scaling to 0..1. Padding is 0 *before* this step.
    crop
        ``film`` feeds the whole film, ``lungs`` the rectangle around both lungs, ``lungs-only`` that rectangle with
        everything but the lungs blacked out (`app.domain.lung_input`).
    crop_margin
        Widens that rectangle on each side, as a share of its width and height.
    """

    size_px: int
    channels: int = 3
    kernel: Kernel = "bicubic"
    intensity: IntensityRule = "percentile-1-99"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    crop: Crop = "film"
    crop_margin: float = 0.0

    def __post_init__(self) -> None:
        """Hold the parts consistent."""
        if self.size_px < 1 or self.channels not in (1, 3):
            raise ValueError(f"input of {self.channels} channels and {self.size_px} px")
        if len(self.mean) != self.channels or len(self.std) != self.channels or min(self.std) <= 0:
            raise ValueError("mean and std need one value a channel, std above 0")
        if not 0.0 <= self.crop_margin <= 1.0:
            raise ValueError(f"a crop margin of {self.crop_margin}; 0 to 1 expected")


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a film, or a window of it, lies inside a square network input.

    Attributes
    ----------
    film_height, film_width
        Original pixels.
    size_px
        Side of the input.
    height_px, width_px
        The resized window inside the input.
    top_px, left_px
        Its offset; the remainder of the padding is at the bottom and on the right.
    window
        The part of the film that was fed, in whole pixels of the film; None is all of it.
    """

    film_height: int
    film_width: int
    size_px: int
    height_px: int
    width_px: int
    top_px: int
    left_px: int
    window: Window | None = None

    @property
    def seen(self) -> Window:
        """The rectangle of the film that was fed, in whole pixels."""
        return self.window if self.window is not None else (0, 0, self.film_width, self.film_height)

    @property
    def extent(self) -> Rectangle:
        """The rectangle of the film, in its own pixels, that the whole input covers."""
        left, top, right, bottom = self.seen
        per_x = (right - left) / self.width_px
        per_y = (bottom - top) / self.height_px
        x0, y0 = left - self.left_px * per_x, top - self.top_px * per_y
        return (x0, y0, x0 + self.size_px * per_x, y0 + self.size_px * per_y)

    def extent_of(self, part: Rectangle | None) -> Rectangle:
        """Give the rectangle of the film that a part of the input, in input pixels, covers; None is all of it."""
        if part is None:
            return self.extent
        return (*self.to_film(part[0], part[1]), *self.to_film(part[2], part[3]))

    def to_film(self, x: float, y: float) -> tuple[float, float]:
        """Map a point of the input, in input pixels, to original pixels."""
        x0, y0, x1, y1 = self.extent
        return x0 + x * (x1 - x0) / self.size_px, y0 + y * (y1 - y0) / self.size_px

    def to_input(self, x: float, y: float) -> tuple[float, float]:
        """Map a point of the film, in original pixels, to input pixels; the inverse of `to_film`."""
        x0, y0, x1, y1 = self.extent
        return (x - x0) * self.size_px / (x1 - x0), (y - y0) * self.size_px / (y1 - y0)


def place(film_height: int, film_width: int, size_px: int, window: Window | None = None) -> Placement:
    """Fit a film, or a window of it, into a square input: longer side to ``size_px``, shorter side truncated, centred.

    Parameters
    ----------
    film_height, film_width
        Original pixels, at least 1.
    size_px
        Side of the square input.
    window
        The part of the film to feed; None is all of it.

    Returns
    -------
    Placement
        With ``left = remainder // 2`` and ``top = remainder // 2``.

    Raises
    ------
    ValueError
        If the window is empty or reaches beyond the film.
    """
    left, top, right, bottom = window if window is not None else (0, 0, film_width, film_height)
    if not (0 <= left < right <= film_width and 0 <= top < bottom <= film_height):
        raise ValueError(f"the window {window} does not lie on a film of {film_width} x {film_height} pixels")
    height, width = bottom - top, right - left
    longer = max(height, width)
    height_px = max(1, height * size_px // longer)
    width_px = max(1, width * size_px // longer)
    top_px, left_px = (size_px - height_px) // 2, (size_px - width_px) // 2
    return Placement(film_height, film_width, size_px, height_px, width_px, top_px, left_px, window)


def stretch_intensity(resized: GrayImage, rule: IntensityRule, white: float) -> GrayImage:
    """Stretch intensities to 0..1 by a rule that sees the unpadded film only.

    Parameters
    ----------
    resized
        ``(H, W)`` in stored units.
    rule
        See `InputSpecification.intensity`.
    white
        The stored value that is white (255 or 65535).

    Returns
    -------
    GrayImage
        ``(H, W)`` in 0..1.

    Raises
    ------
    ImageRefusedError
        ``low_contrast`` if the rule's lower and upper bound coincide: there is nothing on the film.
    """
    if rule in _PERCENTILES:
        low, high = (float(v) for v in np.percentile(resized, _PERCENTILES[rule]))
    else:
        low, high = 0.0, white * (1.0 if rule == "full-range" else _GLOBAL_WHITE)
    if high - low < white / 512.0:
        raise ImageRefusedError(
            RefusalReason.LOW_CONTRAST, f"the film's grey values lie between {low:.1f} and {high:.1f} of {white:.0f}"
        )
    stretched: GrayImage = np.clip((resized - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
    return stretched


def to_network_input(
    film: Radiograph, specification: InputSpecification, window: Window | None = None
) -> tuple[NetworkInput, Placement]:
    """Prepare one film for a network.

    Parameters
    ----------
    film
        Display-ready MONOCHROME2 pixels.
    specification
        The network's manifest entry.
    window
        The part of the film to feed, where the specification crops to the lungs (`app.domain.lungs.lung_window`);
        None feeds the whole film.

    Returns
    -------
    NetworkInput
        ``(1, C, size_px, size_px)`` float32.
    Placement
        Where the film lies in it.

    Raises
    ------
    ImageRefusedError
        ``low_contrast``, see `stretch_intensity`.
    """
    placement = place(film.height, film.width, specification.size_px, window)
    left, top, right, bottom = placement.seen
    resized = resize(film.pixels[top:bottom, left:right], placement.height_px, placement.width_px, specification.kernel)
    stretched = stretch_intensity(resized, specification.intensity, float(np.iinfo(film.pixels.dtype).max))
    return pad_and_normalise(stretched, placement, specification), placement


def pad_and_normalise(stretched: GrayImage, placement: Placement, specification: InputSpecification) -> NetworkInput:
    """Centre a stretched film on zeros and apply the channel statistics.

    Parameters
    ----------
    stretched
        ``(placement.height_px, placement.width_px)`` in 0..1.
    placement
        Where it goes.
    specification
        Channels, mean and std.

    Returns
    -------
    NetworkInput
        ``(1, C, size_px, size_px)`` float32.
    """
    canvas = np.zeros((placement.size_px, placement.size_px), np.float32)
    bottom, right = placement.top_px + placement.height_px, placement.left_px + placement.width_px
    canvas[placement.top_px : bottom, placement.left_px : right] = stretched
    channels = [
        (canvas - np.float32(mean)) / np.float32(std)
        for mean, std in zip(specification.mean, specification.std, strict=True)
    ]
    return np.stack(channels)[None]
