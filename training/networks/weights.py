"""Where a network starts: at random, from ImageNet, from a checkpoint, or grown from a shallower network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import timm
import torch
import torchvision
from torch import Tensor, nn

from training.networks.anatomy import anatomy_of, head_of
from training.networks.architectures import FINE
from training.networks.keras_weights import read_keras_weights

GROW: Final = "grow:"
_OF_TIMM: Final = {"inceptionresnetv2": "inception_resnet_v2"}
_OF_TORCHVISION: Final = {"inceptionv3": "inception_v3"}
_NOT_PUBLISHED: Final = {
    "resnet50v2": (
        "ImageNet weights of Keras's ResNet50V2 come from a file: give the path of an .npz that Keras wrote"
        " (docs/papers/3-resnet50v2-covidnet.md has the two lines), or take resnet50v2-timm, which loads timm's"
    ),
    **dict.fromkeys(("covidnet", "covidnet-paper"), "nobody published ImageNet weights of this COVID-Net"),
}
_LAST_NORMALISATION: Final = ("bn2", "bn3")


class WeightsError(ValueError):
    """Weights that do not fit the network, or that cannot be had here."""


def zero_head(network: nn.Module) -> None:
    """Start the linear layer at zero.

    For two outputs under cross-entropy every gradient is then antisymmetric, so the rows stay each other's negative
    for the whole training: the row of a class *is* half the contrast, and the row's map is identified (SPEC 1.5).
    """
    head = head_of(network)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)


def load_trunk(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load every parameter but those of the linear layer and of an auxiliary head.

    Raises
    ------
    WeightsError
        If a parameter is missing or has another shape.
    """
    own = network.state_dict()
    for name in _trunk_names(network):
        value = own[name]
        if name not in state or state[name].shape != value.shape:
            found = tuple(state[name].shape) if name in state else "nothing"
            raise WeightsError(f"{name}: {tuple(value.shape)} expected, {found} found")
        own[name] = state[name]
    network.load_state_dict(own)


def grow_trunk(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Start a deep ResNet as the same function as a shallow one of the same blocks.

    Blocks that both have are copied; the last normalisation of every further block is scaled by zero, so that the block
    passes on what it gets. The logits' trunk is then the shallow network's, and depth is learned from there.

    Raises
    ------
    WeightsError
        If the two have other blocks, or the given one is not shallower.

    References
    ----------
    Chen, Goodfellow, Shlens, Net2Net, ICLR 2016 (deeper nets); Goyal et al., arXiv 1706.02677 (zero scale).
    """
    own = network.state_dict()
    known = [name for name in _trunk_names(network) if name in state]
    further = sorted({_block_of(name) for name in _trunk_names(network) if name not in state})
    odd = [name for name in state if not name.startswith("fc.") and name not in own]
    if odd or not further or any(_block_of(name) in further for name in known):
        raise WeightsError(f"{odd[0] if odd else 'the given network'}: not a shallower network of the same blocks")
    for name in known:
        if state[name].shape != own[name].shape:
            raise WeightsError(f"{name}: {tuple(own[name].shape)} expected, {tuple(state[name].shape)} found")
        own[name] = state[name]
    for block in further:
        last = max(part for part in _LAST_NORMALISATION if f"{block}.{part}.weight" in own)
        own[f"{block}.{last}.weight"] = torch.zeros_like(own[f"{block}.{last}.weight"])
    network.load_state_dict(own)


def _trunk_names(network: nn.Module) -> list[str]:
    anatomy = anatomy_of(network)
    others = tuple(f"{part}." for part in (anatomy.head, anatomy.auxiliary) if part)
    return [name for name in network.state_dict() if not name.startswith(others)]


def _block_of(name: str) -> str:
    """``layer3.4.conv1.weight`` to ``layer3.4``."""
    return ".".join(name.split(".")[:2])


def initialise(network: nn.Module, architecture: str, initial_weights: str) -> None:
    """Fill the trunk.

    Parameters
    ----------
    network
        As made by `build_network`.
    architecture
        Its name.
    initial_weights
        ``scratch`` keeps the random start; ``imagenet`` loads torchvision's or timm's weights from their local cache or
        hub; the path of a checkpoint of this package or of a plain ``state_dict``; ``grow:PATH``, a checkpoint of a
        shallower ResNet (`grow_trunk`); or, for ResNet50V2, the path of Keras's weights as ``.npz``
        (`training.networks.keras_weights`).

    Raises
    ------
    WeightsError
        If the weights cannot be had or do not fit.
    """
    if initial_weights == "scratch":
        return
    if initial_weights == "imagenet":
        load_trunk(network, _imagenet(architecture.removesuffix(FINE)))
        return
    path = Path(initial_weights.removeprefix(GROW))
    if not path.is_file():
        raise WeightsError(f"no weights at {path}")
    if path.suffix == ".npz":
        try:
            load_trunk(network, read_keras_weights(path))
        except KeyError as error:
            raise WeightsError(f"{path.name}: {error.args[0]}") from error
        return
    stored = torch.load(path, map_location="cpu", weights_only=True)
    load = grow_trunk if initial_weights.startswith(GROW) else load_trunk
    load(network, stored.get("network", stored))


def _imagenet(name: str) -> dict[str, Tensor]:
    """Give a library's ImageNet weights, from its cache or its hub."""
    if name in _NOT_PUBLISHED:
        raise WeightsError(_NOT_PUBLISHED[name])
    try:
        if name == "resnet50v2-timm":
            timms: nn.Module = timm.create_model("resnetv2_50", pretrained=True)
            return from_timm(timms.state_dict())
        if name in _OF_TIMM:
            pretrained: nn.Module = timm.create_model(_OF_TIMM[name], pretrained=True)
            return dict(pretrained.state_dict())
        weights = torchvision.models.get_model_weights(_OF_TORCHVISION.get(name, name)).DEFAULT
        return _modern_names(dict(weights.get_state_dict(progress=True)))
    except (OSError, RuntimeError) as error:  # timm's hub raises RuntimeError where nothing is reachable
        raise WeightsError(f"ImageNet weights of {name} are neither cached nor reachable: {error}") from error


def _modern_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """DenseNet's published file separates a layer's parts by one dot too many: ``norm.1`` is ``norm1`` today."""
    parts = {f".{part}.{number}.": f".{part}{number}." for part in ("norm", "relu", "conv") for number in (1, 2)}
    renamed = {}
    for name, value in state.items():
        for old, new in parts.items():
            name = name.replace(old, new) if ".denselayer" in name else name  # noqa: PLW2901  # rewritten part by part
        renamed[name] = value
    return renamed


def from_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give timm's ``resnetv2_50`` the biases that ResNet50V2 has and timm has not, at zero: the same function."""
    named = {name: value for name, value in state.items() if not name.startswith("head.")}
    for name in list(named):
        if name == "stem.conv.weight" or name.endswith((".conv3.weight", ".downsample.conv.weight")):
            named[name.replace(".weight", ".bias")] = torch.zeros(named[name].shape[0])
    return named
