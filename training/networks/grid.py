"""Where a network's maps lie within its input: networks that halve without padding do not see its edges alike."""

from typing import Final

from torch import nn
from torchvision.models import Inception3

from app.domain.preprocessing import Rectangle

STRIDE_PX: Final = 32
_STEM_AND_REDUCTIONS: Final = ((3, 2), (3, 1), (3, 2), (3, 1), (3, 2), (3, 2), (3, 2))
"""Kernel and stride of every layer of the Inception stems and reductions that has no padding, in their order."""


def grid_rectangle(network: nn.Module, size_px: int) -> Rectangle | None:
    """Give the rectangle of a square input, in its pixels, that the cells of the last features look at.

    Parameters
    ----------
    network
        Of any architecture that is trained here.
    size_px
        Side of the input.

    Returns
    -------
    Rectangle or None
        For InceptionV3 and Inception-ResNet-v2, whose first cell's centre follows from their unpadded layers; the cells
        lie one stride apart, and whatever does not make a cell is lost on the right and below. None, all of the input,
        for networks that pad.
    """
    if not (isinstance(network, Inception3) or hasattr(network, "conv2d_7b")):
        return None
    centre, step, side = 0.5, 1, size_px
    for kernel, stride in _STEM_AND_REDUCTIONS:
        centre += step * (kernel - 1) / 2
        side = (side - kernel) // stride + 1
        step *= stride
    start = centre - step / 2
    end = start + side * step
    return (start, start, end, end)
