"""What each architecture costs to serve, and how well its export agrees with PyTorch, in one run."""

import time
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from tests.benchmarks.report import percentiles, publish
from training.export import PARITY_LIMIT, relative_difference
from training.multiclass.export import Answers, exported_answers, torch_answers
from training.networks import anatomy_of, build_network, head_of
from training.onnx_graph import store_in_half, to_onnx
from training.onnx_session import ExportedNetwork

pytestmark = pytest.mark.benchmark
ARCHITECTURES = {
    "resnet18": 224,
    "resnet18-stride16": 160,
    "resnet34": 224,
    "resnet50": 224,
    "inceptionv3": 224,
    "densenet161": 224,
    "inceptionresnetv2": 299,
    "resnet152": 224,
    "resnet50v2": 224,
    "covidnet": 224,
}
"""Architecture to the input it is measured at."""
LABELS, ROUNDS, WARM_UP = 14, 12, 2
Measured: TypeAlias = tuple[ExportedNetwork, NDArray[np.float32], bool]


@pytest.mark.timeout(1800)
def test_every_architecture_in_one_run(tmp_path: Path) -> None:
    rows: dict[str, dict[str, object]] = {}
    sessions: dict[str, Measured] = {}
    for name, size_px in ARCHITECTURES.items():
        torch.manual_seed(0)
        network = build_network(name, LABELS, size_px).eval()
        has_cam = not anatomy_of(network).no_cam
        films = torch.rand(2, 3, size_px, size_px)
        path = tmp_path / f"{name}.onnx"
        onnx.save(store_in_half(to_onnx(rounded(network), name, size_px)), path)
        session = ExportedNetwork(path, threads=1)
        found = exported_answers(session, films.numpy(), has_cam=has_cam)
        wanted = torch_answers(network, films.numpy())
        errors = {output: relative_difference(found[output], each) for output, each in wanted.items()}
        assert max(errors.values()) < PARITY_LIMIT
        rows[name] = {
            "size_px": size_px,
            "grid": list(found["cam"].shape[2:]) if has_cam else None,
            "million_parameters": round(sum(p.numel() for p in network.parameters()) / 1e6, 1),
            "fp16_megabytes": round(path.stat().st_size / 1e6, 1),
            "parity": {output: float(f"{error:.2g}") for output, error in errors.items()},
            "identity_logits": apart(found, head_of(network).bias.detach().numpy()) if has_cam else None,
        }
        sessions[name] = session, films[:1].numpy(), has_cam
    for name, milliseconds in interleaved(sessions).items():
        rows[name]["cpu_ms"] = percentiles(milliseconds)
    base = rows["resnet18"]["cpu_ms"]["p50"]  # type: ignore[index]  # a dictionary of numbers
    for row in rows.values():
        row["over_resnet18"] = round(row["cpu_ms"]["p50"] / base, 2)  # type: ignore[index]  # as above
    publish("architectures", {"labels": LABELS, "threads": 1, "networks": rows})


def apart(found: Answers, bias: NDArray[np.float32]) -> float:
    """Largest |mean(CAM) + bias - logit|."""
    gap = found["cam"].mean(axis=(2, 3)) + bias - found["logits"]
    return float(f"{np.abs(gap).max():.2g}")


def rounded(network: torch.nn.Module) -> torch.nn.Module:
    """Round, in place, what is stored in half precision."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim >= 2:
                parameter.copy_(parameter.half().float())
    return network


def interleaved(sessions: dict[str, Measured]) -> dict[str, list[float]]:
    """Processor milliseconds of one film with all outputs, the networks in turn, so that a busy hour meets them all."""
    found: dict[str, list[float]] = {name: [] for name in sessions}
    for number in range(WARM_UP + ROUNDS):
        for name, (session, film, has_cam) in sessions.items():
            started = time.process_time()
            exported_answers(session, film, has_cam=has_cam)
            if number >= WARM_UP:
                found[name].append(1000 * (time.process_time() - started))
    return found
