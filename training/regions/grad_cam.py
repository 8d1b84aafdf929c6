"""Gradient-weighted class activation maps, for classification nets that have no exact ones."""

import torch
from torch import Tensor

from training.networks.saliency import SaliencyNetwork


def grad_cam(network: SaliencyNetwork, features: Tensor, classes: Tensor) -> Tensor:
    """Weight each feature map by the mean gradient of the class's logit, sum, rectify.

    Parameters
    ----------
    network
        In evaluation mode.
    features
        ``(N, C, h, w)``.
    classes
        ``(N,)`` int64, one class a film.

    Returns
    -------
    Tensor
        ``(N, h, w)``, at least 0.

    Notes
    -----
    The gradient is taken before softmax. With one linear layer after global average pooling of Z cells it is the
    layer's weight / Z everywhere, so the map equals ReLU(CAM) / Z.

    References
    ----------
    Selvaraju et al., ICCV 2017, eq. 1 and 2.
    """
    leaf = features.detach().requires_grad_()
    with torch.enable_grad():
        scores = network.classify(leaf).gather(1, classes[:, None]).sum()
        (gradients,) = torch.autograd.grad(scores, leaf)
    return torch.relu(torch.einsum("nchw,nc->nhw", leaf.detach(), gradients.mean(dim=(2, 3))))
