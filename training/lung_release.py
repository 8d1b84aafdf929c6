"""One released version of the lung network: export, thresholds and limits from validation, report, card."""

import copy
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from tqdm import tqdm

from app.domain.calibration import sigmoid
from app.domain.input_gate import FACTS
from app.inference.artifact import Artifact, file_sha256, read_artifact, verify_files
from app.inference.manifest import (
    CARD_FILE,
    GOLDEN_FILE,
    MODEL_FILE,
    REPORT_FILE,
    SCHEMA,
    InputEntry,
    LabelEntry,
    Manifest,
    OperatingPointEntry,
    PrecisionEntry,
)
from training.datasets import Film, read_grey
from training.evaluate import Part
from training.export import rounded_to_half
from training.lung_card import lung_card
from training.lung_films import read_references
from training.lung_finder import LUNG_INPUT, LUNG_OUTPUTS, LungFinder
from training.lung_network import LungNetwork
from training.lung_report import (
    FactReport,
    GateReport,
    Looked,
    MaskReport,
    fact_reports,
    gate_report,
    limits_from,
    look_at,
    mask_report,
    read_folder,
    threshold_of_children,
)
from training.lung_train import CHECKPOINT
from training.onnx_graph import OPSET, ExportError, store_in_half, trace
from training.onnx_session import serving_input
from training.phantoms import radiograph_phantom
from training.release import read_record, recorded_test_reads, require_release, write_manifest
from training.released_manifest import code_commit, read_data

ARCHITECTURE: Final = "lung-unet"
NAME: Final = "lungs"
LARGEST_BYTES: Final = 3_000_000
PARITY_LIMIT: Final = 1e-4
STORAGE_LIMIT: Final = 0.01
_COMPARED: Final = 64
_LICENCES: Final = (
    "lung masks of ieee8023: CC BY 4.0 (V7 Labs)",
    "lung boxes of ieee8023: CC BY 4.0 (General Blockchain)",
    "films: as the data's manifest states, image by image",
)


class Criterion(BaseModel):
    """One measured value with the limit it is held to."""

    model_config = ConfigDict(frozen=True)

    name: str
    value: float
    limit: float
    at_least: bool

    @property
    def passed(self) -> bool:
        """Whether the limit is kept."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(frozen=True, slots=True)
class NonFilms:
    """Folders of pictures that are no frontal films: one to set thresholds by, one that is only measured."""

    tuning: Path
    held_out: Path


@dataclass(frozen=True, slots=True)
class Gate:
    """What validation chose: logit thresholds of the facts, and limits of the lungs' geometry."""

    thresholds: dict[str, float]
    limits: dict[str, float]


class _Probabilities(nn.Module):
    """The network with its masks as probabilities."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, films: Tensor) -> tuple[Tensor, Tensor]:
        """Give ``logits (N, 4)`` and ``lungs (N, 2, S/2, S/2)`` in 0..1."""
        facts, masks = self.network(films)
        return facts, torch.sigmoid(masks)


def golden_inputs() -> NDArray[np.float32]:
    """Draw the golden inputs, ``(2, 1, S, S)``: a clear portrait and a landscape with opacities."""
    portrait, landscape = radiograph_phantom(256, 224, seed=1), radiograph_phantom(205, 256, seed=2, opacities=5)
    return np.concatenate([serving_input(film, LUNG_INPUT) for film in (portrait, landscape)])


def export_lungs(network: LungNetwork, directory: Path, films: Sequence[Film]) -> PrecisionEntry:
    """Write ``model.onnx`` and ``golden.npz``; half-precision storage if it changes no output by more than 0.01.

    Raises
    ------
    ExportError
        If ONNX Runtime and PyTorch differ, or the file is too large.
    """
    inputs = golden_inputs()
    if films:
        inputs = np.concatenate([inputs, *(serving_input(read_grey(film.path), LUNG_INPUT) for film in films)])
    rounded = rounded_to_half(network)
    full, half = (_run(each, inputs) for each in (network, rounded))
    change = max(float(np.abs(one - other).max()) for one, other in zip(full, half, strict=True))
    halved = change <= STORAGE_LIMIT
    model = trace(
        _Probabilities(rounded if halved else network), LUNG_OUTPUTS, ARCHITECTURE, channels=1,
        size_px=LUNG_INPUT.size_px,
    )  # fmt: skip
    path = directory / MODEL_FILE
    onnx.save(store_in_half(model) if halved else model, path)
    if path.stat().st_size > LARGEST_BYTES:
        raise ExportError(f"{path.stat().st_size} bytes; a lung network has at most {LARGEST_BYTES}")
    there = LungFinder(path).outputs(inputs)
    here = half if halved else full
    apart = max(
        float(np.abs(one - other).max() / max(float(np.abs(other).max()), 1e-6))
        for one, other in zip(there, here, strict=True)
    )
    if not apart <= PARITY_LIMIT:
        raise ExportError(f"the ONNX graph is off by {apart:.2e}; at most {PARITY_LIMIT:.0e} is allowed")
    golden = LungFinder(path).outputs(inputs[:2])
    np.savez_compressed(directory / GOLDEN_FILE, films=inputs[:2], logits=golden[0], lungs=golden[1])
    gates = {"films": float(len(inputs)), "max_output_change": change, "parity": apart}
    return PrecisionEntry(storage="fp16" if halved else "fp32", gates=gates)


def _run(network: nn.Module, inputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    with torch.inference_mode():
        facts, masks = _Probabilities(copy.deepcopy(network)).eval()(torch.from_numpy(inputs))
    return facts.numpy(), masks.numpy()


def release_lungs(
    run: Path,
    version: str,
    models_dir: Path,
    manifest_path: Path,
    non_films: NonFilms,
    part: Part,
    *,
    is_release: bool = False,
) -> Artifact:
    """Make ``models/lungs/<version>`` from a run of `training.lung_train`.

    Parameters
    ----------
    run
        Directory of a finished run.
    version, models_dir
        Where the artefact goes.
    manifest_path
        The films; ``masks.csv`` and ``boxes.csv`` lie beside it.
    non_films
        Pictures that are no frontal films.
    part
        What is measured; thresholds always come from part val.
    is_release
        Must be True to read ``test``.

    Raises
    ------
    ReleaseError
        If ``part`` is ``test`` without ``is_release``.
    ExportError
        If the export is not what was trained.
    """
    require_release(part, is_release)
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    network = LungNetwork()
    network.load_state_dict(torch.load(run / CHECKPOINT, map_location="cpu", weights_only=True)["network"])
    network.eval()
    data = read_data([manifest_path])
    val, measured = data.part("val"), data.part(part)
    final = models_dir / NAME / version
    reads = recorded_test_reads(final)
    unfinished = models_dir / NAME / f".{version}.part"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        precision = export_lungs(network, unfinished, val[:: max(1, len(val) // _COMPARED)])
        finder = LungFinder(unfinished / MODEL_FILE)
        gate = _chosen(val, finder, non_films.tuning)
        report = {
            "model": NAME,
            "version": version,
            "model_sha256": file_sha256(unfinished / MODEL_FILE),
            "part": part,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "identity": precision.gates,
            **_measured(measured, finder, manifest_path.parent, non_films, gate),
        }
        report["verdict"] = _verdict(report)
        (unfinished / REPORT_FILE).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        record = {
            **record,
            "manifests_sha256": data.sha256,
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
        }
        manifest = _manifest(version, gate, precision, record, report)
        if part == "test":
            reads = [*reads, {**read_record(manifest), "model_sha256": report["model_sha256"]}]
        manifest = manifest.model_copy(update={"evaluation": {**manifest.evaluation, "test_reads": reads}})
        (unfinished / CARD_FILE).write_text(lung_card(manifest, report), encoding="utf-8")
        files = {name: file_sha256(unfinished / name) for name in (MODEL_FILE, GOLDEN_FILE, REPORT_FILE, CARD_FILE)}
        write_manifest(manifest.model_copy(update={"files": files}), unfinished)
        shutil.rmtree(final, ignore_errors=True)
        unfinished.replace(final)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    artifact = read_artifact(final)
    verify_files(artifact)
    return artifact


def _looked(films: Sequence[Film], finder: LungFinder) -> list[tuple[Film, Looked | None]]:
    return [(film, look_at(read_grey(film.path), finder)) for film in tqdm(films, "gate", unit="film", leave=False)]


def _chosen(val: Sequence[Film], finder: LungFinder, tuning: Path) -> Gate:
    """Choose thresholds (logits) and limits from validation films and the tuning pictures."""
    seen = [(film, looked) for film, looked in _looked(val, finder) if looked is not None]
    thresholds, limits = limits_from([looked for _, looked in seen], list(read_folder(tuning, finder).values()))
    ages = [(film.paediatric, looked.facts["paediatric"]) for film, looked in seen]
    thresholds["paediatric"] = threshold_of_children(
        [value for child, value in ages if child is True], [value for child, value in ages if child is False]
    )
    return Gate(thresholds, limits)


def _measured(
    films: Sequence[Film], finder: LungFinder, folder: Path, non_films: NonFilms, gate: Gate
) -> dict[str, Any]:  # Any: a JSON object
    """Measure masks, facts and refusals of one part."""
    looked = _looked(films, finder)
    by_source = {
        source: [one for film, one in looked if film.source == source] for source in sorted({f.source for f in films})
    }
    gates: dict[str, GateReport] = {
        "held_out": gate_report(by_source, read_folder(non_films.held_out, finder), gate.thresholds, gate.limits),
        "tuning": gate_report({}, read_folder(non_films.tuning, finder), gate.thresholds, gate.limits),
    }
    masks: MaskReport = mask_report(films, read_references(folder, films), finder)
    facts: dict[str, FactReport] = fact_reports(films, finder, gate.thresholds)
    return {
        "masks": masks.model_dump(mode="json"),
        "facts": {name: fact.model_dump(mode="json") for name, fact in facts.items()},
        "out_of_distribution": {name: one.model_dump(mode="json") for name, one in gates.items()},
    }


def _verdict(report: dict[str, Any]) -> dict[str, Any]:  # Any: JSON objects
    """Hold what was measured to its limits."""
    held, both = report["out_of_distribution"]["held_out"], report["masks"]["dice"]["both"]
    refused = held["refused_films"] / max(1, held["films"])
    kept_out = held["refused_non_films"] / max(1, held["non_films"])
    criteria = [
        Criterion(name="parity", value=report["identity"]["parity"], limit=PARITY_LIMIT, at_least=False),
        Criterion(name="true films refused", value=refused, limit=0.02, at_least=False),
        Criterion(name="held-out non-films refused", value=kept_out, limit=0.95, at_least=True),
    ]
    if both is not None:
        criteria.append(Criterion(name="median Dice", value=both[0], limit=0.9, at_least=True))
    failed = [criterion.name for criterion in criteria if not criterion.passed]
    listed = [{**criterion.model_dump(), "passed": criterion.passed} for criterion in criteria]
    return {"passed": not failed, "failed": failed, "criteria": listed}


def _manifest(
    version: str, gate: Gate, precision: PrecisionEntry, record: dict[str, Any], report: dict[str, Any]
) -> Manifest:  # Any: JSON objects
    """Put the manifest together."""
    half = LUNG_INPUT.size_px // 2
    return Manifest(
        schema=SCHEMA,
        name=NAME,
        version=version,
        kind="lungs",
        title="Lungs and input gate",
        architecture=ARCHITECTURE,
        labels=tuple(LabelEntry(name=name) for name in FACTS),
        input=InputEntry.of(LUNG_INPUT),
        opset=OPSET,
        outputs={"logits": ("N", len(FACTS)), "lungs": ("N", 2, half, half)},
        operating_points={
            name: (OperatingPointEntry(name="gate", threshold=float(sigmoid(np.array(gate.thresholds[name])))),)
            for name in FACTS
        },
        gate=gate.limits,
        precision=precision,
        training=record,
        evaluation={"verdict": report["verdict"], "part": report["part"]},
        licences=_LICENCES,
        code_commit=code_commit(),
        created=datetime.now(UTC).replace(microsecond=0),
        files=dict.fromkeys((MODEL_FILE, GOLDEN_FILE, CARD_FILE, REPORT_FILE), "0" * 64),
    )
