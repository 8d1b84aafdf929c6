"""What a trained region network says of prepared films: logits, the class's map, the region."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from app.domain.activation_map import lay_over_film
from app.domain.arrays import HeatMap
from app.domain.preprocessing import Placement
from training.batches import to_batch
from training.networks.saliency import SaliencyNetwork
from training.regions.examples import MeasuredExample
from training.regions.grad_cam import grad_cam

_BATCH: Final = 32
_TWO: Final = 2


@dataclass(frozen=True, slots=True)
class Looked:
    """Answers to some films.

    Attributes
    ----------
    logits
        ``(N, K)``.
    maps
        ``(N, h, w)``: the map of the target (of two classes: the second) or of the film's true class. A class
        activation map where the network has one, else Grad-CAM.
    regions
        ``(N, S, S)`` probabilities.
    """

    logits: NDArray[np.float32]
    maps: NDArray[np.float32]
    regions: NDArray[np.float32]


def look_at(network: SaliencyNetwork, examples: Sequence[MeasuredExample]) -> Looked:
    """Run a network in evaluation mode over prepared films, in single precision."""
    network.eval()
    device = next(network.parameters()).device
    logits, maps, regions = [], [], []
    for start in range(0, len(examples), _BATCH):
        chunk = examples[start : start + _BATCH]
        films = to_batch(np.stack([example.canvas for example in chunk])).to(device)
        with torch.inference_mode():
            features = network.features(films)
            said = network.classify(features)
            region = torch.sigmoid(network.spn(features, films.shape[-1]))
        classes = torch.ones(len(chunk), dtype=torch.int64, device=device)
        if said.shape[1] > _TWO:
            classes = torch.tensor([example.label for example in chunk], device=device)
        if network.has_activation_maps:
            with torch.inference_mode():
                map_ = network.activation_maps(features)[torch.arange(len(chunk), device=device), classes]
        else:
            map_ = grad_cam(network, features.clone(), classes)
        logits.append(said.cpu().numpy())
        maps.append(map_.cpu().numpy())
        regions.append(region[:, 0].cpu().numpy())
    return Looked(np.concatenate(logits), np.concatenate(maps), np.concatenate(regions))


def film_region(region: NDArray[np.float32], placement: Placement) -> HeatMap:
    """Lay a predicted region ``(S, S)`` over the film's own pixels, ``(H, W)``; 0 where the network saw nothing."""
    height, width = placement.film_height, placement.film_width
    return lay_over_film(region.astype(np.float64), placement.extent, height, width, height, width)
