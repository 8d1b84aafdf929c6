"""A trained region network to ``model.onnx`` and ``golden.npz``: an expert's export with one output more."""

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from app.domain.predicted_region import LIKELY
from app.inference.manifest import GOLDEN_FILE, MODEL_FILE, REGION_OUTPUT, PrecisionEntry
from training.datasets import Film
from training.export import (
    PARITY_FILMS,
    PARITY_LIMIT,
    Export,
    TrainedRun,
    parity_errors,
    phantom_inputs,
    precision_gate,
    relative_difference,
)
from training.lung_finder import LungFinder
from training.networks.saliency import ExplainedSaliencyNetwork, SaliencyNetwork
from training.onnx_engine import open_session
from training.onnx_graph import (
    HEAD,
    INPUT_NAME,
    OUTPUT_NAMES,
    REGION_PREFIX,
    ExportError,
    initialisers,
    is_stored_in_half,
    rebuild_network,
    store_in_half,
    trace,
)
from training.onnx_session import ExportedNetwork, serving_batches
from training.regions.run import TrainedRegionRun

REGION_LIMIT: Final = 0.02
"""Largest change of a pixel's probability, and share of pixels that change sides of even odds, in half precision."""
_NOT_STORED: Final = ".num_batches_tracked"


def as_expert_run(run: TrainedRegionRun) -> TrainedRun:
    """Give the classifier of a region network as the run of an expert, for everything that is asked of one."""
    return TrainedRun(run.recipe, run.network.trunk, run.epoch, run.record)


def region_model(network: SaliencyNetwork, architecture: str, size_px: int) -> onnx.ModelProto:
    """Trace a network with its features, class activation maps and region.

    Returns
    -------
    ModelProto
        As `training.onnx_graph.to_onnx` gives it, with the output ``region`` and initialisers that begin with ``spn.``.

    Raises
    ------
    NoActivationMapError
        If the classification net has a hidden layer.
    """
    outputs = (*OUTPUT_NAMES, REGION_OUTPUT)
    return trace(ExplainedSaliencyNetwork(network), outputs, architecture, channels=3, size_px=size_px)


def rebuild_saliency_network(path: Path) -> SaliencyNetwork:
    """Make the PyTorch network again from a released ``model.onnx``.

    Raises
    ------
    ExportError
        If the file holds no such network.
    """
    trunk = rebuild_network(path)
    model: onnx.ModelProto = onnx.load(path)
    architecture = next(entry.value for entry in model.metadata_props if entry.key == "discern.architecture")
    stored = {
        name.removeprefix(REGION_PREFIX): torch.from_numpy(value.astype(np.float32))
        for name, value in initialisers(model).items()
        if name.startswith(REGION_PREFIX)
    }
    outputs = int(trunk.get_parameter(f"{HEAD}.weight").shape[0])
    network = SaliencyNetwork(architecture, outputs)
    network.trunk.load_state_dict(trunk.state_dict())
    wanted = {name for name in network.spn.state_dict() if not name.endswith(_NOT_STORED)}
    if wanted != set(stored):
        raise ExportError(
            f"{path.name} has no saliency prediction network: {', '.join(sorted(wanted ^ set(stored))[:5])}"
        )
    network.spn.load_state_dict(stored, strict=False)
    return network.eval()


def export_region_network(
    run: TrainedRegionRun, directory: Path, val: Sequence[Film] = (), lungs: LungFinder | None = None
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
        Finds the lungs, where the recipe crops to them.

    Raises
    ------
    NoActivationMapError
        If the classification net has a hidden layer.
    ExportError
        If parity or identity fails, in any output.
    """
    expert = as_expert_run(run)
    rounded = _rounded(run.network)
    gate = precision_gate(expert, rounded.trunk, val, lungs)
    chosen = list(val[:: max(1, len(val) // PARITY_FILMS)][:PARITY_FILMS])
    inputs = [phantom_inputs(run.recipe.specification), *_inputs(chosen, run, lungs)]
    gate = _with_region(gate, run.network, rounded, inputs)
    halved = gate.storage == "fp16"
    network = rounded if halved else run.network
    model = region_model(network, run.recipe.architecture, run.recipe.size_px)
    path = directory / MODEL_FILE
    onnx.save(store_in_half(model) if halved else model, path)
    session, regions = ExportedNetwork(path), open_session(path)
    parity = parity_errors(session, network.trunk, val, expert, lungs)

    def region_of(films: NDArray[np.float32]) -> NDArray[np.float32]:
        (region,) = regions.run([REGION_OUTPUT], {INPUT_NAME: films})
        found: NDArray[np.float32] = region
        return found

    parity[REGION_OUTPUT] = max(relative_difference(region_of(films), _region(network, films)) for films in inputs)
    if not parity[REGION_OUTPUT] <= PARITY_LIMIT:
        raise ExportError(
            f"region of the ONNX graph is off by {parity[REGION_OUTPUT]:.2e}; {PARITY_LIMIT:.0e} is allowed"
        )
    films = inputs[0]
    golden = session.outputs(films)
    np.savez_compressed(
        directory / GOLDEN_FILE,
        films=films, logits=golden.logits, features=golden.features, cam=golden.cam, region=region_of(films),
    )  # fmt: skip
    channels, height, width = golden.features.shape[1:]
    return Export(gate, parity, path.stat().st_size, (channels, height, width))


def _inputs(films: Sequence[Film], run: TrainedRegionRun, lungs: LungFinder | None) -> Iterator[NDArray[np.float32]]:
    for _, inputs in serving_batches(films, run.recipe.specification, lungs=lungs):
        yield inputs


def _rounded(network: SaliencyNetwork) -> SaliencyNetwork:
    """Copy a network with those weights rounded to float16 that `store_in_half` stores so."""
    rounded = copy.deepcopy(network)
    with torch.no_grad():
        for name, parameter in rounded.named_parameters():
            if is_stored_in_half(name, parameter.ndim):
                parameter.copy_(parameter.half().float())
    return rounded


def _region(network: SaliencyNetwork, films: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.inference_mode():
        region: NDArray[np.float32] = ExplainedSaliencyNetwork(network).eval()(torch.from_numpy(films))[3].numpy()
    return region


def _with_region(
    gate: PrecisionEntry, network: SaliencyNetwork, rounded: SaliencyNetwork, inputs: Sequence[NDArray[np.float32]]
) -> PrecisionEntry:
    """Add what half precision does to the region; full precision is kept where it does too much."""
    change = flips = 0.0
    for films in inputs:
        full, half = _region(network, films), _region(rounded, films)
        if not np.isfinite(half).all():
            return PrecisionEntry(storage="fp32", gates={**gate.gates, "finite": 0.0})
        change = max(change, float(np.abs(full - half).max()))
        flips = max(flips, float(((full >= LIKELY) != (half >= LIKELY)).mean()))
    gates = {**gate.gates, "max_region_change": change, "max_region_pixel_flip_share": flips}
    passed = gate.storage == "fp16" and max(change, flips) <= REGION_LIMIT
    return PrecisionEntry(storage="fp16" if passed else "fp32", gates=gates)
