"""Named array types. The name says the role; the docstring where it is used says shape, unit and range."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

StoredPixels: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]
"""``(H, W)`` MONOCHROME2 pixels; 0 is black, the largest value of the dtype is white."""

GrayImage: TypeAlias = NDArray[np.float32]
"""``(H, W)`` intensities in 0..1."""

NetworkInput: TypeAlias = NDArray[np.float32]
"""``(N, C, H, W)`` what a network is fed with."""

FeatureMaps: TypeAlias = NDArray[np.float32]
"""``(N, C, h, w)`` activations of the last convolutional block."""

ClassWeights: TypeAlias = NDArray[np.float32]
"""``(K, C)`` rows of the final linear layer, one a class."""

ActivationMap: TypeAlias = NDArray[np.floating[Any]]
"""``(h, w)`` one signed class activation map, in logits."""

ActivationMaps: TypeAlias = NDArray[np.floating[Any]]
"""``(N, K, h, w)`` signed class activation maps of every class, in logits."""

HeatMap: TypeAlias = NDArray[np.float32]
"""``(H, W)`` display values in 0..1 on an image's pixel grid."""

FloatMap: TypeAlias = NDArray[np.float64]
"""``(h, w)`` a map on the native grid, in double precision."""

RgbImage: TypeAlias = NDArray[np.uint8]
"""``(H, W, 3)`` colours, or ``(H, W, 4)`` with an alpha channel."""
