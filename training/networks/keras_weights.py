"""Keras's ResNet50V2 weights, as an ``.npz`` that Keras itself wrote, under this package's names.

In an environment that has Keras, two lines write the file::

    net = keras.applications.ResNet50V2(include_top=False, weights="imagenet")
    np.savez("resnet50v2.npz", **{w.path: w.numpy() for w in net.weights})
"""

import re
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

_KERNEL_TO_TORCH: Final = (3, 2, 0, 1)  # (height, width, in, out) to (out, in, height, width)
_PARAMETERS: Final = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_LAYERS: Final = {
    "preact_bn": "norm1",
    "0_conv": "downsample.conv",
    "1_conv": "conv1",
    "1_bn": "norm2",
    "2_conv": "conv2",
    "2_bn": "norm3",
    "3_conv": "conv3",
}
_OUTSIDE: Final = {"conv1_conv": "stem.conv", "post_bn": "norm"}
_BLOCK: Final = re.compile(r"conv(?P<stage>[2-5])_block(?P<block>\d+)_(?P<layer>\w+)")


def torch_name(keras_name: str) -> str | None:
    """Give this package's name of one Keras weight; None for the ImageNet classifier's.

    Parameters
    ----------
    keras_name
        ``layer/variable``, with or without the ``:0`` of older versions.

    Raises
    ------
    KeyError
        If ResNet50V2 has no such weight.

    Examples
    --------
    >>> torch_name("conv4_block6_3_conv/kernel:0")
    'stages.2.blocks.5.conv3.weight'
    """
    layer, _, variable = keras_name.removesuffix(":0").partition("/")
    if layer == "predictions":
        return None
    if variable in _PARAMETERS and layer in _OUTSIDE:
        return f"{_OUTSIDE[layer]}.{_PARAMETERS[variable]}"
    found = _BLOCK.fullmatch(layer)
    if variable not in _PARAMETERS or found is None or found["layer"] not in _LAYERS:
        raise KeyError(f"{keras_name} is no weight of ResNet50V2")
    stage, block = int(found["stage"]) - 2, int(found["block"]) - 1
    return f"stages.{stage}.blocks.{block}.{_LAYERS[found['layer']]}.{_PARAMETERS[variable]}"


def read_keras_weights(path: Path) -> dict[str, Tensor]:
    """Read the trunk's weights.

    Parameters
    ----------
    path
        ``.npz`` of arrays by Keras's names.

    Raises
    ------
    KeyError
        If an array is no weight of ResNet50V2.
    """
    with np.load(path, allow_pickle=False) as stored:
        arrays = {torch_name(name): stored[name] for name in stored.files}
    state = {}
    for name, array in arrays.items():
        if name is not None:
            wanted = array.transpose(_KERNEL_TO_TORCH) if array.ndim == 4 else array
            state[name] = torch.from_numpy(np.ascontiguousarray(wanted, np.float32))
            if name.endswith(".running_var"):
                state[name.replace("running_var", "num_batches_tracked")] = torch.tensor(0)
    return state
