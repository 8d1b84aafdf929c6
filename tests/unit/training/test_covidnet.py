"""COVID-Net: the published counts, the blocks by hand, an export that has no maps."""

from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

from training.export import PARITY_LIMIT
from training.multiclass.frozen import parameters_of, squared_weights, trainable_names, trained_names
from training.networks import ExplainedNetwork, anatomy_of, build_network, head_of
from training.networks.covidnet import COVIDNet
from training.onnx_graph import initialisers, rebuild_network, to_onnx
from training.onnx_session import ExportedNetwork

SIZE = 32
PUBLISHED_FINE_TUNED = 98_917_443


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


@pytest.fixture(scope="module")
def network() -> COVIDNet:
    torch.manual_seed(0)
    built = build_network("covidnet", 3, SIZE)
    assert isinstance(built, COVIDNet)
    return built.eval()


def test_the_published_network_has_the_papers_number_of_parameters() -> None:
    with torch.device("meta"):
        published = COVIDNet(3, as_published=True)

    assert _count(published) == 103_827_715
    assert _count(published.fc) == 3_075
    assert all("blocks" not in name for name, p in published.named_parameters() if p.requires_grad)


def test_their_fine_tuned_number_is_smaller_than_the_linear_layers_that_they_name() -> None:
    with torch.device("meta"):
        published = COVIDNet(3, as_published=True)
    linear = sum(_count(getattr(published, name)) for name in ("fc1", "norm1", "fc2", "norm2", "fc"))

    assert linear == 103_818_243
    assert linear > PUBLISHED_FINE_TUNED


def test_the_trained_network_trains_every_block() -> None:
    with torch.device("meta"):
        trained = COVIDNet(3)
    blocks = trained.blocks

    assert _count(blocks) == sum(parameter.numel() for parameter in blocks.parameters())
    assert [_count(block) for block in blocks] == [349_888, 1_937_408, 9_528_576, 23_180_800]


def test_a_pepx_has_the_widths_of_the_specification(network: COVIDNet) -> None:
    first, second = (network.blocks[1].get_submodule(f"pepx.{k}") for k in (0, 1))
    widths = [
        (m.in_channels, m.out_channels, m.kernel_size[0], m.groups)
        for m in second.modules()
        if isinstance(m, nn.Conv2d)
    ]

    assert widths == [(512, 256, 1, 1), (256, 384, 1, 1), (384, 384, 3, 384), (384, 256, 1, 1), (256, 512, 1, 1)]
    assert first.get_submodule("projection1.conv").in_channels == 256
    assert [len(block.get_submodule("pepx")) for block in network.blocks] == [3, 4, 5, 3]  # type: ignore[arg-type]


def test_the_long_connection_is_added_after_every_pepx(network: COVIDNet) -> None:
    block = network.blocks[0]
    films = torch.randn(1, 64, 6, 6)
    with torch.inference_mode():
        long = block.get_submodule("shortcut")(films)
        by_hand = films
        for k in range(3):
            by_hand = block.get_submodule(f"pepx.{k}")(by_hand) + long

        torch.testing.assert_close(block(films), by_hand)


@pytest.mark.parametrize(("size_px", "cells"), [(224, 49), (112, 16), (100, 16), (32, 1)])
def test_its_first_linear_layer_fits_the_grid_of_its_size(size_px: int, cells: int) -> None:
    with torch.device("meta"):
        built = COVIDNet(3, size_px)
        logits = built.eval()(torch.zeros(2, 3, size_px, size_px))

    assert built.fc1.in_features == 2048 * cells
    assert logits.shape == (2, 3)


def test_the_published_convolutions_stand_bare(network: COVIDNet) -> None:
    with torch.device("meta"):
        published = COVIDNet(3, SIZE, as_published=True)
    blocks = list(published.blocks.modules())

    assert not any(isinstance(module, nn.BatchNorm2d | nn.ReLU) for module in blocks)
    assert sum(isinstance(module, nn.ReLU) for module in network.blocks.modules()) == 15 * 5 + 4


def test_it_has_no_map_and_says_why(network: COVIDNet) -> None:
    with pytest.raises(TypeError, match="flattens its last grid"):
        ExplainedNetwork(network)
    with pytest.raises(TypeError, match="flattens its last grid"):
        anatomy_of(network).features(network, torch.zeros(1, 3, SIZE, SIZE))
    assert head_of(network) is network.fc


def test_single_precision_is_enough_for_its_depth() -> None:
    torch.manual_seed(0)
    network = build_network("covidnet", 3, 64).train()
    films = torch.randn(8, 3, 64, 64)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(films)  # its statistics are now those of its own activations

    with torch.inference_mode():
        single = network.eval()(films)
        double = network.double()(films.double())

    assert float((single - double).abs().max() / double.abs().max()) < PARITY_LIMIT


def test_its_penalty_counts_the_weights_of_the_linear_layers_alone() -> None:
    small = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Linear(2, 1), nn.Linear(1, 1))
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.fill_(2.0)

    assert float(squared_weights(small).detach()) == pytest.approx(4.0 * 3)


def test_a_part_from_a_block_up_leaves_what_was_never_trained() -> None:
    with torch.device("meta"):
        published = COVIDNet(3, SIZE, as_published=True)
    trainable = trainable_names(published)

    names = trained_names(published, "blocks.3", trainable)

    assert {name.partition(".")[0] for name in names} == {"fc1", "norm1", "fc2", "norm2", "fc"}
    assert (
        sum(p.numel() for p in parameters_of(published, trained_names(published, "head", trainable)).values()) == 3075
    )
    with pytest.raises(ValueError, match="no module with weights"):
        trained_names(published, "blocks.9", trainable)
    with pytest.raises(ValueError, match="nothing from"):
        trained_names(published, "fc", ())


@pytest.mark.slow
def test_its_export_answers_alike_has_no_map_and_gives_the_network_back(network: COVIDNet, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    films = torch.rand(2, 3, SIZE, SIZE)
    model = to_onnx(network, "covidnet", SIZE)
    onnx.save(model, path)

    found = ExportedNetwork(path).logits(films.numpy())
    rebuilt = rebuild_network(path)

    with torch.inference_mode():
        torch.testing.assert_close(torch.from_numpy(found), network(films), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(rebuilt(films), network(films))
    assert [output.name for output in model.graph.output] == ["logits"]
    assert {"fc.weight", "fc.bias", "fc1.weight"} <= set(initialisers(model))
