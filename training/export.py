"""From a finished run to ``model.onnx`` and ``golden.npz``, with everything that is promised of them measured."""

import copy
import json
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from app.domain.label_hierarchy import ENSEMBLE_LABELS
from app.domain.preprocessing import InputSpecification
from app.inference.manifest import GOLDEN_FILE, MODEL_FILE, PrecisionEntry
from training.bootstrap import weighted_auroc
from training.datasets import Film
from training.lung_finder import LungFinder
from training.networks import EXPERT_OUTPUTS, ExplainedNetwork, anatomy_of, build_network
from training.onnx_graph import ExportError, is_stored_in_half, store_in_half, to_onnx
from training.onnx_session import ExportedNetwork, Outputs, raw_scores, serving_batches, serving_input
from training.phantoms import radiograph_phantom
from training.recipe import Recipe
from training.train import targets_of

PARITY_LIMIT: Final = 1e-4
PARITY_FILMS: Final = 32
LOGIT_LIMIT: Final = 0.05
AUROC_LIMIT: Final = 1e-3
COSINE_LIMIT: Final = 0.9999
FLIP_LIMIT: Final = 0.005
MOST_BYTES: Final = 58_000_000
"""A network that loses by half precision and is larger than this has only its last weights stored so."""
_FEWEST_OF_A_CLASS: Final = 10
_BATCH: Final = 16


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """A finished run, read back from its directory.

    Attributes
    ----------
    recipe
        What it did.
    network
        The chosen epoch's network, in evaluation mode.
    epoch
        The chosen epoch, counted from 1.
    record
        ``run.json`` as it stands.
    """

    recipe: Recipe
    network: nn.Module
    epoch: int
    record: dict[str, Any]  # Any: a JSON object

    @property
    def specification(self) -> InputSpecification:
        """How the network wants its films."""
        return self.recipe.specification

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels that are scored: the expert's target alone, or all fourteen."""
        return (self.recipe.target,) if self.recipe.target is not None else ENSEMBLE_LABELS


def load_run(directory: Path) -> TrainedRun:
    """Read a finished run.

    Raises
    ------
    ExportError
        If the run is not finished or its checkpoint does not fit its recipe.
    """
    try:
        record = json.loads((directory / "run.json").read_text(encoding="utf-8"))
        stored = torch.load(directory / "best.pt", map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ExportError(f"{directory} holds no finished run: {Path(error.filename).name} is missing") from error
    recipe = Recipe.model_validate(record["recipe"])
    outputs = EXPERT_OUTPUTS if recipe.kind == "expert" else len(ENSEMBLE_LABELS)
    network = build_network(recipe.architecture, outputs)
    try:
        network.load_state_dict(stored["network"])
    except RuntimeError as error:
        raise ExportError(f"{directory / 'best.pt'} does not fit {recipe.architecture}: {error}") from error
    return TrainedRun(recipe, network.eval(), int(stored["epoch"]), record)


def phantom_inputs(specification: InputSpecification) -> NDArray[np.float32]:
    """Draw the golden inputs, ``(2, C, S, S)``: a clear portrait and a landscape with opacities."""
    size = specification.size_px
    portrait = radiograph_phantom(size, size * 7 // 8, seed=1)
    landscape = radiograph_phantom(size * 4 // 5, size, seed=2, opacities=5)
    return np.concatenate([serving_input(film, specification) for film in (portrait, landscape)])


def run_torch(network: nn.Module, films: NDArray[np.float32]) -> Outputs:
    """Compute an (unwrapped) network's outputs in PyTorch, float32."""
    with torch.inference_mode():
        return Outputs(*(part.numpy() for part in ExplainedNetwork(network).eval()(torch.from_numpy(films))))


def rounded_to_half(network: nn.Module, names: Collection[str] | None = None) -> nn.Module:
    """Copy a network with those weights rounded to float16 that `store_in_half` stores so."""
    rounded = copy.deepcopy(network)
    with torch.no_grad():
        for name, parameter in rounded.named_parameters():
            if is_stored_in_half(name, parameter.ndim) and (names is None or name in names):
                parameter.copy_(parameter.half().float())
    return rounded


def last_weights(network: nn.Module, most_bytes: int) -> set[str]:
    """Name the weights to store in half precision so that a network takes no more than some bytes: the last ones.

    What is rounded early is amplified by every layer behind it. The head, which the maps are made of, is kept; parts
    that no export holds count for nothing.
    """
    anatomy = anatomy_of(network)
    parameters = [
        (name, parameter)
        for name, parameter in network.named_parameters()
        if not (anatomy.auxiliary and name.startswith(f"{anatomy.auxiliary}."))
    ]
    size, chosen = sum(4 * parameter.numel() for _, parameter in parameters), set[str]()
    for name, parameter in reversed(parameters):
        if size <= most_bytes:
            break
        if is_stored_in_half(name, parameter.ndim) and not name.startswith(f"{anatomy.head}."):
            chosen.add(name)
            size -= 2 * parameter.numel()
    return chosen


def _batches(
    films: Sequence[Film], specification: InputSpecification, lungs: LungFinder | None
) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
    """Give validation films in batches; the phantoms where there is none (with no index)."""
    if films:
        yield from serving_batches(films, specification, _BATCH, lungs)
    else:
        yield [], phantom_inputs(specification)


def cosines(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosine of every pair of maps ``(N, K, h, w)``; 1 where both are zero."""
    a, b = (maps.reshape(*maps.shape[:2], -1).astype(np.float64) for maps in (one, other))
    lengths = np.linalg.norm(a, axis=2) * np.linalg.norm(b, axis=2)
    same = (np.linalg.norm(a, axis=2) == 0) & (np.linalg.norm(b, axis=2) == 0)
    cosine: NDArray[np.float64] = np.where(same, 1.0, (a * b).sum(axis=2) / np.where(lengths == 0, 1.0, lengths))
    return cosine


def precision_gate(
    run: TrainedRun, rounded: nn.Module, val: Sequence[Film], lungs: LungFinder | None = None
) -> PrecisionEntry:
    """Decide whether anything is lost by storing the weights in half precision.

    Compared on validation (on the phantoms where there is none): the largest change of a logit, of a label's AUROC,
    the smallest cosine of a class activation map, and the largest share of decisions that flip at 0.5 and at the
    margin that 90 % of the positives exceed.

    Returns
    -------
    PrecisionEntry
        ``fp16`` if every limit holds, else ``fp32``; the measurements either way.
    """
    scores: list[tuple[list[int], NDArray[np.float64], NDArray[np.float64]]] = []
    change, cosine = 0.0, 1.0
    for indices, films in _batches(val, run.specification, lungs):
        full, half = run_torch(run.network, films), run_torch(rounded, films)
        if not (np.isfinite(half.logits).all() and np.isfinite(half.cam).all()):
            return PrecisionEntry(storage="fp32", gates={"films": float(len(val)), "finite": 0.0})
        change = max(change, float(np.abs(full.logits - half.logits).max()))
        cosine = min(cosine, float(cosines(full.cam, half.cam).min()))
        scores.append((indices, raw_scores(full.logits, run.recipe.kind), raw_scores(half.logits, run.recipe.kind)))
        if change > LOGIT_LIMIT or cosine < COSINE_LIMIT:
            break  # it is decided; ``films`` says after how many
    before, after = (np.concatenate([entry[k] for entry in scores]) for k in (1, 2))
    flips, aurocs = [0.0], []
    if val:
        seen = [val[index] for indices, _, _ in scores for index in indices]
        targets = targets_of(seen, run.recipe)
        for column in range(targets.shape[1]):
            known = ~np.isnan(targets[:, column])
            truth, a, b = targets[known, column] == 1, before[known, column], after[known, column]
            if min(truth.sum(), (~truth).sum()) < _FEWEST_OF_A_CLASS:
                continue
            one = np.ones((1, truth.size))
            aurocs.append(abs(float(weighted_auroc(truth, a, one)[0] - weighted_auroc(truth, b, one)[0])))
            thresholds = (0.0, float(np.quantile(a[truth], 0.1)))
            flips += [float(((a >= threshold) != (b >= threshold)).mean()) for threshold in thresholds]
    gates = {
        "films": float(len(before)),
        "finite": 1.0,
        "max_logit_change": change,
        "min_cam_cosine": cosine,
        "max_decision_flip_share": max(flips),
    }
    if aurocs:
        gates["max_auroc_change"] = max(aurocs)
    passed = (
        change <= LOGIT_LIMIT
        and cosine >= COSINE_LIMIT
        and max(flips) <= FLIP_LIMIT
        and all(value < AUROC_LIMIT for value in aurocs)
    )
    return PrecisionEntry(storage="fp16" if passed else "fp32", gates=gates)


def parity_errors(
    session: ExportedNetwork,
    network: nn.Module,
    val: Sequence[Film],
    run: TrainedRun,
    lungs: LungFinder | None = None,
) -> dict[str, float]:
    """Compare ONNX Runtime with PyTorch, and the maps with the logits, on phantoms and some validation films.

    Returns
    -------
    dict
        ``logits``, ``features``, ``cam``: largest difference relative to the output's largest value;
        ``identity``: largest ``|mean(cam_k) + b_k - logit_k|`` in logits; ``films`` compared.

    Raises
    ------
    ExportError
        If a difference exceeds `PARITY_LIMIT` (for the identity: relative to the largest logit, at least 1).
    """
    step = max(1, len(val) // PARITY_FILMS)
    chosen = list(val[::step][:PARITY_FILMS])
    batches = serving_batches(chosen, run.specification, lungs=lungs)
    inputs = [phantom_inputs(run.specification), *(films for _, films in batches)]
    bias = dict(network.named_parameters())["fc.bias"].detach().numpy()
    errors = {"logits": 0.0, "features": 0.0, "cam": 0.0, "identity": 0.0}
    largest_logit = 1.0
    for films in inputs:
        there, here = session.outputs(films), run_torch(network, films)
        for name in ("logits", "features", "cam"):
            errors[name] = max(errors[name], relative_difference(getattr(there, name), getattr(here, name)))
        apart = there.cam.mean(axis=(2, 3), dtype=np.float64) + bias - there.logits
        errors["identity"] = max(errors["identity"], float(np.abs(apart).max()))
        largest_logit = max(largest_logit, float(np.abs(there.logits).max()))
    limits = {name: PARITY_LIMIT * (largest_logit if name == "identity" else 1.0) for name in errors}
    for name, error in errors.items():
        if not error <= limits[name]:
            raise ExportError(f"{name} of the ONNX graph is off by {error:.2e}; at most {limits[name]:.0e} is allowed")
    return {**errors, "films": float(sum(len(films) for films in inputs))}


def relative_difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Largest difference, relative to the largest value; NaN if a value is not finite."""
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return math.nan
    return float(np.abs(one - other).max() / max(float(np.abs(other).max()), 1e-6))


@dataclass(frozen=True, slots=True)
class Export:
    """What was written and measured: storage with its gate, parity and identity, size."""

    precision: PrecisionEntry
    parity: dict[str, float]
    model_bytes: int
    feature_shape: tuple[int, int, int]


def _stored(
    run: TrainedRun, val: Sequence[Film], lungs: LungFinder | None
) -> tuple[nn.Module, PrecisionEntry, Collection[str] | None]:
    """Give the network as it will be stored, what the gate measured, and which weights are halved (None: all)."""
    rounded = rounded_to_half(run.network)
    precision = precision_gate(run, rounded, val, lungs)
    if precision.storage == "fp16":
        return rounded, precision, None
    last = last_weights(run.network, MOST_BYTES)
    if last:
        partly = rounded_to_half(run.network, last)
        found = precision_gate(run, partly, val, lungs)
        if found.storage == "fp16":
            halved = sum(weights.numel() for name, weights in run.network.named_parameters() if name in last)
            gates = {**found.gates, "weights_in_half": float(halved)}
            return partly, found.model_copy(update={"gates": gates}), last
    return run.network, precision, None


def export_network(
    run: TrainedRun, directory: Path, val: Sequence[Film] = (), lungs: LungFinder | None = None
) -> Export:
    """Write ``model.onnx`` and ``golden.npz`` of a run.

    Parameters
    ----------
    run
        The trained network.
    directory
        Where to write; it exists.
    val
        Validation films for the precision gate and the parity; none of them is written anywhere.
    lungs
        Finds the part of a film that a network cropped to the lungs is fed with.

    Returns
    -------
    Export
        The measurements.

    Raises
    ------
    ExportError
        If parity or identity fails.
    """
    network, precision, names = _stored(run, val, lungs)
    model = to_onnx(network, run.recipe.architecture, run.recipe.size_px)
    path = directory / MODEL_FILE
    onnx.save(store_in_half(model, names) if precision.storage == "fp16" else model, path)
    session = ExportedNetwork(path)
    parity = parity_errors(session, network, val, run, lungs)
    films = phantom_inputs(run.specification)
    golden = session.outputs(films)
    np.savez_compressed(
        directory / GOLDEN_FILE, films=films, logits=golden.logits, features=golden.features, cam=golden.cam
    )
    channels, height, width = golden.features.shape[1:]
    return Export(precision, parity, path.stat().st_size, (channels, height, width))
