"""An expert that also predicts a region: a second output of the same network, learned from what people outlined."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.domain.arrays import ActivationMaps, NetworkInput
from app.domain.errors import ArtifactError
from app.inference.artifact import Artifact
from app.inference.device import Device
from app.inference.expert import LoadedModel
from app.inference.manifest import REGION_OUTPUT
from app.inference.onnx_network import OnnxNetwork


@dataclass(frozen=True, slots=True)
class RegionOutputs:
    """Outputs of one batch.

    Attributes
    ----------
    logits
        ``(N, 2)`` float32.
    cam
        ``(N, 2, h, w)`` class activation maps in logits, without bias.
    region
        ``(N, S, S)`` float32 in 0..1 on the input's pixels.
    """

    logits: ActivationMaps
    cam: ActivationMaps
    region: NDArray[np.float32]


class RegionNetwork(LoadedModel, Protocol):
    """A loaded expert with a region, as a function of prepared films."""

    def predict(self, films: NetworkInput) -> RegionOutputs:
        """Run a batch ``(N, C, S, S)``."""
        ...


class OnnxRegionNetwork(OnnxNetwork):
    """A `Network` and a `RegionNetwork` in one session; the region is computed only by `predict`.

    Raises
    ------
    ArtifactError
        As `OnnxNetwork`; or if the golden region is no probability.
    """

    def __init__(self, artifact: Artifact, device: Device) -> None:
        super().__init__(artifact, device)
        region = self._session.golden[REGION_OUTPUT]
        if not (float(region.min()) >= 0.0 and float(region.max()) <= 1.0):
            raise ArtifactError(f"{self._session.where}: the region's pixels are no probabilities in 0..1")

    def predict(self, films: NetworkInput) -> RegionOutputs:
        """Run a batch ``(N, C, S, S)``."""
        found = self._session.run(films, ("logits", "cam", REGION_OUTPUT))
        return RegionOutputs(found["logits"], found["cam"], found[REGION_OUTPUT][:, 0])


def onnx_network(artifact: Artifact, device: Device) -> OnnxNetwork:
    """Load an expert or a multi-label network, with its region where it has one."""
    return (OnnxNetwork if artifact.manifest.region is None else OnnxRegionNetwork)(artifact, device)
