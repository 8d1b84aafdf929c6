"""The exported graph: names, parity, identity, precision, and the way back."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from app.inference.manifest import GOLDEN_FILE, MODEL_FILE
from tests.unit.training.conftest import Exported, random_run
from training.export import (
    PARITY_LIMIT,
    TrainedRun,
    cosines,
    export_network,
    load_run,
    parity_errors,
    phantom_inputs,
    precision_gate,
    rounded_to_half,
    run_torch,
)
from training.onnx_graph import ExportError, initialisers, rebuild_network
from training.onnx_session import ExportedNetwork


def test_initialisers_carry_the_names_of_pytorch(exported: Exported, member: TrainedRun) -> None:
    stored = initialisers(onnx.load(exported.directory / MODEL_FILE))

    names = {name for name in member.network.state_dict() if not name.endswith("num_batches_tracked")}
    assert set(stored) == names
    assert {"conv1.weight", "layer1.0.bn1.running_mean", "fc.weight", "fc.bias"} <= names


def test_batch_normalisation_is_not_folded(exported: Exported) -> None:
    graph = onnx.load(exported.directory / MODEL_FILE).graph

    counts = Counter(node.op_type for node in graph.node)

    assert counts["Conv"] == counts["BatchNormalization"] == 20


def test_matrices_are_stored_in_half_precision_and_cast_before_use(exported: Exported) -> None:
    model = onnx.load(exported.directory / MODEL_FILE)

    stored = initialisers(model)

    assert stored["fc.weight"].dtype == stored["layer4.1.conv2.weight"].dtype == np.float16
    assert stored["fc.bias"].dtype == stored["bn1.running_var"].dtype == np.float32
    halves = {name for name, value in stored.items() if value.dtype == np.float16}
    assert {node.input[0] for node in model.graph.node if node.op_type == "Cast"} == halves
    assert (exported.directory / MODEL_FILE).stat().st_size < 23e6


def test_the_file_tells_nothing_of_the_machine_it_was_made_on(exported: Exported) -> None:
    content = (exported.directory / MODEL_FILE).read_bytes()

    assert str(Path.cwd()).encode() not in content
    assert b"stack_trace" not in content


def test_the_number_of_films_is_free(exported: Exported) -> None:
    session = ExportedNetwork(exported.directory / MODEL_FILE)
    films = np.random.default_rng(0).normal(size=(5, 3, 64, 64)).astype(np.float32)

    together, alone = session.outputs(films), session.outputs(films[3:4])

    assert together.logits.shape == (5, 14)
    assert together.features.shape == (5, 512, 2, 2)
    assert together.cam.shape == (5, 14, 2, 2)
    np.testing.assert_allclose(together.logits[3:4], alone.logits, atol=1e-4)


def test_golden_answers_are_small_synthetic_and_reproduced(exported: Exported, member: TrainedRun) -> None:
    assert (exported.directory / GOLDEN_FILE).stat().st_size < 1e6
    with np.load(exported.directory / GOLDEN_FILE) as golden:
        np.testing.assert_array_equal(golden["films"], phantom_inputs(member.specification))
        again = ExportedNetwork(exported.directory / MODEL_FILE).outputs(golden["films"])
        for name in ("logits", "features", "cam"):
            np.testing.assert_allclose(getattr(again, name), golden[name], atol=1e-5)


def test_the_network_is_rebuilt_from_the_file(exported: Exported, member: TrainedRun) -> None:
    films = phantom_inputs(member.specification)

    rebuilt = rebuild_network(exported.directory / MODEL_FILE)

    there, here = ExportedNetwork(exported.directory / MODEL_FILE).outputs(films), run_torch(rebuilt, films)
    np.testing.assert_allclose(here.logits, there.logits, atol=1e-4)
    np.testing.assert_allclose(here.cam, there.cam, atol=1e-4)
    expected = rounded_to_half(member.network).state_dict()
    for name, value in rebuilt.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(value, expected[name], rtol=0, atol=0)


def test_a_file_that_does_not_fit_its_architecture_is_not_rebuilt(exported: Exported, tmp_path: Path) -> None:
    model = onnx.load(exported.directory / MODEL_FILE)
    onnx.helper.set_model_props(model, {"discern.architecture": "resnet34"})
    onnx.save(model, tmp_path / MODEL_FILE)

    with pytest.raises(ExportError, match="differ"):
        rebuild_network(tmp_path / MODEL_FILE)


def test_an_export_measures_parity_and_identity(exported: Exported) -> None:
    assert exported.export.precision.storage == "fp16"
    assert exported.export.feature_shape == (512, 2, 2)
    assert max(exported.export.parity[name] for name in ("logits", "features", "cam")) <= PARITY_LIMIT
    assert exported.export.parity["identity"] < 1e-3


def test_another_network_fails_the_parity(exported: Exported, member: TrainedRun) -> None:
    other = rounded_to_half(member.network)
    nn.init.normal_(other.get_parameter("fc.weight"))

    with pytest.raises(ExportError, match="logits of the ONNX graph"):
        parity_errors(ExportedNetwork(exported.directory / MODEL_FILE), other, (), member)


def test_weights_beyond_half_precision_are_stored_in_full(tmp_path: Path) -> None:
    run = random_run(tmp_path / "run", "resnet18", 32)
    with torch.no_grad():
        run.network.get_parameter("conv1.weight").mul_(1e6)
        run.network.get_buffer("bn1.running_var").fill_(1e12)

    export = export_network(run, tmp_path)

    assert export.precision.storage == "fp32"
    assert export.precision.gates["finite"] == 0
    assert initialisers(onnx.load(tmp_path / MODEL_FILE))["conv1.weight"].dtype == np.float32


def test_a_loss_of_precision_that_moves_the_maps_is_refused(member: TrainedRun) -> None:
    rounded = rounded_to_half(member.network)
    with torch.no_grad():
        rounded.get_parameter("fc.weight").add_(0.01 * torch.randn(14, 512))

    gate = precision_gate(member, rounded, ())

    assert gate.storage == "fp32"
    assert gate.gates["min_cam_cosine"] < 0.9999


def test_two_empty_maps_are_alike() -> None:
    empty = np.zeros((1, 2, 3, 3), np.float32)

    assert (cosines(empty, empty) == 1).all()
    assert (cosines(empty, np.ones_like(empty)) == 0).all()


def test_an_unfinished_run_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"run\.json is missing"):
        load_run(tmp_path)
