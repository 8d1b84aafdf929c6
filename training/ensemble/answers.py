"""What the members say of films, and how exactly their maps add up: one pass over films, each decoded once."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from app.domain.arrays import NetworkInput
from app.domain.calibration import Calibration, sigmoid
from app.domain.ensemble_map import MemberMaps, calibrated_maps, mean_maps
from app.domain.errors import ImageRefusedError
from app.domain.lung_input import to_lung_input
from app.domain.preprocessing import InputSpecification, Placement
from app.domain.radiograph import Provenance, Radiograph
from app.inference.artifact import Artifact
from app.inference.onnx_network import OnnxNetwork
from training.datasets import Film, read_grey
from training.lung_finder import LungFinder, lungs_for

Values = NDArray[np.float64]
_TIMED_RUNS: Final = 15


class EnsembleError(ValueError):
    """Members that make no ensemble, or a part that must not be read."""


@dataclass(frozen=True, slots=True)
class EnsembleAnswers:
    """What the members say of films; rows of films that were refused are NaN.

    Attributes
    ----------
    labels
        ``K`` names.
    probabilities
        By member, ``(N, K)``: logistics of its calibrated logits, as serving gives them.
    law_errors
        ``(N,)`` largest difference, over the labels, between mean map plus mean bias and the mean logit.
    """

    labels: tuple[str, ...]
    probabilities: Mapping[str, Values]
    law_errors: Values

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Which films have an answer, ``(N,)``."""
        return ~np.isnan(self.law_errors)

    @property
    def mean(self) -> Values:
        """Mean over members, ``(N, K)``."""
        mean: Values = np.mean(list(self.probabilities.values()), axis=0)
        return mean


class Members:
    """Released members in sessions of one thread, as serving loads them.

    Parameters
    ----------
    artifacts
        Of the members by name, in their order; all multi-label and of the same labels.

    Raises
    ------
    EnsembleError
        If a member is no multi-label network or answers for other labels.
    ArtifactError
        If one is broken.
    """

    def __init__(self, artifacts: Mapping[str, Artifact]) -> None:
        for name, artifact in artifacts.items():
            if artifact.manifest.kind != "multilabel":
                raise EnsembleError(f"{name} is no multi-label network, but {artifact.manifest.kind}")
        found = [tuple(label.name for label in artifact.manifest.labels) for artifact in artifacts.values()]
        if len(set(found)) != 1:
            raise EnsembleError("the members do not answer for the same labels in the same order")
        self.labels = found[0]
        self.calibrations: Mapping[str, list[Calibration]] = {
            name: [artifact.manifest.calibration_of(label) for label in self.labels]
            for name, artifact in artifacts.items()
        }
        self.networks = {name: OnnxNetwork(artifact, "cpu") for name, artifact in artifacts.items()}

    def ask(self, films: Sequence[Film], lungs: LungFinder | None = None) -> EnsembleAnswers:
        """Ask every member for every film.

        Parameters
        ----------
        films
            At least one.
        lungs
            Finds the lungs, where a member is fed with their part of the film.
        """
        shape = (len(films), len(self.labels))
        probabilities = {name: np.full(shape, np.nan) for name in self.networks}
        errors = np.full(len(films), np.nan)
        for k, film in enumerate(tqdm(films, desc="asking the members", unit="film", leave=False)):
            try:
                logits, maps = self._ask(film, lungs)
            except ImageRefusedError:
                continue
            for name, row in zip(self.networks, logits, strict=True):
                probabilities[name][k] = sigmoid(row)
            mean = mean_maps(maps)
            apart = mean.values.mean(axis=(1, 2)) + mean.biases - np.mean(logits, axis=0)
            errors[k] = float(np.abs(apart).max())
        if np.isnan(errors).all():
            raise EnsembleError("every film is refused")
        return EnsembleAnswers(self.labels, probabilities, errors)

    def _ask(self, film: Film, lungs: LungFinder | None) -> tuple[list[Values], list[MemberMaps]]:
        """Give every member's calibrated logits ``(K,)`` and maps of one film."""
        radiograph = Radiograph(read_grey(film.path), Provenance("png", ""))
        made: dict[InputSpecification, tuple[NetworkInput, Placement]] = {}
        logits: list[Values] = []
        maps: list[MemberMaps] = []
        for name, network in self.networks.items():
            manifest, calibrations = network.manifest, self.calibrations[name]
            specification = manifest.input.specification()
            if specification not in made:
                made[specification] = to_lung_input(radiograph, specification, lungs_for(film, specification, lungs))
            inputs, placement = made[specification]
            outputs = network(inputs)
            assert outputs.cam is not None  # every member has maps, and they were asked for
            raw = outputs.logits[0].tolist()
            logits.append(np.array([each.logit(one) for each, one in zip(calibrations, raw, strict=True)]))
            extent = manifest.extent_of(placement)
            maps.append(calibrated_maps(outputs.cam[0], network.biases, extent, calibrations))
        return logits, maps

    def run_time_ms(self) -> dict[str, float]:
        """Measure the median processor time of one film, by member, without maps; members take turns."""
        spent: dict[str, list[float]] = {name: [] for name in self.networks}
        inputs = {}
        for name, network in self.networks.items():
            entry = network.manifest.input
            inputs[name] = np.zeros((1, entry.channels, entry.size_px, entry.size_px), np.float32)
        for _ in range(_TIMED_RUNS):
            for name, network in self.networks.items():
                started = time.thread_time()
                network(inputs[name], maps=False)
                spent[name].append(1000.0 * (time.thread_time() - started))
        return {name: float(np.median(each)) for name, each in spent.items()}
