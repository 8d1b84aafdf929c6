"""Two experts as functions of a film: their maps on one grid, and what they decide."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from app.domain.activation_map import lay_over_film
from app.domain.arrays import FloatMap, HeatMap
from app.domain.errors import ImageRefusedError, RefusalReason
from app.domain.lung_input import to_lung_input
from app.domain.lungs import LungFields, lung_window
from app.domain.preprocessing import InputSpecification, Placement
from app.domain.radiograph import Provenance, Radiograph
from app.inference.artifact import read_artifact
from training.networks import ExplainedNetwork
from training.onnx_session import ExportedNetwork

Inputs = NDArray[np.float32]
Logits = NDArray[np.float32]
ClassMaps = NDArray[np.float32]


class FindsLungs(Protocol):
    """Whoever finds the lungs of a film; see `training.lung_finder`."""

    def fields(self, grey: NDArray[np.uint8]) -> LungFields:
        """Give the lungs of one film ``(H, W)``."""
        ...


@dataclass(frozen=True, slots=True)
class Expert:
    """One binary network.

    Attributes
    ----------
    name
        Its positive class.
    specification
        How to feed it.
    explain
        Inputs ``(N, C, S, S)`` to logits ``(N, 2)`` and class activation maps ``(N, 2, h, w)``.
    positive_from
        The margin, logit 1 minus logit 0, at and above which the expert says positive: its operating point.
    """

    name: str
    specification: InputSpecification
    explain: Callable[[Inputs], tuple[Logits, ClassMaps]]
    positive_from: float = 0.0


def released_expert(directory: Path) -> Expert:
    """Read an expert's artefact, ``models/<name>/<version>``; it runs as in serving, at its first operating point."""
    artifact = read_artifact(directory.resolve())
    manifest = artifact.manifest
    if manifest.kind != "expert" or manifest.target is None:
        raise ValueError(f"{manifest.name} {manifest.version} is of kind {manifest.kind}; an expert expected")
    network = ExportedNetwork(artifact.model_path)

    def explain(inputs: Inputs) -> tuple[Logits, ClassMaps]:
        outputs = network.outputs(inputs)
        return outputs.logits, outputs.cam

    threshold = manifest.operating_point_of(manifest.target).threshold
    calibration = manifest.calibration_of(manifest.target)
    with np.errstate(divide="ignore"):
        logit = float(np.log(threshold) - np.log1p(-threshold))
    positive_from = (logit - calibration.intercept) / calibration.slope
    return Expert(manifest.target, manifest.input.specification(), explain, positive_from)


def network_expert(
    network: nn.Module, specification: InputSpecification, name: str, positive_from: float = 0.0
) -> Expert:
    """Wrap a network as `training.networks.build_network` makes it; its mode and weights are left as they are."""
    explained = ExplainedNetwork(network)

    def explain(inputs: Inputs) -> tuple[Logits, ClassMaps]:
        was_training = network.training
        network.eval()
        with torch.inference_mode():
            logits, _, cam = explained(torch.from_numpy(inputs))
        network.train(was_training)
        return logits.float().numpy(), cam.float().numpy()

    return Expert(name, specification, explain, positive_from)


@dataclass(frozen=True, slots=True)
class FilmMaps:
    """What two experts make of one film.

    Attributes
    ----------
    interest, overlap
        ``(h, w)`` class activation maps of the positive classes, signed, on the native grid.
    margins
        Logit 1 minus logit 0 of both experts.
    positive
        What both say at their operating points.
    placement
        Where the film, or the window that was fed, lies in the input.
    lungs
        Of the film; None without a lungs model.
    seed
        For what is random about this film.
    """

    interest: FloatMap
    overlap: FloatMap
    margins: tuple[float, float]
    positive: tuple[bool, bool]
    placement: Placement
    lungs: LungFields | None
    seed: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the film."""
        return self.placement.film_height, self.placement.film_width

    def over_film(self, display: NDArray[np.float64]) -> HeatMap:
        """Lay a map on the native grid over the film, ``(H, W)``; what the networks were not fed with has no heat."""
        height, width = self.shape
        heat = lay_over_film(display, self.placement.extent, height, width, height, width)
        left, top, right, bottom = self.placement.seen
        seen = np.zeros_like(heat)
        seen[top:bottom, left:right] = heat[top:bottom, left:right]
        return seen


@dataclass(frozen=True, slots=True)
class PreparedFilm:
    """One network input and where it came from."""

    inputs: Inputs
    placement: Placement
    lungs: LungFields | None


def prepare(grey: NDArray[np.uint8], specification: InputSpecification, lungs: FindsLungs | None) -> PreparedFilm:
    """Make the input of one film by the function that serving calls, cropped to the lungs where that is asked for.

    Raises
    ------
    ImageRefusedError
        If serving would refuse the film.
    """
    found = lungs.fields(grey) if lungs is not None else None
    if specification.crop != "film":
        if found is None:
            raise ValueError("this expert is fed with the lungs: a lungs model is needed")
        if lung_window(found, specification.crop_margin) is None:
            raise ImageRefusedError(RefusalReason.NOT_A_CHEST_RADIOGRAPH, "no two lungs were found")
    inputs, placement = to_lung_input(Radiograph(grey, Provenance("png", "")), specification, found)
    return PreparedFilm(inputs, placement, found)


def film_maps(
    interest: Expert, overlap: Expert, grey: NDArray[np.uint8], lungs: FindsLungs | None, seed: int = 0
) -> FilmMaps:
    """Run both experts on one film.

    Parameters
    ----------
    interest, overlap
        The experts of the class of interest and of the overlapping class.
    grey
        ``(H, W)`` uint8.
    lungs
        Finds the lungs; None where there is no lungs model.
    seed
        For the random map.

    Raises
    ------
    ImageRefusedError
        If serving would refuse the film.
    ValueError
        If the experts see different rectangles of the film or have different grids: their maps cannot be contrasted.
    """
    first = prepare(grey, interest.specification, lungs)
    same = overlap.specification == interest.specification
    second = first if same else prepare(grey, overlap.specification, lungs)
    if second.placement.extent != first.placement.extent:
        raise ValueError(f"{interest.name} and {overlap.name} see different rectangles of the film")
    logits, cam = interest.explain(first.inputs)
    other_logits, other_cam = overlap.explain(second.inputs)
    if cam.shape != other_cam.shape:
        raise ValueError(
            f"the grids of {interest.name} and {overlap.name} are {cam.shape[2:]} and {other_cam.shape[2:]}"
        )
    margins = float(logits[0, 1] - logits[0, 0]), float(other_logits[0, 1] - other_logits[0, 0])
    return FilmMaps(
        interest=cam[0, 1].astype(np.float64),
        overlap=other_cam[0, 1].astype(np.float64),
        margins=margins,
        positive=(margins[0] >= interest.positive_from, margins[1] >= overlap.positive_from),
        placement=first.placement,
        lungs=first.lungs,
        seed=seed,
    )
