"""What every network offers, whatever runs it."""

from dataclasses import dataclass
from typing import Protocol

from app.domain.arrays import ActivationMaps, FeatureMaps, FloatMap, NetworkInput
from app.inference.manifest import Manifest


@dataclass(frozen=True, slots=True)
class NetworkOutputs:
    """Outputs of one batch; what was not asked for is None.

    Attributes
    ----------
    logits
        ``(N, K)`` float32.
    cam
        ``(N, K, h, w)`` class activation maps in logits, without bias.
    features
        ``(N, C, h, w)`` last activations.
    """

    logits: ActivationMaps
    cam: ActivationMaps | None = None
    features: FeatureMaps | None = None


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """Where a network really runs."""

    device: str
    provider: str


class LoadedModel(Protocol):
    """What can be said of any loaded network without running it."""

    @property
    def manifest(self) -> Manifest:
        """How to feed it and read it."""
        ...

    @property
    def runs_on(self) -> DeviceReport:
        """The device that was checked after loading."""
        ...


class Network(LoadedModel, Protocol):
    """A loaded network as a function of prepared films."""

    @property
    def biases(self) -> FloatMap:
        """What its logits have beside the means of its maps, ``(K,)``, the same for every film."""
        ...

    def __call__(self, films: NetworkInput, *, maps: bool = True, features: bool = False) -> NetworkOutputs:
        """Run a batch ``(N, C, H, W)``; only what is asked for is moved."""
        ...
