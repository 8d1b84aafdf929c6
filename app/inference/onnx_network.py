"""A released network that answers, with class activation maps if it has any, run by ONNX Runtime."""

from typing import Final

import numpy as np

from app.domain.arrays import FloatMap, NetworkInput
from app.domain.errors import ArtifactError
from app.inference.artifact import Artifact
from app.inference.device import Device
from app.inference.expert import DeviceReport, NetworkOutputs
from app.inference.manifest import Manifest
from app.inference.onnx_session import OnnxSession

IDENTITY_TOLERANCE: Final = 1e-3
"""Largest |mean(CAM) + bias - logit|, relative to the largest logit or 1."""


class OnnxNetwork:
    """A `Network` backed by one inference session.

    Parameters
    ----------
    artifact
        The released directory of an expert, a multi-label or a multi-class network.
    device
        Where it must run.

    Raises
    ------
    ArtifactError
        If a hash, an output or a golden answer is not what the manifest says, or the maps are not those of the logits.
    DeviceUnavailableError
        If the session does not run on ``device``.
    """

    def __init__(self, artifact: Artifact, device: Device) -> None:
        self._session = OnnxSession(artifact, device, artifact.manifest.wanted_outputs)
        self._biases = self._checked_biases()

    @property
    def manifest(self) -> Manifest:
        """How to feed it and read it."""
        return self._session.artifact.manifest

    @property
    def artifact(self) -> Artifact:
        """The directory it was loaded from."""
        return self._session.artifact

    @property
    def runs_on(self) -> DeviceReport:
        """The device that was checked after loading."""
        return self._session.runs_on

    @property
    def biases(self) -> FloatMap:
        """What its logits have beside the means of its maps, ``(K,)``, as its golden answers have it; NaN without."""
        return self._biases

    def __call__(self, films: NetworkInput, *, maps: bool = True, features: bool = False) -> NetworkOutputs:
        """Run a batch ``(N, C, H, W)``; only what is asked for, and is there, is computed to the end and moved."""
        asked = {"logits": True, "cam": maps, "features": features}
        names = [name for name in self.manifest.wanted_outputs if asked.get(name, False)]
        found = self._session.run(films, names)
        return NetworkOutputs(found["logits"], found.get("cam"), found.get("features"))

    def _checked_biases(self) -> FloatMap:
        """Check mean(CAM) + b = logit without knowing b: it must be the same for every golden film (SPEC 1.5)."""
        logits, cam = self._session.golden["logits"], self._session.golden.get("cam")
        if cam is None:
            return np.full(logits.shape[1], np.nan)
        bias: FloatMap = logits - cam.mean(axis=(2, 3), dtype=np.float64)
        scale = max(1.0, float(np.abs(logits).max()))
        if float(np.ptp(bias, axis=0).max()) > IDENTITY_TOLERANCE * scale:
            raise ArtifactError(
                f"{self._session.where}: logit - mean(CAM) is not a constant; the maps do not belong to the logits"
            )
        mean: FloatMap = bias.mean(axis=0)
        return mean
