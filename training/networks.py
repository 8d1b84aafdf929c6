"""Networks whose class activation maps are exact: convolutions, global average pooling, one linear layer."""

from pathlib import Path
from typing import Any, Final

import torch
import torchvision
from torch import Tensor, nn

_BUILDERS: Final = {
    "resnet18": torchvision.models.resnet18,
    "resnet34": torchvision.models.resnet34,
    "resnet50": torchvision.models.resnet50,
    "resnet101": torchvision.models.resnet101,
    "resnet152": torchvision.models.resnet152,
}
_FINE: Final = "-stride16"
ARCHITECTURES: Final = (*_BUILDERS, *(f"{name}{_FINE}" for name in _BUILDERS))
EXPERT_OUTPUTS: Final = 2


class WeightsError(ValueError):
    """Weights that do not fit the network, or that cannot be had here."""


def build_network(architecture: str, outputs: int) -> nn.Module:
    """Make an untrained ResNet with ``outputs`` logits.

    Parameters
    ----------
    architecture
        One of `ARCHITECTURES`; ``-stride16`` keeps the last block at a sixteenth of the input's size, so that its maps
        have four times the cells (14 x 14 at 224 px).
    outputs
        Rows of the last linear layer.

    Returns
    -------
    Module
        ``(N, 3, H, W)`` to ``(N, outputs)`` logits; parameters carry torchvision's names.

    Raises
    ------
    ValueError
        If the architecture is unknown.
    """
    base = architecture.removesuffix(_FINE)
    if base not in _BUILDERS:
        raise ValueError(f"architecture {architecture!r}; one of {', '.join(ARCHITECTURES)} expected")
    network: nn.Module = _BUILDERS[base](weights=None, num_classes=outputs)
    if architecture != base:
        for module in network.get_submodule("layer4.0").modules():
            if isinstance(module, nn.Conv2d):
                module.stride = (1, 1)
    return network


def zero_head(network: nn.Module) -> None:
    """Start the linear layer at zero.

    For two outputs under cross-entropy every gradient is then antisymmetric, so the rows stay each other's negative
    for the whole training: the row of a class *is* half the contrast, and the row's map is identified (SPEC 1.5).
    """
    head = network.get_submodule("fc")
    if not isinstance(head, nn.Linear):
        raise WeightsError("the network has no linear layer called fc")
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)


def load_trunk(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Load every parameter but the last linear layer's.

    Raises
    ------
    WeightsError
        If a parameter is missing or has another shape.
    """
    own = network.state_dict()
    for name, value in own.items():
        if name.startswith("fc."):
            continue
        if name not in state or state[name].shape != value.shape:
            found = tuple(state[name].shape) if name in state else "nothing"
            raise WeightsError(f"{name}: {tuple(value.shape)} expected, {found} found")
        own[name] = state[name]
    network.load_state_dict(own)


def initialise(network: nn.Module, architecture: str, initial_weights: str) -> None:
    """Fill the trunk: ``scratch`` keeps the random start, ``imagenet`` or a file loads weights.

    Parameters
    ----------
    network
        As made by `build_network`.
    architecture
        Its name.
    initial_weights
        ``scratch``; ``imagenet`` (torchvision's, from its local cache or its hub); or the path of a checkpoint of this
        package or of a plain ``state_dict``.

    Raises
    ------
    WeightsError
        If the weights cannot be had or do not fit.
    """
    if initial_weights == "scratch":
        return
    if initial_weights == "imagenet":
        try:
            pretrained = torchvision.models.get_model_weights(architecture.removesuffix(_FINE)).DEFAULT.get_state_dict(
                progress=True
            )
        except OSError as error:
            detail = f"ImageNet weights of {architecture} are neither cached nor reachable: {error}"
            raise WeightsError(detail) from error
        load_trunk(network, dict(pretrained))
        return
    path = Path(initial_weights)
    if not path.is_file():
        raise WeightsError(f"no weights at {path}")
    stored = torch.load(path, map_location="cpu", weights_only=True)
    load_trunk(network, stored.get("network", stored))


class ExplainedNetwork(nn.Module):
    """A ResNet that also returns what its maps are made of.

    Outputs ``logits (N, K)``, ``features (N, C, h, w)`` and ``cam (N, K, h, w)``; the maps are the features contracted
    with the linear layer's weights, without the bias (papers/1, eq. 1). The logits
    go the usual way through global average pooling, so mean(CAM) + b = logit is a real check of the graph.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, films: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute logits, features and class activation maps of ``(N, 3, H, W)`` inputs."""
        net: Any = self.network  # Any: a ResNet; torch types every submodule as Tensor or Module
        x = net.maxpool(net.relu(net.bn1(net.conv1(films))))
        features: Tensor = net.layer4(net.layer3(net.layer2(net.layer1(x))))
        pooled = torch.flatten(net.avgpool(features), 1)
        logits: Tensor = net.fc(pooled)
        cam = torch.einsum("nchw,kc->nkhw", features, net.fc.weight)
        return logits, features, cam
