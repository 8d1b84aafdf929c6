"""Storing only the last weights in half precision, where a network loses by having them all so."""

from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto

from training.export import last_weights, rounded_to_half
from training.networks import build_network
from training.onnx_graph import is_stored_in_half, store_in_half, to_onnx


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network("resnet18", 14).eval()


@pytest.mark.parametrize("megabytes", [24, 30, 40])
def test_as_few_of_the_last_weights_as_fit_are_chosen(network: torch.nn.Module, megabytes: int) -> None:
    most = megabytes * 1_000_000

    chosen = last_weights(network, most)

    parameters = dict(network.named_parameters())
    size = sum((2 if name in chosen else 4) * each.numel() for name, each in parameters.items())
    earliest = next(name for name in parameters if name in chosen)
    assert size <= most < size + 2 * parameters[earliest].numel()
    behind = list(parameters)[list(parameters).index(earliest) :]
    assert chosen == {
        name for name in behind if is_stored_in_half(name, parameters[name].ndim) and not name.startswith("fc.")
    }


def test_a_network_that_fits_keeps_all_its_weights(network: torch.nn.Module) -> None:
    assert last_weights(network, 50_000_000) == set()


def test_parts_that_no_export_holds_count_for_nothing() -> None:
    inception = build_network("inceptionv3", 14)

    assert last_weights(inception, 88_000_000) == set()
    assert not any(name.startswith("AuxLogits") for name in last_weights(inception, 0))


def test_only_the_chosen_weights_are_rounded_and_stored_so(network: torch.nn.Module, tmp_path: Path) -> None:
    chosen = last_weights(network, 30_000_000)

    rounded = rounded_to_half(network, chosen)
    onnx.save(store_in_half(to_onnx(rounded, "resnet18", 32), chosen), tmp_path / "model.onnx")

    before, after = network.state_dict(), rounded.state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == chosen
    stored = {entry.name: entry.data_type for entry in onnx.load(tmp_path / "model.onnx").graph.initializer}
    assert {name for name, kind in stored.items() if kind == TensorProto.FLOAT16} == chosen
    assert (tmp_path / "model.onnx").stat().st_size < 30_500_000
