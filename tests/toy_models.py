"""Small released models made on the spot: real ONNX files, hashes, golden answers; no training, no patient."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from app.domain.input_gate import FACTS
from app.domain.label_hierarchy import ENSEMBLE_LABELS, PARENT_OF

SIZE_PX, CHANNELS = 64, 4
LUNGS_PX, LUNGS_CELLS = 128, 64
FILES = ("model.onnx", "golden.npz", "MODEL_CARD.md", "report.json")


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
    **changes: object,
) -> Path:
    """Write one artefact directory and return it; ``changes`` are other values for top-level fields of its manifest."""
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
    _write_words(directory)
    write_manifest(directory, kind, names, size_px, size_px // stride, threshold)
    change_manifest(directory, **changes)
    return directory


def write_region_model(models_dir: Path, name: str, *, of: str = "bright places", **settings: Any) -> Path:
    """Write an expert that also predicts a region: what is brighter than mid-grey on its input.

    ``settings`` are those of `write_model`.
    """
    directory = write_model(models_dir, name, **settings)
    path = directory / "model.onnx"
    model = onnx.load(path)
    size_px = model.graph.input[0].type.tensor_type.shape.dim[2].dim_value
    model.graph.node.extend(
        [
            helper.make_node("ReduceMean", ["films", "channel"], ["grey"], keepdims=1),
            helper.make_node("Mul", ["grey", "steepness"], ["steep"]),
            helper.make_node("Sigmoid", ["steep"], ["region"]),
        ]
    )
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(np.array([1], np.int64), "channel"),
            numpy_helper.from_array(np.array(8.0, np.float32), "steepness"),
        ]
    )
    model.graph.output.append(helper.make_tensor_value_info("region", TensorProto.FLOAT, ["N", 1, size_px, size_px]))
    onnx.checker.check_model(model)
    onnx.save(model, path)
    with np.load(directory / "golden.npz") as stored:
        golden = dict(stored)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    (golden["region"],) = session.run(["region"], {"films": golden["films"]})
    np.savez_compressed(directory / "golden.npz", **golden)
    _write_words(directory)
    manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    change_manifest(
        directory,
        outputs=manifest["outputs"] | {"region": ["N", 1, size_px, size_px]},
        region={"of": of, "outlined_films": 3},
        files={file: sha256(directory / file) for file in FILES},
    )
    return directory


def _write_words(directory: Path) -> None:
    """Write the card and the release gate's report."""
    name = directory.parent.name
    (directory / "MODEL_CARD.md").write_text(f"# {name}\n\nA toy model. Research use.\n", encoding="utf-8")
    report = {"model_sha256": sha256(directory / "model.onnx"), "verdict": {"passed": True, "failed": []}}
    (directory / "report.json").write_text(json.dumps(report), encoding="utf-8")


def sha256(path: Path) -> str:
    """Hash a file in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_manifest(
    directory: Path,
    kind: str,
    labels: Sequence[str],
    size_px: int,
    cells: int,
    threshold: float,
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
        "input": _input(1 if kind == "lungs" else 3, size_px),
        "opset": 18,
        "outputs": {"logits": ["N", len(labels)], "lungs": ["N", 2, cells, cells]}
        if kind == "lungs"
        else {
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
        "files": {file: sha256(directory / file) for file in FILES},
    }  # fmt: skip
    (directory / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def _lungs_graph(brightest: float) -> onnx.ModelProto:
    """Dark places where the lungs of `tests.phantoms.chest_film` lie, and facts from the contrast to what is between.

    An inverted film has the opposite contrast, a lying one has it across; a picture of anything else has none.
    """
    y, x = ((np.indices((LUNGS_CELLS, LUNGS_CELLS)) + 0.5) / LUNGS_CELLS).astype(np.float32)
    near = np.stack([np.hypot((x - side) / 0.19, (y - 0.48) / 0.4) <= 1.0 for side in (0.31, 0.69)])
    cores = np.hypot((x - 0.31) / 0.08, (y - 0.48) / 0.2) <= 1.0
    cores |= np.hypot((x - 0.69) / 0.08, (y - 0.4) / 0.12) <= 1.0
    between = (np.abs(x - 0.5) < 0.04) & (np.abs(y - 0.5) < 0.25)
    contrast = between / between.sum() - cores / cores.sum()
    constants = {
        "near": brightest * near[None].astype(np.float32),
        "contrast": np.stack([contrast, contrast.T])[:, None].astype(np.float32),
        "darkness": np.array(0.45, np.float32),
        "steepness": np.array(20.0, np.float32),
        "grey": np.array(0.25, np.float32),
        "middle": np.array(0.5, np.float32),
        "sums": np.array([[0, -20, 0, 0], [0, 0, 0, 0], [20, 0, -30, 0], [20, 0, 30, 0]], np.float32),
        "start": np.array([-6, -2, 0, -6], np.float32),
    }
    nodes = [
        helper.make_node("AveragePool", ["films"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Mul", ["pooled", "grey"], ["spread"]),
        helper.make_node("Add", ["spread", "middle"], ["levels"]),
        helper.make_node("Sub", ["darkness", "levels"], ["darker"]),
        helper.make_node("Mul", ["darker", "steepness"], ["steep"]),
        helper.make_node("Sigmoid", ["steep"], ["dark"]),
        helper.make_node("Mul", ["dark", "near"], ["lungs"]),
        helper.make_node("Conv", ["levels", "contrast"], ["answers"]),
        helper.make_node("Flatten", ["answers"], ["contrasts"]),
        helper.make_node("Abs", ["contrasts"], ["sizes"]),
        helper.make_node("Concat", ["contrasts", "sizes"], ["measures"], axis=1),
        helper.make_node("Gemm", ["measures", "sums", "start"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "toy-lungs",
        [helper.make_tensor_value_info("films", TensorProto.FLOAT, ["N", 1, LUNGS_PX, LUNGS_PX])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", len(FACTS)]),
            helper.make_tensor_value_info("lungs", TensorProto.FLOAT, ["N", 2, LUNGS_CELLS, LUNGS_CELLS]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    return model


def write_lungs(
    models_dir: Path, name: str = "lungs", *, gate: Mapping[str, float] = MappingProxyType({}), brightest: float = 1.0
) -> Path:
    """Write the artefact of a lungs network and return its directory."""
    directory = models_dir / name / "1.0.0"
    directory.mkdir(parents=True)
    onnx.save(_lungs_graph(brightest), directory / "model.onnx")
    films = np.random.default_rng(5).normal(0, 1, (2, 1, LUNGS_PX, LUNGS_PX)).astype(np.float32)
    session = ort.InferenceSession(directory / "model.onnx", providers=["CPUExecutionProvider"])
    logits, lungs = session.run(["logits", "lungs"], {"films": films})
    np.savez_compressed(directory / "golden.npz", films=films, logits=logits, lungs=lungs)
    _write_words(directory)
    write_manifest(directory, "lungs", FACTS, LUNGS_PX, LUNGS_CELLS, 0.5)
    change_manifest(directory, gate=dict(gate))
    return directory


def _input(channels: int, size_px: int) -> dict[str, object]:
    mean, std = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]) if channels == 3 else ([0.5], [0.25])
    return {"size_px": size_px, "channels": channels, "intensity": "percentile-1-99", "mean": mean, "std": std}


def change_manifest(directory: Path, **changes: object) -> None:
    """Put other values for top-level fields into the manifest of a directory."""
    path = directory / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def write_catalogue(
    models_dir: Path,
    interest: str,
    overlap: str,
    members: Sequence[str] = (),
    lungs: str | None = None,
    *,
    multiclass: Sequence[str] = (),
    regions: Sequence[str] = (),
) -> None:
    """Write ``catalogue.json``."""
    content: dict[str, object] = {
        "schema": "discern-catalogue/1",
        "pairs": [{"interest": interest, "overlap": overlap, "alpha": 15}],
        "ensemble": {"members": list(members)},
    }
    if lungs is not None:
        content["lungs"] = lungs
    if multiclass:
        content["multiclass"] = list(multiclass)
    if regions:
        content["regions"] = list(regions)
    (models_dir / "catalogue.json").write_text(json.dumps(content), encoding="utf-8")


def write_classes(
    models_dir: Path, name: str, labels: Sequence[str] = ("covid19", "normal", "pneumonia"), *, maps: bool = True,
    slope: float = 1.0,
) -> Path:  # fmt: skip
    """Write a network of exclusive classes, with class activation maps or without, and return its directory."""
    explanation: dict[str, object] = {"kind": "cam"}
    if not maps:
        explanation = {"kind": "none", "reason": "no_global_average_pooling", "detail": "A toy without maps"}
    calibration = {label: {"method": "temperature", "slope": slope} for label in labels}
    directory = write_model(
        models_dir, name, kind="multiclass", labels=labels, seed=5, explanation=explanation, calibration=calibration,
        operating_points={},
    )  # fmt: skip
    if not maps:
        _drop_maps(directory)
    return directory


def _drop_maps(directory: Path) -> None:
    """Leave nothing but the logits in a model, its golden answers and its manifest."""
    model = onnx.load(directory / "model.onnx")
    kept = [output for output in model.graph.output if output.name == "logits"]
    nodes = [node for node in model.graph.node if node.op_type != "Einsum"]
    del model.graph.output[:], model.graph.node[:]
    model.graph.output.extend(kept)
    model.graph.node.extend(nodes)
    onnx.save(model, directory / "model.onnx")
    with np.load(directory / "golden.npz") as golden:
        stored = {name: golden[name] for name in ("films", "logits")}
    np.savez_compressed(directory / "golden.npz", films=stored["films"], logits=stored["logits"])
    _write_words(directory)
    change_manifest(
        directory,
        outputs={"logits": ["N", stored["logits"].shape[1]]},
        files={file: sha256(directory / file) for file in FILES},
    )


def write_ensemble(models_dir: Path, members: Sequence[Path], **changes: object) -> dict[str, object]:
    """Write ``ensemble.json`` and its report as if fitted to members, by their directories; give what was written.

    ``pneumonia`` is calibrated and has two operating points; ``mers`` was not evaluated.
    """
    (models_dir / "ensemble").mkdir()
    report = models_dir / "ensemble" / "report.json"
    report.write_text("{}\n", encoding="utf-8")
    labels: dict[str, dict[str, object]] = {
        label: {"parent": PARENT_OF[label], "operating_points": [{"name": "default", "threshold": 0.5}]}
        for label in ENSEMBLE_LABELS
    }
    labels["pneumonia"] |= {
        "calibration": {"method": "platt", "slope": 2.0, "intercept": 0.5},
        "operating_points": [
            {"name": "sensitivity-0.90", "threshold": 0.3, "sensitivity": 0.9, "specificity": 0.7},
            {"name": "sensitivity-0.95", "threshold": 0.2},
        ],
    }
    labels["mers"] |= {"evaluated": False, "reason": "validation holds 0 positive films"}
    content: dict[str, object] = {
        "schema": "discern-ensemble/1",
        "members": [
            {"name": each.parent.name, "version": each.name, "model_sha256": sha256(each / "model.onnx")}
            for each in members
        ],
        "labels": labels,
        "code_commit": "0000000",
        "created": datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
        "files": {"ensemble/report.json": sha256(report)},
    } | changes
    (models_dir / "ensemble.json").write_text(json.dumps(content), encoding="utf-8")
    return content


def write_release(models_dir: Path) -> Path:
    """Write two experts and one multi-label member, as a release has them."""
    write_model(models_dir, "covid19", seed=1)
    write_model(models_dir, "pneumonia", seed=2)
    write_model(models_dir, "ensemble-toy", kind="multilabel", seed=3)
    write_catalogue(models_dir, "covid19", "pneumonia", ["ensemble-toy"])
    return models_dir


def write_release_with_lungs(models_dir: Path) -> Path:
    """Write a release whose experts, measured on adults, are fed with the lungs' part of a film, and the lungs network.

    Both experts find `tests.conftest.film_png` positive.
    """
    for name, seed in (("covid19", 0), ("pneumonia", 8)):
        write_model(
            models_dir, name, seed=seed, measured_on={"age_groups": ["adult"]},
            input=_input(3, SIZE_PX) | {"crop": "lungs", "crop_margin": 0.1},
        )  # fmt: skip
    write_model(models_dir, "ensemble-toy", kind="multilabel", seed=3)
    write_lungs(models_dir, gate={"min_lung_share": 0.05, "max_two_level_share": 0.9, "max_edge_contact": 0.1})
    write_catalogue(models_dir, "covid19", "pneumonia", ["ensemble-toy"], "lungs")
    return models_dir
