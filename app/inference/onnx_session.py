"""One ONNX Runtime session of a released artefact, verified before its first answer."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from app.domain.arrays import NetworkInput
from app.domain.errors import ArtifactError
from app.inference.artifact import Artifact, verify_files
from app.inference.device import Device, DeviceUnavailableError, provider_of, provider_options, session_options
from app.inference.expert import DeviceReport
from app.inference.manifest import GOLDEN_FILE

INPUT_NAME: Final = "films"
_TOLERANCE: Final = {"cpu": 1e-3, "cuda": 5e-3}
"""Largest difference to a golden answer over its largest value: other processors sum in another order."""
_PER_LABEL: Final = ("logits", "cam")

Answer: TypeAlias = Mapping[str, NDArray[np.float32]]


class OnnxSession:
    """A loaded graph whose files, signature and golden answers are what the manifest says.

    Parameters
    ----------
    artifact
        The released directory; its files are hashed before anything is loaded.
    device
        Where it must run.
    outputs
        Names of the outputs that it must have and that ``golden.npz`` must hold.

    Attributes
    ----------
    artifact
        The directory it was loaded from.
    runs_on
        The device that was checked after loading.
    golden
        Its own answer to the golden films, for checks that belong to one kind of network.

    Raises
    ------
    ArtifactError
        If a hash, an output or a golden answer is not what the manifest says.
    DeviceUnavailableError
        If the session does not run on ``device``.
    """

    def __init__(self, artifact: Artifact, device: Device, outputs: Sequence[str]) -> None:
        verify_files(artifact)
        self.artifact = artifact
        try:
            self._session = ort.InferenceSession(
                str(artifact.model_path), session_options(device), providers=provider_options(device)
            )
        except Exception as error:  # onnxruntime raises its own unexported classes for a file it cannot load
            raise ArtifactError(f"{self.where}: onnxruntime cannot load the model: {error}") from error
        used = self._session.get_providers()[0]
        if used != provider_of(device):
            raise DeviceUnavailableError(f"{self.where}: {provider_of(device)} was asked for, onnxruntime uses {used}")
        self.runs_on = DeviceReport(device, used)
        self._check_signature(outputs)
        self.golden = self._check_golden(outputs, _TOLERANCE[device])

    @property
    def where(self) -> str:
        """Name and version, for messages."""
        return f"{self.artifact.manifest.name} {self.artifact.manifest.version}"

    def run(self, films: NetworkInput, outputs: Sequence[str]) -> Answer:
        """Run a batch ``(N, C, H, W)``; only what is asked for is computed to the end and moved."""
        return dict(zip(outputs, self._session.run(list(outputs), {INPUT_NAME: films}), strict=True))

    def _check_signature(self, wanted: Sequence[str]) -> None:
        outputs = {output.name for output in self._session.get_outputs()}
        if not set(wanted) <= outputs:
            raise ArtifactError(f"{self.where}: the model's outputs are {sorted(outputs)}")
        inputs = self._session.get_inputs()
        entry = self.artifact.manifest.input
        shape = [entry.channels, entry.size_px, entry.size_px]
        if len(inputs) != 1 or inputs[0].name != INPUT_NAME or list(inputs[0].shape[1:]) != shape:
            found = ", ".join(f"{each.name} {each.shape}" for each in inputs)
            raise ArtifactError(f"{self.where}: the model takes {found}, the manifest says {INPUT_NAME} {shape}")

    def _check_golden(self, outputs: Sequence[str], tolerance: float) -> Answer:
        try:
            path = self.artifact.path(GOLDEN_FILE)
            with path.open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
                golden = {name: stored[name] for name in ("films", *outputs)}
        except Exception as error:  # numpy lets through what zipfile, zlib and tokenize raise for a damaged archive
            raise ArtifactError(f"{self.where}: {GOLDEN_FILE} cannot be read: {error}") from error
        films = golden["films"].astype(np.float32)
        entry = self.artifact.manifest.input
        if len(films) < 2 or films.shape[1:] != (entry.channels, entry.size_px, entry.size_px):
            raise ArtifactError(f"{self.where}: golden films have shape {films.shape}; two or more inputs expected")
        answer = self.run(films, outputs)
        for name, found in answer.items():
            self._check_shape(name, found)
            expected = golden[name]
            if found.shape != expected.shape:
                raise ArtifactError(f"{self.where}: golden {name} have another shape")
            difference = float(np.abs(found - expected).max()) / max(float(np.abs(expected).max()), 1e-6)
            if not difference <= tolerance:
                raise ArtifactError(
                    f"{self.where}: {name} differ from the golden answer by {difference:.2g} of its largest value"
                )
        return answer

    def _check_shape(self, name: str, found: NDArray[np.float32]) -> None:
        """Check an output against the manifest's; what depends on the batch is a word there."""
        manifest = self.artifact.manifest
        promised = manifest.outputs[name]
        agrees = len(found.shape) == len(promised) and all(
            isinstance(side, str) or side == real for side, real in zip(promised, found.shape, strict=True)
        )
        if not agrees or (name in _PER_LABEL and found.shape[1] != len(manifest.labels)):
            raise ArtifactError(
                f"{self.where}: {name} have shape {found.shape}, the manifest says {promised}"
                f" and {len(manifest.labels)} labels"
            )
