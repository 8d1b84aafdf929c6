"""Small experts for the drawn films: trained in seconds, with maps as exact as the large ones'."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from app.domain.preprocessing import InputSpecification
from training.networks import EXPERT_OUTPUTS, zero_head
from training.overlap_phantoms import SIDE_PX, Content, OverlapPhantom, Scene

SPECIFICATION: Final = InputSpecification(size_px=SIDE_PX, channels=1, intensity="full-range", mean=(0.4,), std=(0.25,))
BATCH: Final = 32
STEPS: Final = 250
TRAINING_FILMS: Final = 1400
_LEARNING_RATE: Final = 4e-3
_WEIGHT_DECAY: Final = 0.02
_HELD_OUT: Final = 1_000_000
"""Seeds of test films start here; those of training films stay below."""


CONTENTS: Final[tuple[Content, ...]] = ("neither", "first", "second", "both")


class SmallExpert(nn.Module):
    """Convolutions to an 8 x 8 grid, global average pooling, one linear layer that starts at zero.

    Its parts carry the names of a ResNet's, so that `training.networks.ExplainedNetwork` and every audit read it. A
    cell of the grid sees 22 pixels of 64, around its own centre: the kernels that halve the grid are even. A ResNet's
    are odd, and the middle of what a cell can see lies up to half a cell above and to the left of its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 4, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.maxpool = nn.Identity()
        self.layer1 = _block(16, 32, 4, stride=2)
        self.layer2 = _block(32, 32, 1)
        self.layer3 = _block(32, 64, 4, stride=2)
        self.layer4 = _block(64, 64, 1)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, EXPERT_OUTPUTS)
        zero_head(self)

    def forward(self, films: Tensor) -> Tensor:
        """Give the logits ``(N, 2)`` of ``(N, 1, H, W)`` films."""
        x = self.relu(self.bn1(self.conv1(films)))
        features = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(torch.flatten(self.avgpool(features), 1))
        return logits


def _block(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=(kernel - 1) // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


@dataclass(frozen=True, slots=True)
class Mixture:
    """What a set of drawn films is made of; shares sum to 1."""

    neither: float
    first: float
    second: float
    both: float

    def draw(self, scene: Scene, count: int, first_seed: int) -> list[OverlapPhantom]:
        """Draw films in the mixture's shares, in an order that the seed decides."""
        random = np.random.default_rng(first_seed)
        chosen = random.choice(len(CONTENTS), count, p=[getattr(self, content) for content in CONTENTS])
        return [scene.draw(CONTENTS[index], first_seed + k) for k, index in enumerate(chosen)]


APART: Final = Mixture(neither=0.25, first=0.25, second=0.25, both=0.25)
"""Each expert's negatives show the other class alone in half of the cases: it must tell the classes apart."""
FIRST_UNAWARE: Final = Mixture(neither=0.5, first=0.25, second=0.0, both=0.25)
SECOND_UNAWARE: Final = Mixture(neither=0.5, first=0.0, second=0.25, both=0.25)
"""Each expert's negatives show neither class: nothing tells it which signs the other class shares."""


def held_out_films(scene: Scene, content: Content, count: int, seed: int) -> list[OverlapPhantom]:
    """Draw films that no expert of any seed has seen."""
    return [scene.draw(content, _HELD_OUT + seed * 10_000 + k) for k in range(count)]


def as_inputs(films: Sequence[OverlapPhantom]) -> Tensor:
    """Normalise films as serving does with `SPECIFICATION`, ``(N, 1, H, W)``."""
    grey = np.stack([film.grey for film in films]).astype(np.float32) / np.float32(255)
    return torch.from_numpy((grey[:, None] - SPECIFICATION.mean[0]) / SPECIFICATION.std[0]).float()


def train_expert(
    films: Sequence[OverlapPhantom], is_positive: Sequence[bool], seed: int, steps: int = STEPS
) -> nn.Module:
    """Train a small expert: cross-entropy, AdamW, one cycle of the learning rate.

    Parameters
    ----------
    films, is_positive
        Training films and whether each shows the expert's class.
    seed
        Of the weights and the order of the films.
    steps
        Batches of `BATCH` films.

    Returns
    -------
    Module
        In evaluation mode.
    """
    torch.manual_seed(seed)
    network = SmallExpert().to(memory_format=torch.channels_last)
    inputs, labels = as_inputs(films), torch.tensor(is_positive).long()
    optimiser = torch.optim.AdamW(network.parameters(), _LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _LEARNING_RATE, total_steps=steps)
    for _ in range(steps):
        chosen = torch.randint(len(films), (BATCH,))
        loss = functional.cross_entropy(network(inputs[chosen]), labels[chosen])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's gap
        optimiser.step()
        schedule.step()
    return network.eval()


def accuracy(network: nn.Module, films: Sequence[OverlapPhantom], is_positive: Sequence[bool]) -> float:
    """Share of films that a trained expert decides rightly."""
    with torch.inference_mode():
        said = network(as_inputs(films)).argmax(1).numpy().astype(bool)
    return float((said == np.array(is_positive)).mean())
