"""A network that also returns what its maps are made of."""

import torch
from torch import Tensor, nn

from training.networks.anatomy import anatomy_of, head_of


class ExplainedNetwork(nn.Module):
    """A network with its last activation and the class activation maps made of it.

    Outputs ``logits (N, K)``, ``features (N, C, h, w)`` and ``cam (N, K, h, w)``; the maps are the features contracted
    with the linear layer's weights, without the bias (papers/1, eq. 1). The logits go through global average pooling,
    so mean(CAM) + b = logit is a real check of the graph.

    Parameters
    ----------
    network
        As made by `training.networks.build_network`; its mode is left as it is.

    Raises
    ------
    TypeError
        If it has no class activation map, with the reason.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        anatomy = anatomy_of(network)
        if anatomy.no_cam:
            raise TypeError(anatomy.no_cam)
        self.network = network
        self._features = anatomy.features

    def forward(self, films: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute logits, features and class activation maps of ``(N, 3, H, W)`` inputs."""
        head = head_of(self.network)
        features = self._features(self.network, films)
        pooled = torch.flatten(nn.functional.adaptive_avg_pool2d(features, 1), 1)
        logits: Tensor = head(pooled)
        cam = torch.einsum("nchw,kc->nkhw", features, head.weight)
        return logits, features, cam


class LogitsNetwork(nn.Module):
    """A network that answers and has no class activation map: ``logits (N, K)`` alone.

    Parameters
    ----------
    network
        As made by `training.networks.build_network`; its mode is left as it is.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, films: Tensor) -> tuple[Tensor]:
        """Compute the logits of ``(N, 3, H, W)`` inputs."""
        return (self.network(films),)
