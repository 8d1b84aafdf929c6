"""Architectures by name: torchvision's and timm's networks with a linear layer of the wanted width."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import timm
import torchvision
from torch import Tensor, nn
from torchvision.models import Inception3

from training.networks.covidnet import COVIDNet
from training.networks.resnet50v2 import ResNet50V2

EXPERT_OUTPUTS: Final = 2
FINE: Final = "-stride16"
_AUXILIARY_POOL: Final = (5, 3)
_AUXILIARY_KERNEL: Final = 5


class InceptionV3(Inception3):  # type: ignore[misc]  # torchvision comes without types
    """Inception-v3 whose auxiliary head is left out where its 5 x 5 kernel does not fit (inputs below about 290 px).

    In training it returns ``(logits, auxiliary logits)`` where the auxiliary head was used; otherwise, as in evaluation
    mode, the logits alone.
    """

    AuxLogits: nn.Module | None

    def __init__(self, outputs: int) -> None:
        super().__init__(num_classes=outputs, aux_logits=True, transform_input=False, init_weights=True)

    def forward(self, x: Tensor) -> Any:  # Any: a tensor, or a pair of them in training; the base types a named tuple
        """Compute the logits ``(N, K)`` of ``(N, 3, H, W)`` films."""
        auxiliary = self.AuxLogits
        if self.training and not self._auxiliary_fits(int(x.shape[-1])):
            self.AuxLogits = None
        try:
            logits, side = self._forward(x)
        finally:
            self.AuxLogits = auxiliary
        return logits if side is None else (logits, side)

    @staticmethod
    def _auxiliary_fits(size_px: int) -> bool:
        """Follow a side of the input to the grid that the auxiliary head pools: five cells must be left."""
        after_stem = (((size_px - 3) // 2 + 1 - 2) - 3) // 2 + 1
        grid = (((after_stem - 2) - 3) // 2 + 1 - 3) // 2 + 1
        window, step = _AUXILIARY_POOL
        return (grid - window) // step + 1 >= _AUXILIARY_KERNEL


def _resnet(name: str) -> Callable[[int], nn.Module]:
    def build(outputs: int) -> nn.Module:
        network: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=outputs)
        return network

    return build


def _inception_resnet(outputs: int) -> nn.Module:
    network: nn.Module = timm.create_model("inception_resnet_v2", pretrained=False, num_classes=outputs)
    return network


_RESNETS: Final = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
_BUILDERS: Final[Mapping[str, Callable[[int], nn.Module]]] = {
    **{name: _resnet(name) for name in (*_RESNETS, "densenet161")},
    "inceptionv3": InceptionV3,
    "inceptionresnetv2": _inception_resnet,
    "resnet50v2": ResNet50V2,
    "resnet50v2-timm": partial(ResNet50V2, layout="timm"),
}
_OF_ONE_SIZE: Final[Mapping[str, Callable[[int, int], nn.Module]]] = {
    "covidnet": COVIDNet,
    "covidnet-paper": partial(COVIDNet, as_published=True),
}
ARCHITECTURES: Final = (*_BUILDERS, *_OF_ONE_SIZE, *(f"{name}{FINE}" for name in _RESNETS))
_DEFAULT_SIZE_PX: Final = 224


def build_network(architecture: str, outputs: int, size_px: int = _DEFAULT_SIZE_PX) -> nn.Module:
    """Make an untrained network with ``outputs`` logits.

    Parameters
    ----------
    architecture
        One of `ARCHITECTURES`; ``-stride16`` keeps a ResNet's last block at a sixteenth of the input's size, so that
        its maps have four times the cells (14 x 14 at 224 px).
    outputs
        Rows of the last linear layer.
    size_px
        Side of the films, for a network whose linear layers see the flattened grid (COVID-Net); the others take any.

    Returns
    -------
    Module
        ``(N, 3, H, W)`` to ``(N, outputs)`` logits; parameters carry the library's names (torchvision; timm for
        Inception-ResNet-v2).

    Raises
    ------
    ValueError
        If the architecture is unknown.

    References
    ----------
    papers/1, section III (ResNets); papers/2, table 1 (all five members); papers/3, section 4.1 (the last two).
    """
    base = architecture.removesuffix(FINE)
    if architecture not in ARCHITECTURES:
        raise ValueError(f"architecture {architecture!r}; one of {', '.join(ARCHITECTURES)} expected")
    network = _OF_ONE_SIZE[base](outputs, size_px) if base in _OF_ONE_SIZE else _BUILDERS[base](outputs)
    if architecture != base:
        for module in network.get_submodule("layer4.0").modules():
            if isinstance(module, nn.Conv2d):
                module.stride = (1, 1)
    return network
