"""Where a network keeps what its maps are made of: the last activation, the linear layer, the parts below it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import DenseNet, Inception3

from training.networks.covidnet import NO_CAM, COVIDNet
from training.networks.resnet50v2 import ResNet50V2


@dataclass(frozen=True, slots=True)
class Anatomy:
    """The parts of one family of networks, by the names that its library gives them.

    Attributes
    ----------
    head
        The last linear layer, which follows global average pooling.
    features
        Films ``(N, 3, H, W)`` to the last activation before global average pooling, ``(N, C, h, w)``.
    stages
        From the top down: a stage's name and the prefixes of its modules. What has weights and stands in none of them
        is the stem.
    auxiliary
        Prefix of a part that only training uses and that no export holds; empty where there is none.
    no_cam
        Why there is no class activation map; empty where the linear layer follows global average pooling.
    """

    head: str
    features: Callable[[Any, Tensor], Tensor]  # Any: torch types every submodule as Tensor or Module
    stages: tuple[tuple[str, tuple[str, ...]], ...]
    auxiliary: str = ""
    no_cam: str = ""


def _resnet_features(net: Any, films: Tensor) -> Tensor:  # Any: as above
    x = net.maxpool(net.relu(net.bn1(net.conv1(films))))
    features: Tensor = net.layer4(net.layer3(net.layer2(net.layer1(x))))
    return features


def _densenet_features(net: Any, films: Tensor) -> Tensor:  # Any: as above
    return functional.relu(net.features(films))


_INCEPTION_PARTS: Final = (
    "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2",
    "Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e",
    "Mixed_7a", "Mixed_7b", "Mixed_7c",
)  # fmt: skip


def _inception_features(net: Any, films: Tensor) -> Tensor:  # Any: as above
    x = films
    for part in _INCEPTION_PARTS:
        x = getattr(net, part)(x)
    return x


def _forward_features(net: Any, films: Tensor) -> Tensor:  # Any: as above
    features: Tensor = net.forward_features(films)
    return features


def _no_features(net: Any, films: Tensor) -> Tensor:  # noqa: ARG001  # Any: as above
    raise TypeError(NO_CAM)


_RESNET: Final = Anatomy(
    head="fc",
    features=_resnet_features,
    stages=tuple((layer, (layer,)) for layer in ("layer4", "layer3", "layer2", "layer1")),
)
_DENSENET: Final = Anatomy(
    head="classifier",
    features=_densenet_features,
    stages=(
        ("denseblock4", ("features.denseblock4", "features.norm5")),
        ("denseblock3", ("features.denseblock3", "features.transition3")),
        ("denseblock2", ("features.denseblock2", "features.transition2")),
        ("denseblock1", ("features.denseblock1", "features.transition1")),
    ),
)
_INCEPTION: Final = Anatomy(
    head="fc",
    features=_inception_features,
    stages=tuple(
        (f"mixed{level}", tuple(part for part in _INCEPTION_PARTS if part.startswith(f"Mixed_{level}")))
        for level in (7, 6, 5)
    ),
    auxiliary="AuxLogits",
)
_INCEPTION_RESNET: Final = Anatomy(
    head="classif",
    features=_forward_features,
    stages=(
        ("block8", ("mixed_7a", "repeat_2", "block8", "conv2d_7b")),
        ("block17", ("mixed_6a", "repeat_1")),
        ("block35", ("mixed_5b", "repeat")),
    ),
)

_RESNET50V2: Final = Anatomy(
    head="fc",
    features=_forward_features,
    stages=(
        ("conv5", ("stages.3", "norm")),
        ("conv4", ("stages.2",)),
        ("conv3", ("stages.1",)),
        ("conv2", ("stages.0",)),
    ),
)
_COVIDNET: Final = Anatomy(
    head="fc",
    features=_no_features,
    stages=(
        ("hidden", ("fc1", "norm1", "fc2", "norm2")),
        *((f"block{number}", (f"blocks.{number - 1}",)) for number in (4, 3, 2, 1)),
    ),
    no_cam=NO_CAM,
)


def anatomy_of(network: nn.Module) -> Anatomy:
    """Find a network's parts; whatever is of no other family must carry the names of torchvision's ResNets.

    Raises
    ------
    TypeError
        If the network has no linear layer where its family keeps it.
    """
    if isinstance(network, DenseNet):
        found = _DENSENET
    elif isinstance(network, Inception3):
        found = _INCEPTION
    elif isinstance(network, ResNet50V2):
        found = _RESNET50V2
    elif isinstance(network, COVIDNet):
        found = _COVIDNET
    elif hasattr(network, "conv2d_7b"):
        found = _INCEPTION_RESNET
    else:
        found = _RESNET
    if not isinstance(getattr(network, found.head, None), nn.Linear):
        raise TypeError(f"{type(network).__name__} has no linear layer called {found.head}")
    return found


def head_of(network: nn.Module) -> nn.Linear:
    """Give the last linear layer.

    Raises
    ------
    TypeError
        If there is none.
    """
    head = network.get_submodule(anatomy_of(network).head)
    assert isinstance(head, nn.Linear)
    return head
