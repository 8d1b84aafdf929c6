"""A classifier that also predicts a region: features, classification net and saliency prediction network (papers/4)."""

from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.anatomy import anatomy_of, head_of
from training.networks.architectures import FINE, build_network

SALIENCY_ARCHITECTURES: Final = tuple(
    f"{name}{fine}" for fine in ("", FINE) for name in ("resnet18", "resnet34", "resnet50")
)
"""What may extract the features; the paper's three, and the same with four times the cells."""
HIDDEN_UNITS: Final = 1024
"""Width of the paper's hidden layer, where it is chosen."""
_GROWING_PX: Final = (16, 48, 144)
_NARROW: Final = 16


class NoActivationMapError(TypeError):
    """A class activation map asked of a network whose logits are no linear function of the pooled features."""


def region_sizes(size_px: int) -> tuple[int, int, int, int]:
    """Give the sides of the four upsampled grids: 16, 48, 144 and that of the input.

    The paper's four blocks "upsample 32 times", which no four equal factors do; these sides lead from 7 to 224.
    """
    return (*_GROWING_PX, size_px)


class _UpsamplingBlock(nn.Module):
    """Convolution, ReLU6, bilinear upsampling, batch normalisation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor, side_px: int) -> Tensor:
        x = functional.relu6(self.conv(x))
        x = functional.interpolate(x, size=(side_px, side_px), mode="bilinear", align_corners=False)
        normed: Tensor = self.norm(x)
        return normed


class SaliencyPredictionNetwork(nn.Module):
    """Features to the logits of a region on the input's pixels.

    Parameters
    ----------
    channels
        Of the features; the blocks narrow them to a quarter, a sixteenth, 16 and 1.

    References
    ----------
    papers/4, figure 2.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = (channels, channels // 4, channels // 16, _NARROW, 1)
        self.blocks = nn.ModuleList(_UpsamplingBlock(wide, narrow) for wide, narrow in pairwise(widths))

    def forward(self, features: Tensor, size_px: int) -> Tensor:
        """Predict the region of ``(N, C, h, w)`` features: logits ``(N, 1, size_px, size_px)``."""
        x = features
        for block, side_px in zip(self.blocks, region_sizes(size_px), strict=True):
            x = block(x, side_px)
        return x


class SaliencyNetwork(nn.Module):
    """F-Net, C-Net and SPN: one set of features, a class and a region of each film.

    Parameters
    ----------
    architecture
        One of `SALIENCY_ARCHITECTURES`.
    outputs
        Classes.
    hidden
        Units of a hidden layer in the classification net (papers/4: `HIDDEN_UNITS`); 0 is one linear layer after global
        average pooling, which keeps class activation maps exact.

    Attributes
    ----------
    trunk
        F-Net and C-Net: the ResNet as the library builds it, its last layer ``fc``.
    spn
        The saliency prediction network.

    Raises
    ------
    ValueError
        If the architecture is none of them.
    """

    def __init__(self, architecture: str, outputs: int, hidden: int = 0) -> None:
        super().__init__()
        if architecture not in SALIENCY_ARCHITECTURES:
            raise ValueError(f"architecture {architecture!r}; one of {', '.join(SALIENCY_ARCHITECTURES)} expected")
        self.trunk = build_network(architecture, outputs)
        self._features = anatomy_of(self.trunk).features
        channels = head_of(self.trunk).in_features
        self.spn = SaliencyPredictionNetwork(channels)
        if hidden:
            self.trunk.fc = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, outputs))

    @property
    def has_activation_maps(self) -> bool:
        """Whether the logits are a linear function of the pooled features (papers/1, eq. 1)."""
        return isinstance(self.trunk.fc, nn.Linear)

    def features(self, films: Tensor) -> Tensor:
        """Extract ``(N, C, h, w)`` features of ``(N, 3, S, S)`` films."""
        return self._features(self.trunk, films)

    def classify(self, features: Tensor) -> Tensor:
        """Classify features: logits ``(N, K)``."""
        logits: Tensor = self.trunk.get_submodule("fc")(torch.flatten(functional.adaptive_avg_pool2d(features, 1), 1))
        return logits

    def forward(self, films: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the logits of the classes ``(N, K)`` and of the region ``(N, 1, S, S)``."""
        features = self.features(films)
        return self.classify(features), self.spn(features, films.shape[-1])

    def activation_maps(self, features: Tensor) -> Tensor:
        """Contract features with the classification net's weights: ``(N, K, h, w)``, without the bias.

        Raises
        ------
        NoActivationMapError
            If the classification net has a hidden layer; Grad-CAM (`training.regions.grad_cam`) still applies.
        """
        head = self.trunk.fc
        if not isinstance(head, nn.Linear):
            raise NoActivationMapError(
                "the classification net has a hidden layer: no class activation map, only Grad-CAM"
            )
        return torch.einsum("nchw,kc->nkhw", features, head.weight)


class ExplainedSaliencyNetwork(nn.Module):
    """What is exported: logits, features, class activation maps, and the region's probabilities in 0..1.

    The classifier is its ``network``, so that its parameters carry the names of any expert's; the rest is its ``spn``.

    Parameters
    ----------
    network
        Its mode is left as it is.

    Raises
    ------
    NoActivationMapError
        If the classification net has a hidden layer.
    """

    def __init__(self, network: SaliencyNetwork) -> None:
        super().__init__()
        if not network.has_activation_maps:
            raise NoActivationMapError("a classification net with a hidden layer has no class activation map to export")
        self.network, self.spn = network.trunk, network.spn
        self._features = anatomy_of(network.trunk).features

    def forward(self, films: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Compute ``(N, K)``, ``(N, C, h, w)``, ``(N, K, h, w)`` and ``(N, 1, S, S)`` of ``(N, 3, S, S)`` films."""
        head = head_of(self.network)
        features = self._features(self.network, films)
        logits: Tensor = head(torch.flatten(functional.adaptive_avg_pool2d(features, 1), 1))
        cam = torch.einsum("nchw,kc->nkhw", features, head.weight)
        return logits, features, cam, torch.sigmoid(self.spn(features, films.shape[-1]))
