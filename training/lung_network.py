"""A small encoder and decoder that finds the lungs, and tells a frontal film from anything else."""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

LUNGS: Final = ("right_lung", "left_lung")
"""Planes of the masks: the patient's right lung, then the left."""

FACTS: Final = ("frontal", "inverted", "rotated", "paediatric")
"""What the second head says of the whole picture, each by a logit of its own."""


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class LungNetwork(nn.Module):
    """U-shaped network with five scales (Ronneberger et al., MICCAI 2015), narrow where the grid is fine.

    The first scale is half the input's: a lung's outline needs no more. Average and maximum over the coarsest scale
    feed the second head.

    Parameters
    ----------
    widths
        Channels of the scales, finest first.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 24, 48, 80, 112)) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, widths[0], 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        )
        self.down = nn.ModuleList(
            _block(max(widths[0], widths[max(i - 1, 0)]), width) for i, width in enumerate(widths)
        )
        self.up = nn.ModuleList(
            _block(coarse + fine, fine) for fine, coarse in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.mask = nn.Conv2d(widths[0], len(LUNGS), 1)
        self.drop = nn.Dropout(0.2)
        self.fact = nn.Linear(2 * widths[-1], len(FACTS))

    def forward(self, films: Tensor) -> tuple[Tensor, Tensor]:
        """Find the lungs of ``(N, 1, S, S)`` films.

        Returns
        -------
        Tensor
            Logits of `FACTS`, ``(N, 4)``.
        Tensor
            Logits of `LUNGS`, ``(N, 2, S/2, S/2)``.
        """
        x = self.stem(films)
        scales = []
        for index, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if index else x)
            scales.append(x)
        pooled = torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)
        facts = self.fact(self.drop(pooled))
        for block, fine in zip(self.up, scales[-2::-1], strict=True):
            x = block(torch.cat([functional.interpolate(x, scale_factor=2.0, mode="nearest"), fine], 1))
        return facts, self.mask(x)
