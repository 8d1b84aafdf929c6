"""What each architecture costs to serve, and how well its export agrees with PyTorch, in one run."""

import time
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from tests.benchmarks.report import percentiles, publish
from training.export import PARITY_LIMIT, relative_difference
from training.networks import ExplainedNetwork, build_network, head_of
from training.onnx_graph import OUTPUT_NAMES, store_in_half, to_onnx
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
}
"""Architecture to the input it is measured at."""
LABELS, ROUNDS, WARM_UP = 14, 12, 2


@pytest.mark.timeout(1800)
def test_every_architecture_in_one_run(tmp_path: Path) -> None:
    rows: dict[str, dict[str, object]] = {}
    sessions: dict[str, tuple[ExportedNetwork, np.ndarray]] = {}
    for name, size_px in ARCHITECTURES.items():
        torch.manual_seed(0)
        network = build_network(name, LABELS).eval()
        films = torch.rand(2, 3, size_px, size_px)
        path = tmp_path / f"{name}.onnx"
        onnx.save(store_in_half(to_onnx(rounded(network), name, size_px)), path)
        session = ExportedNetwork(path, threads=1)
        found = session.outputs(films.numpy())
        with torch.inference_mode():
            wanted = ExplainedNetwork(network)(films)
        errors = {
            output: relative_difference(getattr(found, output), each.numpy())
            for output, each in zip(OUTPUT_NAMES, wanted, strict=True)
        }
        identity = found.cam.mean(axis=(2, 3)) + head_of(network).bias.detach().numpy() - found.logits
        assert max(errors.values()) < PARITY_LIMIT
        rows[name] = {
            "size_px": size_px,
            "grid": list(found.cam.shape[2:]),
            "million_parameters": round(sum(p.numel() for p in network.parameters()) / 1e6, 1),
            "fp16_megabytes": round(path.stat().st_size / 1e6, 1),
            "parity": {output: float(f"{error:.2g}") for output, error in errors.items()},
            "identity_logits": float(f"{np.abs(identity).max():.2g}"),
        }
        sessions[name] = session, films[:1].numpy()
    for name, milliseconds in interleaved(sessions).items():
        rows[name]["cpu_ms"] = percentiles(milliseconds)
    base = rows["resnet18"]["cpu_ms"]["p50"]  # type: ignore[index]  # a dictionary of numbers
    for row in rows.values():
        row["over_resnet18"] = round(row["cpu_ms"]["p50"] / base, 2)  # type: ignore[index]  # as above
    publish("architectures", {"labels": LABELS, "threads": 1, "networks": rows})


def rounded(network: torch.nn.Module) -> torch.nn.Module:
    """Round, in place, what is stored in half precision."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim >= 2:
                parameter.copy_(parameter.half().float())
    return network


def interleaved(sessions: dict[str, tuple[ExportedNetwork, np.ndarray]]) -> dict[str, list[float]]:
    """Processor milliseconds of one film with all outputs, the networks in turn, so that a busy hour meets them all."""
    found: dict[str, list[float]] = {name: [] for name in sessions}
    for number in range(WARM_UP + ROUNDS):
        for name, (session, film) in sessions.items():
            started = time.process_time()
            session.outputs(film)
            if number >= WARM_UP:
                found[name].append(1000 * (time.process_time() - started))
    return found
