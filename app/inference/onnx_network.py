"""A released network run by ONNX Runtime, verified before its first answer."""

from typing import Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from app.domain.arrays import NetworkInput
from app.domain.errors import ArtifactError
from app.inference.artifact import Artifact, verify_files
from app.inference.device import Device, DeviceUnavailableError, provider_of, provider_options, session_options
from app.inference.expert import DeviceReport, NetworkOutputs
from app.inference.manifest import GOLDEN_FILE, Manifest

INPUT_NAME: Final = "films"
_TOLERANCE: Final = {"cpu": 1e-3, "cuda": 5e-3}
"""Largest difference to a golden answer over its largest value: other processors sum in another order."""
IDENTITY_TOLERANCE: Final = 1e-3
"""Largest |mean(CAM) + bias - logit|, relative to the largest logit or 1."""


class OnnxNetwork:
    """A `Network` backed by one inference session.

    Parameters
    ----------
    artifact
        The released directory; its files are hashed before anything is loaded.
    device
        Where it must run.

    Raises
    ------
    ArtifactError
        If a hash, an output or a golden answer is not what the manifest says.
    DeviceUnavailableError
        If the session does not run on ``device``.
    """

    def __init__(self, artifact: Artifact, device: Device) -> None:
        verify_files(artifact)
        self._artifact = artifact
        try:
            self._session = ort.InferenceSession(
                str(artifact.model_path), session_options(device), providers=provider_options(device)
            )
        except Exception as error:  # onnxruntime raises its own unexported classes for a file it cannot load
            raise ArtifactError(f"{self._where}: onnxruntime cannot load the model: {error}") from error
        used = self._session.get_providers()[0]
        if used != provider_of(device):
            raise DeviceUnavailableError(f"{self._where}: {provider_of(device)} was asked for, onnxruntime uses {used}")
        self._runs_on = DeviceReport(device, used)
        self._check_signature()
        self._check_golden(_TOLERANCE[device])

    @property
    def _where(self) -> str:
        return f"{self._artifact.manifest.name} {self._artifact.manifest.version}"

    @property
    def manifest(self) -> Manifest:
        """How to feed it and read it."""
        return self._artifact.manifest

    @property
    def artifact(self) -> Artifact:
        """The directory it was loaded from."""
        return self._artifact

    @property
    def runs_on(self) -> DeviceReport:
        """The device that was checked after loading."""
        return self._runs_on

    def __call__(self, films: NetworkInput, *, maps: bool = True, features: bool = False) -> NetworkOutputs:
        """Run a batch ``(N, C, H, W)``; only what is asked for is computed to the end and moved."""
        names = ["logits", *(["cam"] if maps else []), *(["features"] if features else [])]
        found = dict(zip(names, self._session.run(names, {INPUT_NAME: films}), strict=True))
        return NetworkOutputs(found["logits"], found.get("cam"), found.get("features"))

    def _check_signature(self) -> None:
        outputs = {output.name for output in self._session.get_outputs()}
        if not {"logits", "features", "cam"} <= outputs:
            raise ArtifactError(f"{self._where}: the model's outputs are {sorted(outputs)}")
        inputs = self._session.get_inputs()
        entry = self.manifest.input
        wanted = [entry.channels, entry.size_px, entry.size_px]
        if len(inputs) != 1 or inputs[0].name != INPUT_NAME or list(inputs[0].shape[1:]) != wanted:
            found = ", ".join(f"{each.name} {each.shape}" for each in inputs)
            raise ArtifactError(f"{self._where}: the model takes {found}, the manifest says {INPUT_NAME} {wanted}")

    def _check_golden(self, tolerance: float) -> None:
        try:
            path = self._artifact.path(GOLDEN_FILE)
            with path.open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
                golden = {name: stored[name] for name in ("films", "logits", "features", "cam")}
        except Exception as error:  # numpy lets through what zipfile, zlib and tokenize raise for a damaged archive
            raise ArtifactError(f"{self._where}: {GOLDEN_FILE} cannot be read: {error}") from error
        films = golden["films"].astype(np.float32)
        entry = self.manifest.input
        if len(films) < 2 or films.shape[1:] != (entry.channels, entry.size_px, entry.size_px):
            raise ArtifactError(f"{self._where}: golden films have shape {films.shape}; two or more inputs expected")
        answer = self(films, maps=True, features=True)
        for name, found in (("logits", answer.logits), ("cam", answer.cam), ("features", answer.features)):
            self._check_shape(name, found)
            expected = golden[name]
            if found is None or found.shape != expected.shape:
                raise ArtifactError(f"{self._where}: golden {name} have another shape")
            difference = float(np.abs(found - expected).max()) / max(float(np.abs(expected).max()), 1e-6)
            if not difference <= tolerance:
                raise ArtifactError(
                    f"{self._where}: {name} differ from the golden answer by {difference:.2g} of its largest value"
                )
        self._check_identity(answer)

    def _check_shape(self, name: str, found: NDArray[np.float32] | None) -> None:
        """Check an output against the manifest's; what depends on the batch is a word there."""
        promised = self.manifest.outputs[name]
        shape = () if found is None else found.shape
        agrees = len(shape) == len(promised) and all(
            isinstance(side, str) or side == real for side, real in zip(promised, shape, strict=True)
        )
        if not agrees or (name != "features" and shape[1] != len(self.manifest.labels)):
            raise ArtifactError(
                f"{self._where}: {name} have shape {shape}, the manifest says {promised}"
                f" and {len(self.manifest.labels)} labels"
            )

    def _check_identity(self, answer: NetworkOutputs) -> None:
        """Check mean(CAM) + b = logit without knowing b: it must be the same for every golden film (SPEC 1.5)."""
        if answer.cam is None:
            raise ArtifactError(f"{self._where}: the model gives no class activation maps")
        bias = answer.logits - answer.cam.mean(axis=(2, 3))
        scale = max(1.0, float(np.abs(answer.logits).max()))
        if float(np.ptp(bias, axis=0).max()) > IDENTITY_TOLERANCE * scale:
            raise ArtifactError(
                f"{self._where}: logit - mean(CAM) is not a constant; the maps do not belong to the logits"
            )
