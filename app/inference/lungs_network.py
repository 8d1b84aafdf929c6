"""The network that finds the lungs and says what kind of picture it sees."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.domain.arrays import NetworkInput
from app.domain.errors import ArtifactError
from app.inference.artifact import Artifact
from app.inference.device import Device
from app.inference.expert import DeviceReport, LoadedModel
from app.inference.manifest import LUNG_OUTPUTS, Manifest
from app.inference.onnx_session import OnnxSession


@dataclass(frozen=True, slots=True)
class LungsOutputs:
    """Outputs of one batch.

    Attributes
    ----------
    logits
        ``(N, 4)`` float32, one for each of `app.domain.input_gate.FACTS`, not calibrated.
    lungs
        ``(N, 2, h, w)`` float32 in 0..1 over the whole square input, the right lung first.
    """

    logits: NDArray[np.float32]
    lungs: NDArray[np.float32]


class LungsNetwork(LoadedModel, Protocol):
    """A loaded lungs network as a function of prepared films."""

    def __call__(self, films: NetworkInput) -> LungsOutputs:
        """Run a batch ``(N, C, H, W)``."""
        ...


class OnnxLungsNetwork:
    """A `LungsNetwork` backed by one inference session; small enough not to be worth batches.

    Parameters
    ----------
    artifact
        The released directory of a lungs network.
    device
        Where it must run.

    Raises
    ------
    ArtifactError
        If a hash, an output or a golden answer is not what the manifest says, or the lungs are no probabilities.
    DeviceUnavailableError
        If the session does not run on ``device``.
    """

    def __init__(self, artifact: Artifact, device: Device) -> None:
        self._session = OnnxSession(artifact, device, LUNG_OUTPUTS)
        lungs = self._session.golden["lungs"]
        if float(lungs.min()) < 0.0 or float(lungs.max()) > 1.0:
            raise ArtifactError(f"{self._session.where}: the lungs' cells are no probabilities in 0..1")
        entry = self.manifest.input  # one film, as every request: an accelerator chooses its algorithms now
        self(np.zeros((1, entry.channels, entry.size_px, entry.size_px), np.float32))

    @property
    def manifest(self) -> Manifest:
        """How to feed it and read it."""
        return self._session.artifact.manifest

    @property
    def runs_on(self) -> DeviceReport:
        """The device that was checked after loading."""
        return self._session.runs_on

    def __call__(self, films: NetworkInput) -> LungsOutputs:
        """Run a batch ``(N, C, H, W)``."""
        found = self._session.run(films, LUNG_OUTPUTS)
        return LungsOutputs(found["logits"], found["lungs"])
