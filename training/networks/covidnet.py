"""COVID-Net as papers/3 rebuilds it: projection-expansion-projection-extension blocks and three linear layers."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

_BLOCKS: Final = ((256, 3), (512, 4), (1024, 5), (2048, 3))
_HIDDEN: Final = 1024
_EXTENSION_SCALE: Final = 0.2
"""Where the scale of every PEPX's last normalisation starts."""
_KERAS_EPSILON: Final = 1e-3  # Keras's default for batch normalisation
NO_CAM: Final = (
    "COVID-Net flattens its last grid into two hidden layers: without global average pooling and one linear layer"
    " there is no class activation map whose mean plus bias is the logit"
)
"""Why COVID-Net has no class activation map."""


def _plain(convolution: nn.Conv2d) -> nn.Module:
    return convolution


def _activated(convolution: nn.Conv2d) -> nn.Module:
    norm = nn.BatchNorm2d(convolution.out_channels, eps=_KERAS_EPSILON)
    return nn.Sequential(OrderedDict(conv=convolution, norm=norm, act=nn.ReLU()))


class _Pepx(nn.Sequential):
    """Projection to c/2, expansion to 3c/4, depth-wise 3 x 3, projection to c/2, extension to c (SPEC 3.3)."""

    def __init__(self, inputs: int, channels: int, finish: Callable[[nn.Conv2d], nn.Module]) -> None:
        half, wide = channels // 2, 3 * channels // 4
        super().__init__(
            OrderedDict(
                projection1=finish(nn.Conv2d(inputs, half, 1)),
                expansion=finish(nn.Conv2d(half, wide, 1)),
                depthwise=finish(nn.Conv2d(wide, wide, 3, padding=1, groups=wide)),
                projection2=finish(nn.Conv2d(wide, half, 1)),
                extension=finish(nn.Conv2d(half, channels, 1)),
            )
        )


class _Block(nn.Module):
    """Several PEPX in a row; a 1 x 1 convolution of the block's input is added after every one of them."""

    def __init__(self, inputs: int, channels: int, count: int, finish: Callable[[nn.Conv2d], nn.Module]) -> None:
        super().__init__()
        self.shortcut = finish(nn.Conv2d(inputs, channels, 1))
        self.pepx = nn.ModuleList(_Pepx(inputs if k == 0 else channels, channels, finish) for k in range(count))

    def forward(self, x: Tensor) -> Tensor:
        """Compute ``(N, channels, h, w)`` of ``(N, inputs, h, w)``."""
        shortcut: Tensor = self.shortcut(x)
        for pepx in self.pepx:
            x = pepx(x) + shortcut
        return x


class COVIDNet(nn.Module):
    """COVID-Net for square films of one size; its linear layers see the flattened grid.

    Parameters
    ----------
    outputs
        Classes.
    size_px
        Side of the films.
    as_published
        The network that papers/3 trained: no batch normalisation and no activation in any convolution, and no gradient
        for the blocks (their published counts hold none of their weights), so that they stay as they were drawn.
        Otherwise every convolution of the blocks is followed by batch normalisation and ReLU, and is trained. The last
        normalisation of a PEPX starts at a fifth: seventy-five normalised layers in a row would otherwise make each
        rounding error about 1.7 times as large in every PEPX, so that single precision knows the answer to 0.4 %.

    References
    ----------
    Wang, Lin, Wong, Scientific Reports 2020 (the blocks, the long-range connections). papers/3, section 4.1.2, table 1.
    """

    def __init__(self, outputs: int, size_px: int = 224, *, as_published: bool = False) -> None:
        super().__init__()
        finish = _plain if as_published else _activated
        self.size_px = size_px
        self.stem = finish(nn.Conv2d(3, 64, 7, 2, padding=3))
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.blocks = nn.ModuleList()
        channels = 64
        for width, count in _BLOCKS:
            self.blocks.append(_Block(channels, width, count, finish))
            channels = width
        grid = -(-size_px // 2)
        for _ in _BLOCKS:
            grid = -(-grid // 2)
        self.fc1 = nn.Linear(channels * grid * grid, _HIDDEN)
        self.norm1 = nn.BatchNorm1d(_HIDDEN, eps=_KERAS_EPSILON)
        self.fc2 = nn.Linear(_HIDDEN, _HIDDEN)
        self.norm2 = nn.BatchNorm1d(_HIDDEN, eps=_KERAS_EPSILON)
        self.fc = nn.Linear(_HIDDEN, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)  # Keras's default
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if as_published:
            self.blocks.requires_grad_(requires_grad=False)
        else:
            for name, module in self.blocks.named_modules():
                if name.endswith("extension.norm"):
                    nn.init.constant_(module.get_parameter("weight"), _EXTENSION_SCALE)

    def hidden(self, films: Tensor) -> Tensor:
        """Compute what the last linear layer sees, ``(N, 1024)``."""
        x = self.stem(films)
        for block in self.blocks:
            x = block(self.pool(x))
        x = torch.relu(self.norm1(self.fc1(torch.flatten(x, 1))))
        return torch.relu(self.norm2(self.fc2(x)))

    def forward(self, films: Tensor) -> Tensor:
        """Compute the logits ``(N, K)`` of ``(N, 3, size_px, size_px)`` films."""
        logits: Tensor = self.fc(self.hidden(films))
        return logits
