"""From a network of several classes to ``model.onnx`` and ``golden.npz``, with everything that is promised measured."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from app.inference.manifest import GOLDEN_FILE, MODEL_FILE, PrecisionEntry
from training.bootstrap import weighted_auroc
from training.export import (
    AUROC_LIMIT,
    COSINE_LIMIT,
    FLIP_LIMIT,
    LOGIT_LIMIT,
    PARITY_FILMS,
    PARITY_LIMIT,
    cosines,
    phantom_inputs,
    relative_difference,
    rounded_to_half,
    run_torch,
)
from training.multiclass.finished import FinishedRun
from training.networks import anatomy_of
from training.onnx_graph import HEAD, ExportError, store_in_half, to_onnx
from training.onnx_session import ExportedNetwork

Answers = Mapping[str, NDArray[np.float32]]
_BATCH: Final = 16
_IDENTITY: Final = "identity"


@dataclass(frozen=True, slots=True)
class ClassesExport:
    """What was written and measured.

    Attributes
    ----------
    precision
        Storage of the weights and its gate.
    parity
        Largest difference to PyTorch of every output, relative to its largest value, and of the identity
        mean(CAM) + b = logit, relative to the largest logit or 1; films compared.
    outputs
        Name to shape, the batch as a word.
    """

    precision: PrecisionEntry
    parity: dict[str, float]
    outputs: dict[str, tuple[str | int, ...]]


def torch_answers(network: nn.Module, films: NDArray[np.float32]) -> Answers:
    """Compute an (unwrapped) network's outputs in PyTorch, float32: with maps where it has any."""
    if anatomy_of(network).no_cam:
        with torch.inference_mode():
            return {"logits": network.eval()(torch.from_numpy(films)).numpy()}
    found = run_torch(network, films)
    return {"logits": found.logits, "features": found.features, "cam": found.cam}


def exported_answers(session: ExportedNetwork, films: NDArray[np.float32], *, has_cam: bool) -> Answers:
    """Compute an export's outputs."""
    if not has_cam:
        return {"logits": session.logits(films)}
    found = session.outputs(films)
    return {"logits": found.logits, "features": found.features, "cam": found.cam}


def exported_logits(session: ExportedNetwork, films: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the logits ``(N, K)`` of prepared films, a few at a time."""
    return np.concatenate([session.logits(part) for part in _batches(films)])


def _batches(films: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(films), _BATCH):
        yield films[start : start + _BATCH]


def classes_precision(
    network: nn.Module, rounded: nn.Module, films: NDArray[np.float32], labels: NDArray[np.int64]
) -> PrecisionEntry:
    """Decide whether anything is lost by storing the weights in half precision, on validation films.

    Compared: the largest change of a logit and of a class's AUROC, the smallest cosine of a class activation map, and
    the share of films whose most probable class changes.

    Returns
    -------
    PrecisionEntry
        ``fp16`` if every limit holds, else ``fp32``; the measurements either way.
    """
    before, after, cosine = [], [], 1.0
    for part in _batches(films):
        full, half = torch_answers(network, part), torch_answers(rounded, part)
        before.append(full["logits"])
        after.append(half["logits"])
        if "cam" in full:
            cosine = min(cosine, float(cosines(full["cam"], half["cam"]).min()))
    one, other = (np.concatenate(logits).astype(np.float64) for logits in (before, after))
    if not np.isfinite(other).all():
        return PrecisionEntry(storage="fp32", gates={"films": float(len(films)), "finite": 0.0})
    change = float(np.abs(one - other).max())
    flips = float((one.argmax(axis=1) != other.argmax(axis=1)).mean())
    weights = np.ones((1, len(films)))
    aurocs = [
        abs(float(weighted_auroc(truth, one[:, k], weights)[0] - weighted_auroc(truth, other[:, k], weights)[0]))
        for k in range(one.shape[1])
        if 0 < (truth := labels == k).sum() < len(labels)
    ]
    passed = (
        change <= LOGIT_LIMIT
        and cosine >= COSINE_LIMIT
        and flips <= FLIP_LIMIT
        and all(value < AUROC_LIMIT for value in aurocs)
    )
    gates = {
        "films": float(len(films)), "finite": 1.0, "max_logit_change": change, "min_cam_cosine": cosine,
        "max_decision_flip_share": flips, "max_auroc_change": max(aurocs, default=0.0),
    }  # fmt: skip
    return PrecisionEntry(storage="fp16" if passed else "fp32", gates=gates)


def classes_parity(session: ExportedNetwork, network: nn.Module, inputs: list[NDArray[np.float32]]) -> dict[str, float]:
    """Compare ONNX Runtime with PyTorch, and maps with logits; see `ClassesExport`.

    Raises
    ------
    ExportError
        If a difference exceeds `PARITY_LIMIT`.
    """
    has_cam = not anatomy_of(network).no_cam
    errors: dict[str, float] = {}
    largest, apart = 1.0, 0.0
    bias = dict(network.named_parameters())[f"{HEAD}.bias"].detach().numpy()
    for films in inputs:
        there, here = exported_answers(session, films, has_cam=has_cam), torch_answers(network, films)
        for name, value in here.items():
            errors[name] = max(errors.get(name, 0.0), relative_difference(there[name], value))
        largest = max(largest, float(np.abs(there["logits"]).max()))
        if has_cam:
            gap = there["cam"].mean(axis=(2, 3), dtype=np.float64) + bias - there["logits"]
            apart = max(apart, float(np.abs(gap).max()))
    if has_cam:
        errors[_IDENTITY] = apart / largest
    for name, error in errors.items():
        if not error <= PARITY_LIMIT:
            raise ExportError(f"{name} of the ONNX graph is off by {error:.2e}; at most {PARITY_LIMIT:.0e} is allowed")
    return {**errors, "films": float(sum(map(len, inputs)))}


def export_classes(
    run: FinishedRun, directory: Path, films: NDArray[np.float32], labels: NDArray[np.int64]
) -> ClassesExport:
    """Write ``model.onnx`` and ``golden.npz`` of a run.

    Parameters
    ----------
    run
        The finished run.
    directory
        Where to write; it exists.
    films, labels
        Prepared validation films ``(N, 3, S, S)`` and their classes; none of them is written anywhere.

    Raises
    ------
    ExportError
        If parity or identity fails.
    """
    rounded = rounded_to_half(run.network)
    precision = classes_precision(run.network, rounded, films, labels)
    halved = precision.storage == "fp16"
    network = rounded if halved else run.network
    model = to_onnx(network, run.recipe.architecture, run.recipe.size_px)
    path = directory / MODEL_FILE
    onnx.save(store_in_half(model) if halved else model, path)
    session = ExportedNetwork(path)
    phantoms = phantom_inputs(run.recipe.specification)
    some = films[:: max(1, len(films) // PARITY_FILMS)][:PARITY_FILMS]
    parity = classes_parity(session, network, [phantoms, *_batches(some)])
    golden = exported_answers(session, phantoms, has_cam=not anatomy_of(network).no_cam)
    np.savez_compressed(directory / GOLDEN_FILE, films=phantoms, **golden)  # type: ignore[arg-type]  # names of arrays
    return ClassesExport(precision, parity, {name: ("N", *value.shape[1:]) for name, value in golden.items()})
