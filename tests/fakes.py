"""Stand-ins for the parts beyond a test: networks that are plain functions, decoders that wait, a clock at rest."""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from app.domain.arrays import NetworkInput, RgbImage
from app.domain.input_gate import FACTS
from app.domain.lungs import LungFields
from app.domain.radiograph import Radiograph
from app.inference.expert import DeviceReport, NetworkOutputs
from app.inference.lungs_network import LungsOutputs
from app.inference.manifest import Manifest
from tests.phantoms import chest_film, digest, radiograph

PATIENCE_S = 5.0
"""Longest wait of a test for something that happens at once."""


def manifest(name: str, *, kind: str = "expert", size_px: int = 8, cells: int = 2, **changes: object) -> Manifest:
    """Give a valid manifest of a network that exists nowhere."""
    labels = {"expert": [f"not_{name}", name], "multilabel": ["pneumonia", "no_finding"], "lungs": list(FACTS)}[kind]
    explained = {"features": ["N", 1, cells, cells], "cam": ["N", len(labels), cells, cells]}
    content = {
        "name": name,
        "version": "1.0.0",
        "kind": kind,
        "title": f"Fake {name}",
        "architecture": "fake",
        "target": name if kind == "expert" else None,
        "labels": [{"name": label} for label in labels],
        "input": {
            "size_px": max(size_px, 32), "channels": 1, "intensity": "full-range", "mean": [0.0], "std": [1.0],
        },
        "opset": 18,
        "outputs": {
            "logits": ["N", len(labels)], **({"lungs": ["N", 2, cells, cells]} if kind == "lungs" else explained),
        },
        "operating_points": {
            label: [{"name": "default", "threshold": 0.5, "sensitivity": 0.9, "specificity": 0.8}] for label in labels
        },
        "code_commit": "0000000",
        "created": datetime(2026, 1, 1, tzinfo=UTC),
        "files": dict.fromkeys(("model.onnx", "golden.npz", "MODEL_CARD.md"), "0" * 64),
    }  # fmt: skip
    return Manifest.model_validate(content | changes)


class FakeNetwork:
    """A network that is a function of its input: logits from the mean, maps from the corners.

    Attributes
    ----------
    sizes
        Batch size of every call, in order.
    """

    def __init__(self, found: Manifest, *, before: Callable[[NetworkInput], None] | None = None) -> None:
        self.manifest = found
        self.runs_on = DeviceReport("cpu", "FakeExecutionProvider")
        self.biases = np.zeros(len(found.labels))
        self.sizes: list[int] = []
        self._before = before

    def __call__(self, films: NetworkInput, *, maps: bool = True, features: bool = False) -> NetworkOutputs:
        self.sizes.append(len(films))
        if self._before is not None:
            self._before(films)
        side = films.shape[2] // 2
        corner = films.mean(axis=1).reshape(len(films), 2, side, 2, side).mean(axis=(2, 4))
        logits = np.stack([-corner.mean(axis=(1, 2)), corner.mean(axis=(1, 2))], axis=1)
        cam = np.stack([-corner, corner], axis=1)
        return NetworkOutputs(logits, cam if maps else None, corner[:, None] if features else None)


class SolidNetwork(FakeNetwork):
    """A network whose answer is the same for every film."""

    def __init__(self, found: Manifest, margin: float, cam: NDArray[np.float64]) -> None:
        super().__init__(found)
        self._margin, self._cam = margin, np.asarray(cam, np.float32)

    def __call__(self, films: NetworkInput, *, maps: bool = True, features: bool = False) -> NetworkOutputs:
        assert not features
        self.sizes.append(len(films))
        logits = np.tile(np.array([-self._margin / 2, self._margin / 2], np.float32), (len(films), 1))
        both = np.stack([-0.5 * self._cam, self._cam])[None].repeat(len(films), axis=0)
        return NetworkOutputs(logits, both if maps else None)


class FakeLungs:
    """A lungs network that finds the same everywhere: lungs on its whole input, and logits of `FACTS`.

    Attributes
    ----------
    logits
        By fact; what is not named is a frontal, upright adult.
    """

    def __init__(self, lungs: LungFields, gate: Mapping[str, float] | None = None, **logits: float) -> None:
        cells = lungs.probability.shape[1]
        self.manifest = manifest("lungs", kind="lungs", size_px=2 * cells, cells=cells, gate=dict(gate or {}))
        self.runs_on = DeviceReport("cpu", "FakeExecutionProvider")
        self.logits = {"frontal": 5.0, "inverted": -5.0, "rotated": -5.0, "paediatric": -5.0} | logits
        self._lungs = lungs.probability

    def __call__(self, films: NetworkInput) -> LungsOutputs:
        logits = np.array([[self.logits[name] for name in FACTS]], np.float32)
        return LungsOutputs(logits.repeat(len(films), 0), self._lungs[None].repeat(len(films), 0))


class FakeDecoder:
    """Gives the same film whatever the bytes; can be held back, and counts."""

    def __init__(self, film: Radiograph | None = None, *, held: bool = False) -> None:
        self.film = radiograph(chest_film(96, 80)) if film is None else film
        self.decoded: list[str] = []
        self.tolerated: list[bool] = []
        self.started, self.go = threading.Semaphore(0), threading.Event()
        if not held:
            self.go.set()

    def decode(self, content: bytes, *, tolerate_refusals: bool = False) -> Radiograph:
        self.decoded.append(digest(content))
        self.tolerated.append(tolerate_refusals)
        self.started.release()
        assert self.go.wait(PATIENCE_S)
        return self.film


class FakeEncoder:
    """Keeps pictures as they were drawn; their PNG bytes name the kind."""

    def __init__(self) -> None:
        self.colours: list[RgbImage] = []
        self.greys: list[NDArray[np.uint8]] = []
        self.palettes: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []

    def colour(self, image: RgbImage) -> bytes:
        self.colours.append(image)
        return b"colour"

    def grey(self, image: NDArray[np.uint8]) -> bytes:
        self.greys.append(image)
        return b"grey"

    def palette(self, indices: NDArray[np.uint8], colours: NDArray[np.uint8]) -> bytes:
        self.palettes.append((indices, colours))
        return b"palette"
