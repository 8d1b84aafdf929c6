"""Networks whose class activation maps are exact, where they begin, and what their maps are made of."""

from training.networks.anatomy import Anatomy, anatomy_of, head_of
from training.networks.architectures import ARCHITECTURES, EXPERT_OUTPUTS, build_network
from training.networks.explained import ExplainedNetwork, LogitsNetwork
from training.networks.grid import grid_rectangle
from training.networks.weights import WeightsError, grow_trunk, initialise, load_trunk, zero_head

__all__ = [
    "ARCHITECTURES",
    "EXPERT_OUTPUTS",
    "Anatomy",
    "ExplainedNetwork",
    "LogitsNetwork",
    "WeightsError",
    "anatomy_of",
    "build_network",
    "grid_rectangle",
    "grow_trunk",
    "head_of",
    "initialise",
    "load_trunk",
    "zero_head",
]
