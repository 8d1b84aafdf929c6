"""Small released models made on the spot: real ONNX files, hashes, golden answers; no training, no patient."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from app.domain.label_hierarchy import ENSEMBLE_LABELS, PARENT_OF

SIZE_PX, CHANNELS = 64, 4


def _graph(
    rows: NDArray[np.float32], bias: NDArray[np.float32], size_px: int, stride: int, seed: int
) -> onnx.ModelProto:
    """One strided convolution, global average pooling and a linear layer, with maps exposed."""
    random = np.random.default_rng(seed)
    kernel = random.normal(0.0, 1.0 / stride, (CHANNELS, 3, stride, stride)).astype(np.float32)
    outputs = rows.shape[0]
    nodes = [
        helper.make_node("Conv", ["films", "conv1.weight"], ["c"], strides=[stride, stride]),
        helper.make_node("Relu", ["c"], ["features"]),
        helper.make_node("GlobalAveragePool", ["features"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "fc.weight", "fc.bias"], ["logits"], transB=1),
        helper.make_node("Einsum", ["features", "fc.weight"], ["cam"], equation="nchw,kc->nkhw"),
    ]
    cells = size_px // stride
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("films", TensorProto.FLOAT, ["N", 3, size_px, size_px])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", outputs]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", CHANNELS, cells, cells]),
            helper.make_tensor_value_info("cam", TensorProto.FLOAT, ["N", outputs, cells, cells]),
        ],
        [
            numpy_helper.from_array(kernel, "conv1.weight"),
            numpy_helper.from_array(rows, "fc.weight"),
            numpy_helper.from_array(bias, "fc.bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    return model


def write_model(
    models_dir: Path,
    name: str,
    *,
    version: str = "1.0.0",
    labels: Sequence[str] | None = None,
    kind: str = "expert",
    size_px: int = SIZE_PX,
    stride: int = 16,
    seed: int = 0,
    threshold: float = 0.5,
) -> Path:
    """Write one artefact directory and return it."""
    directory = models_dir / name / version
    directory.mkdir(parents=True)
    names = tuple(labels or ((f"not_{name}", name) if kind == "expert" else ENSEMBLE_LABELS))
    random = np.random.default_rng(seed + 1)
    rows = random.normal(0, 1, (len(names), CHANNELS)).astype(np.float32)
    if kind == "expert":
        rows[0] = -rows[1]
    bias = random.normal(0, 0.1, len(names)).astype(np.float32)
    onnx.save(_graph(rows, bias, size_px, stride, seed), directory / "model.onnx")
    films = np.random.default_rng(5).normal(0, 1, (2, 3, size_px, size_px)).astype(np.float32)
    session = ort.InferenceSession(directory / "model.onnx", providers=["CPUExecutionProvider"])
    logits, features, cam = session.run(["logits", "features", "cam"], {"films": films})
    np.savez_compressed(directory / "golden.npz", films=films, logits=logits, features=features, cam=cam)
    (directory / "MODEL_CARD.md").write_text(f"# {name}\n\nA toy model. Research use.\n", encoding="utf-8")
    write_manifest(directory, kind, names, size_px, size_px // stride, threshold)
    return directory


def write_manifest(
    directory: Path, kind: str, labels: Sequence[str], size_px: int, cells: int, threshold: float
) -> None:
    """Write (or refresh) the manifest of a directory, with the hashes of what is there now."""
    name, version = directory.parent.name, directory.name
    decided = labels[1:] if kind == "expert" else labels
    manifest = {
        "schema": "discern-manifest/1",
        "name": name,
        "version": version,
        "kind": kind,
        "title": f"Toy {name}",
        "architecture": "toy",
        "target": labels[1] if kind == "expert" else None,
        "labels": [
            {"name": label, "parent": PARENT_OF[label] if kind == "multilabel" else None, "evaluated": label != "mers"}
            for label in labels
        ],
        "input": {
            "size_px": size_px, "channels": 3, "intensity": "percentile-1-99",
            "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
        },
        "opset": 18,
        "outputs": {
            "logits": ["N", len(labels)],
            "features": ["N", CHANNELS, cells, cells],
            "cam": ["N", len(labels), cells, cells],
        },
        "operating_points": {
            label: [{"name": "default", "threshold": threshold, "sensitivity": 0.9, "specificity": 0.8}]
            for label in decided
        },
        "code_commit": "0000000",
        "created": datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
        "files": {
            file: hashlib.sha256((directory / file).read_bytes()).hexdigest()
            for file in ("model.onnx", "golden.npz", "MODEL_CARD.md")
        },
    }  # fmt: skip
    (directory / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def write_catalogue(models_dir: Path, interest: str, overlap: str, members: Sequence[str] = ()) -> None:
    """Write ``catalogue.json``."""
    content = {
        "schema": "discern-catalogue/1",
        "pairs": [{"interest": interest, "overlap": overlap, "alpha": 15}],
        "ensemble": {"members": list(members)},
    }
    (models_dir / "catalogue.json").write_text(json.dumps(content), encoding="utf-8")


def write_release(models_dir: Path) -> Path:
    """Write two experts and one multi-label member, as a release has them."""
    write_model(models_dir, "covid19", seed=1)
    write_model(models_dir, "pneumonia", seed=2)
    write_model(models_dir, "ensemble-toy", kind="multilabel", seed=3)
    write_catalogue(models_dir, "covid19", "pneumonia", ["ensemble-toy"])
    return models_dir
