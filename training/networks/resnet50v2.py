"""ResNet50V2 as Keras builds it: pre-activation, biases where Keras has them, strides in the last block of a stage."""

from collections import OrderedDict
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

_WIDTHS: Final = (64, 128, 256, 512)
_BLOCKS: Final = (3, 4, 6, 3)
_EXPANSION: Final = 4
_KERAS_EPSILON: Final = 1.001e-5
_TIMM_EPSILON: Final = 1e-5


class _Subsampled(nn.Module):
    """A shortcut without weights: every second cell (Keras: max pooling of 1 x 1 cells)."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Keep the cells at multiples of the stride."""
        return x[:, :, :: self.stride, :: self.stride]


class _Block(nn.Module):
    """Pre-activation bottleneck: norm, 1 x 1, norm, 3 x 3, norm, 1 x 1 with bias, added to the shortcut.

    Where the number of channels changes the shortcut is a 1 x 1 convolution with bias of the activated input, elsewhere
    the input itself.
    """

    def __init__(self, inputs: int, width: int, stride: int, epsilon: float) -> None:
        super().__init__()
        outputs = _EXPANSION * width
        norm = partial(nn.BatchNorm2d, eps=epsilon)
        self.norm1 = norm(inputs)
        self.downsample: nn.Module | None = None
        if inputs != outputs:
            self.downsample = nn.Sequential(OrderedDict(conv=nn.Conv2d(inputs, outputs, 1, stride)))
        self.skip = _Subsampled(stride) if stride > 1 else nn.Identity()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.norm2 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm3 = norm(width)
        self.conv3 = nn.Conv2d(width, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Compute ``(N, 4 width, h / stride, w / stride)``."""
        active = functional.relu(self.norm1(x))
        shortcut = self.skip(x) if self.downsample is None else self.downsample(active)
        y = self.conv1(active)
        y = self.conv2(functional.relu(self.norm2(y)))
        y = self.conv3(functional.relu(self.norm3(y)))
        summed: Tensor = y + shortcut
        return summed


class ResNet50V2(nn.Module):
    """ResNet-50 with pre-activation, global average pooling and one linear layer.

    Without its linear layer it has 23,519,360 trainable parameters, with three classes 23,525,507 (SPEC 3.2). Modules
    carry the names of timm's ``resnetv2_50``, the linear layer is ``fc``. Batch normalisation follows new statistics by
    a tenth a step, as torch and timm do, not by Keras's hundredth: a few hundred steps are then enough.

    Parameters
    ----------
    outputs
        Rows of the linear layer.
    layout
        ``keras``: the *last* block of conv2, conv3 and conv4 has stride 2, the first pooling pads with zeros, as in
        ``keras.applications.ResNet50V2``, which the authors of papers/3 used. ``timm``: the *first* block of conv3,
        conv4 and conv5 has it, the first pooling pads with nothing, so that timm's ImageNet weights (biases zero)
        compute what timm computes. The parameters have the same shapes in both.

    References
    ----------
    He et al., Identity mappings in deep residual networks, ECCV 2016. papers/3, section 4.1.1 and table 1.
    """

    def __init__(self, outputs: int, layout: str = "keras") -> None:
        super().__init__()
        if layout not in {"keras", "timm"}:
            raise ValueError(f"layout {layout!r}; keras or timm expected")
        self.layout = layout
        keras = layout == "keras"
        epsilon = _KERAS_EPSILON if keras else _TIMM_EPSILON
        self.stem = nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 64, 7, 2, padding=3)))
        stages: list[nn.Module] = []
        channels = 64
        for stage, (width, count) in enumerate(zip(_WIDTHS, _BLOCKS, strict=True)):
            strided = (count - 1 if stage < len(_WIDTHS) - 1 else None) if keras else (0 if stage > 0 else None)
            blocks: list[nn.Module] = []
            for block in range(count):
                blocks.append(_Block(channels, width, 2 if block == strided else 1, epsilon))
                channels = _EXPANSION * width
            stages.append(nn.ModuleDict({"blocks": nn.Sequential(*blocks)}))
        self.stages = nn.ModuleList(stages)
        self.norm = nn.BatchNorm2d(channels, eps=epsilon)
        self.fc = nn.Linear(channels, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)  # Keras's default
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward_features(self, films: Tensor) -> Tensor:
        """Compute the last activation ``(N, 2048, h, w)`` of ``(N, 3, H, W)`` films."""
        x = self.stem(films)
        if self.layout == "keras":
            x = functional.max_pool2d(functional.pad(x, (1, 1, 1, 1)), 3, 2)
        else:
            x = functional.max_pool2d(x, 3, 2, padding=1)
        for stage in self.stages:
            assert isinstance(stage, nn.ModuleDict)
            x = stage["blocks"](x)
        return functional.relu(self.norm(x))

    def forward(self, films: Tensor) -> Tensor:
        """Compute the logits ``(N, K)`` of ``(N, 3, H, W)`` films."""
        pooled = torch.flatten(functional.adaptive_avg_pool2d(self.forward_features(films), 1), 1)
        logits: Tensor = self.fc(pooled)
        return logits
