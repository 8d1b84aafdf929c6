"""The network that classifies and predicts a region: shapes, exact maps, and what has none."""

import numpy as np
import pytest
import torch
from torch import nn

from training.networks.saliency import (
    HIDDEN_UNITS,
    ExplainedSaliencyNetwork,
    NoActivationMapError,
    SaliencyNetwork,
    SaliencyPredictionNetwork,
    region_sizes,
)
from training.regions.grad_cam import grad_cam


@pytest.fixture(scope="module")
def network() -> SaliencyNetwork:
    torch.manual_seed(0)
    return SaliencyNetwork("resnet18-stride16", 3).eval()


@pytest.fixture(scope="module")
def films() -> torch.Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def test_four_blocks_lead_from_seven_to_the_inputs_side() -> None:
    assert region_sizes(224) == (16, 48, 144, 224)
    assert region_sizes(160) == (16, 48, 144, 160)


def test_the_blocks_are_as_the_paper_has_them() -> None:
    network = SaliencyPredictionNetwork(512).eval()
    seen: list[tuple[str, tuple[int, ...]]] = []
    for block in network.blocks:
        for name in ("conv", "norm"):
            part = block.get_submodule(name)
            part.register_forward_hook(
                lambda module, _, output: seen.append((type(module).__name__, tuple(output.shape[1:])))
            )

    with torch.inference_mode():
        region = network(torch.randn(1, 512, 7, 7), 224)

    assert tuple(region.shape) == (1, 1, 224, 224)
    assert seen == [
        ("Conv2d", (128, 7, 7)), ("BatchNorm2d", (128, 16, 16)),
        ("Conv2d", (32, 16, 16)), ("BatchNorm2d", (32, 48, 48)),
        ("Conv2d", (16, 48, 48)), ("BatchNorm2d", (16, 144, 144)),
        ("Conv2d", (1, 144, 144)), ("BatchNorm2d", (1, 224, 224)),
    ]  # fmt: skip


def test_a_block_is_convolution_relu6_upsampling_normalisation_in_this_order() -> None:
    network = SaliencyPredictionNetwork(64).eval()
    features = 20 * torch.randn(1, 64, 4, 4, generator=torch.Generator().manual_seed(0))
    oracle = nn.Sequential()
    for block, side in zip(network.blocks, region_sizes(32), strict=True):
        oracle.extend([block.get_submodule("conv"), nn.ReLU6(), nn.UpsamplingBilinear2d((side, side))])
        oracle[-1] = nn.Upsample((side, side), mode="bilinear")
        oracle.append(block.get_submodule("norm"))

    with torch.inference_mode():
        torch.testing.assert_close(network(features, 32), oracle(features))


def test_the_mean_of_a_map_plus_the_bias_is_the_logit(network: SaliencyNetwork, films: torch.Tensor) -> None:
    with torch.inference_mode():
        logits, _, maps, _ = ExplainedSaliencyNetwork(network)(films)

    torch.testing.assert_close(maps.mean((2, 3)) + network.trunk.get_submodule("fc").bias, logits)


def test_the_classifier_within_it_is_the_librarys(network: SaliencyNetwork, films: torch.Tensor) -> None:
    with torch.inference_mode():
        logits, _ = network(films)

        torch.testing.assert_close(logits, network.trunk(films))


def test_the_exported_region_is_a_probability_on_the_inputs_pixels(
    network: SaliencyNetwork, films: torch.Tensor
) -> None:
    with torch.inference_mode():
        region = ExplainedSaliencyNetwork(network)(films)[3]

    assert tuple(region.shape) == (2, 1, 64, 64)
    assert 0.0 <= float(region.min()) <= float(region.max()) <= 1.0


def test_under_one_linear_layer_grad_cam_is_the_rectified_map_divided_by_its_cells(
    network: SaliencyNetwork, films: torch.Tensor
) -> None:
    with torch.no_grad():
        features = network.features(films)
        maps = network.activation_maps(features)

    found = grad_cam(network, features, torch.tensor([2, 0]))

    cells = features.shape[2] * features.shape[3]
    expected = torch.relu(torch.stack([maps[0, 2], maps[1, 0]])) / cells
    torch.testing.assert_close(found, expected)


def test_with_the_papers_hidden_layer_there_is_no_activation_map_but_grad_cam(films: torch.Tensor) -> None:
    torch.manual_seed(0)
    network = SaliencyNetwork("resnet18", 2, HIDDEN_UNITS).eval()
    with torch.no_grad():
        features = network.features(films)

    assert not network.has_activation_maps
    with pytest.raises(NoActivationMapError, match="Grad-CAM"):
        network.activation_maps(features)
    found = grad_cam(network, features, torch.tensor([1, 1]))
    assert tuple(found.shape) == (2, 2, 2)
    assert float(found.min()) >= 0.0


def test_grad_cam_of_a_hidden_layer_follows_finite_differences() -> None:
    torch.manual_seed(0)
    network = SaliencyNetwork("resnet18", 2, 8).eval()
    features = torch.rand(1, 512, 2, 2)
    step = 1e-2
    gradients = np.zeros(512)
    with torch.inference_mode():
        for channel in range(512):
            up, down = features.clone(), features.clone()
            up[0, channel] += step
            down[0, channel] -= step
            # all cells of a channel move together: the sum of its gradients
            gradients[channel] = float(network.classify(up)[0, 1] - network.classify(down)[0, 1]) / (2 * step)
    expected = np.maximum(np.einsum("chw,c->hw", features[0].numpy(), gradients / 4), 0)

    found = grad_cam(network, features, torch.tensor([1]))[0].numpy()

    np.testing.assert_allclose(found, expected, atol=0.02 * max(float(np.abs(expected).max()), 1e-3))


def test_an_architecture_that_is_no_such_resnet_is_refused() -> None:
    with pytest.raises(ValueError, match="densenet161"):
        SaliencyNetwork("densenet161", 2)
