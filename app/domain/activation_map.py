"""Class activation maps: what each cell of the last feature map argues for.

Small steps that compose: contract, rectify, normalise, lay over the film.
"""

from functools import lru_cache
from typing import Final

import numpy as np

from app.domain.arrays import ActivationMap, ActivationMaps, ClassWeights, FeatureMaps, FloatMap, GrayImage, HeatMap
from app.domain.preprocessing import Rectangle

NEGLIGIBLE_LOGITS: Final = 0.01
"""A hundredth of a logit changes a probability by a quarter of a hundredth at most."""


def class_activation_maps(features: FeatureMaps, class_weights: ClassWeights) -> ActivationMaps:
    """Sum the feature maps, each weighted by its contribution to a class, for all classes in one contraction.

    The maps are signed and unscaled: positive cells argue for the class, negative ones against it. The bias is left
    out: it belongs to no place, and adding it would change the directed divergence.

    Parameters
    ----------
    features
        Last convolutional block after its activation, before global average pooling. Shape ``(N, C, h, w)``.
    class_weights
        The final linear layer. Shape ``(K, C)``.

    Returns
    -------
    ActivationMaps
        Contribution of each cell to each class, in logits. Shape ``(N, K, h, w)``.

    Raises
    ------
    ValueError
        If the channel counts differ.

    Notes
    -----
    Under global average pooling the map's spatial mean plus the layer's bias is the class logit.

    References
    ----------
    papers/1, eq. 1; Zhou et al., CVPR 2016, eq. 2. https://arxiv.org/abs/1512.04150

    Examples
    --------
    >>> class_activation_maps(
    ...     np.ones((1, 2, 1, 1), np.float32), np.array([[1, 2], [0, -1]], np.float32)
    ... ).ravel().tolist()
    [3.0, -1.0]
    """
    count, channels, height, width = features.shape
    if class_weights.ndim != 2 or class_weights.shape[1] != channels:
        raise ValueError(f"class_weights has shape {class_weights.shape}, features have {channels} channels")
    maps: ActivationMaps = class_weights @ features.reshape(count, channels, height * width)
    return maps.reshape(count, class_weights.shape[0], height, width)


def evidence_contrast(maps: ActivationMaps, positive: int = 1, negative: int = 0) -> ActivationMaps:
    """Subtract the out-of-class map: the part of the evidence that the decision identifies.

    A two-way softmax leaves its rows undetermined up to a common vector; the difference of the rows is not.

    Parameters
    ----------
    maps
        ``(N, K, h, w)``.
    positive, negative
        Class indices.

    Returns
    -------
    ActivationMaps
        ``(N, h, w)``; its spatial mean plus the difference of the biases is the margin.
    """
    contrast: ActivationMaps = maps[:, positive] - maps[:, negative]
    return contrast


def positive_share(activation_map: ActivationMap) -> FloatMap:
    """Rectify a map and divide it by its maximum: 0..1, all zero where nothing argues for the class.

    Parameters
    ----------
    activation_map
        ``(h, w)``, signed.

    Returns
    -------
    FloatMap
        ``(h, w)`` in 0..1, maximum 1 unless the map has no positive cell.
    """
    rectified = np.maximum(activation_map.astype(np.float64), 0.0)
    peak = float(rectified.max())
    return rectified / peak if peak > 0.0 else rectified


def is_negligible(evidence: ActivationMap) -> bool:
    """Say whether all of a map's positive evidence together moves the logit by less than `NEGLIGIBLE_LOGITS`.

    Under global average pooling the map's mean is its part of the logit (papers/1, eq. 1), so this is what the whole
    map contributes in favour of its class. Scaled to its own maximum such a map would show noise in full colour.

    Parameters
    ----------
    evidence
        ``(h, w)`` in logits, signed.
    """
    return float(np.maximum(evidence, 0.0).mean(dtype=np.float64)) < NEGLIGIBLE_LOGITS


def peak_is_on_film(values: ActivationMap, extent: Rectangle, film_height: int, film_width: int) -> bool:
    """Say whether the centre of a map's strongest cell lies on the film, not in the padding around it.

    Parameters
    ----------
    values
        ``(h, w)`` on the native grid.
    extent
        The rectangle of the film, in its pixels, that the grid covers.
    film_height, film_width
        The film's size in pixels.
    """
    row, column = divmod(int(values.argmax()), values.shape[1])
    x0, y0, x1, y1 = extent
    x = x0 + (column + 0.5) * (x1 - x0) / values.shape[1]
    y = y0 + (row + 0.5) * (y1 - y0) / values.shape[0]
    return bool(0.0 <= x <= film_width and 0.0 <= y <= film_height)


@lru_cache(maxsize=512)
def _axis_weights(cells: int, low: float, high: float, film_px: float, samples: int) -> GrayImage:
    """Half-pixel bilinear weights ``(samples, cells)`` of one axis.

    The grid's ``cells`` cover ``[low, high]`` of a film ``film_px`` long; the ``samples`` output pixels cover it all.
    """
    centres = (np.arange(samples) + 0.5) * (film_px / samples)
    position = np.clip((centres - low) / (high - low) * cells - 0.5, 0.0, cells - 1.0)
    left = np.minimum(position.astype(np.intp), max(cells - 2, 0))
    weights = np.zeros((samples, cells), np.float32)
    rows = np.arange(samples)
    weights[rows, left] = 1.0 - (position - left)
    if cells > 1:
        weights[rows, left + 1] += position - left
    weights.setflags(write=False)
    return weights


def interpolate(values: FloatMap, extent: Rectangle, over: Rectangle, height: int, width: int) -> HeatMap:
    """Interpolate a map on its native grid at the pixels of a picture of some rectangle of the film.

    Bilinear with half-pixel centres and clamped edges.

    Parameters
    ----------
    values
        ``(h, w)`` on the native grid.
    extent
        The rectangle of the film, in its pixels, that the grid covers.
    over
        The rectangle of the film that the result covers.
    height, width
        Size of the result.

    Returns
    -------
    HeatMap
        ``(height, width)`` float32, a convex combination of cells everywhere.
    """
    x0, y0, x1, y1 = extent
    left, top, right, bottom = over
    down = _axis_weights(values.shape[0], y0 - top, y1 - top, float(bottom - top), height)
    across = _axis_weights(values.shape[1], x0 - left, x1 - left, float(right - left), width)
    heat: HeatMap = (down @ values.astype(np.float32)) @ across.T
    return heat


def lay_over_film(
    display: FloatMap, extent: Rectangle, film_height: int, film_width: int, height: int, width: int
) -> HeatMap:
    """Interpolate a map on its native grid at the pixels of the film, or of a smaller picture of it.

    Bilinear with half-pixel centres and clamped edges. Where the film reaches beyond the grid, because the network was
    fed with a part of it, nothing was seen and the heat is 0. The kernel must have been applied before (papers/1 and
    SPEC 1.13: the other order marks another region).

    Parameters
    ----------
    display
        ``(h, w)`` on the native grid.
    extent
        The rectangle of the film, in its pixels, that the grid covers; it may reach beyond the film.
    film_height, film_width
        The film's size in pixels.
    height, width
        Size of the result; its pixels cover the whole film.

    Returns
    -------
    HeatMap
        ``(height, width)`` float32, a convex combination of cells everywhere inside the extent, 0 beyond it.
    """
    x0, y0, x1, y1 = extent
    heat = interpolate(display, extent, (0.0, 0.0, float(film_width), float(film_height)), height, width)
    rows, columns = (np.arange(height) + 0.5) * film_height / height, (np.arange(width) + 0.5) * film_width / width
    heat[(rows < y0) | (rows > y1)] = 0.0
    heat[:, (columns < x0) | (columns > x1)] = 0.0
    return heat
