"""ResNet50V2: Keras's numbers and shapes, timm as an oracle of the blocks, Keras's weights under torch's names."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import timm
import torch
from torch import nn

from training.multiclass.frozen import parameters_of, trainable_names, trained_names
from training.networks import ExplainedNetwork, WeightsError, build_network, initialise, load_trunk
from training.networks.keras_weights import read_keras_weights, torch_name
from training.networks.resnet50v2 import ResNet50V2
from training.networks.weights import from_timm
from training.onnx_graph import rebuild_network, to_onnx
from training.onnx_session import ExportedNetwork

TOP = "stages.2.blocks.5.conv3"


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


@pytest.fixture(scope="module")
def network() -> ResNet50V2:
    torch.manual_seed(0)
    built = build_network("resnet50v2", 3)
    assert isinstance(built, ResNet50V2)
    return built.eval()


def test_it_has_the_papers_number_of_parameters(network: ResNet50V2) -> None:
    assert _count(network) - _count(network.fc) == 23_519_360
    assert _count(network) == 23_525_507
    assert _count(network.fc) == 2048 * 3 + 3


def test_from_the_last_convolution_of_conv4_up_it_has_the_papers_fine_tuned_number(network: ResNet50V2) -> None:
    names = trained_names(network, TOP, trainable_names(network))

    assert sum(p.numel() for p in parameters_of(network, names).values()) == 15_240_195
    assert {name.partition(".")[0] for name in names} == {"stages", "norm", "fc"}
    assert "stages.2.blocks.5.norm3.weight" not in names


def test_its_biases_are_the_difference_to_timms(network: ResNet50V2) -> None:
    timms = timm.create_model("resnetv2_50", num_classes=3)

    biases = sum(m.bias.numel() for m in network.modules() if isinstance(m, nn.Conv2d) and m.bias is not None)

    assert biases == 64 + 15_104 + 3_840
    assert _count(network) - biases == _count(timms) == 23_506_499


def test_with_timms_layout_and_weights_it_computes_what_timm_computes() -> None:
    torch.manual_seed(1)
    timms = timm.create_model("resnetv2_50", num_classes=3).eval()
    for module in timms.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)  # type: ignore[arg-type]  # tracked, so never None
            nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]  # tracked, so never None
    ours = build_network("resnet50v2-timm", 3).eval()
    load_trunk(ours, from_timm(timms.state_dict()))
    films = torch.randn(2, 3, 75, 90)

    with torch.inference_mode():
        features, wanted = ExplainedNetwork(ours)(films)[1], timms.forward_features(films)  # type: ignore[operator]  # timm's method

    torch.testing.assert_close(features, wanted, rtol=1e-4, atol=1e-4)


def test_its_strides_lie_in_the_last_block_of_a_stage_as_in_keras(network: ResNet50V2) -> None:
    strided = [
        (stage, block)
        for stage in range(4)
        for block, module in enumerate(network.get_submodule(f"stages.{stage}.blocks").children())
        if module.get_submodule("conv2").stride == (2, 2)
    ]

    assert strided == [(0, 2), (1, 3), (2, 5)]
    assert network.forward_features(torch.zeros(1, 3, 224, 224)).shape == (1, 2048, 7, 7)
    assert network.forward_features(torch.zeros(1, 3, 112, 112)).shape == (1, 2048, 4, 4)


def test_the_first_pooling_pads_with_zeros_as_keras_does(network: ResNet50V2) -> None:
    film = torch.full((1, 3, 32, 32), -1.0)
    with torch.inference_mode():
        stem = network.get_submodule("stem")(film)
        pooled = nn.functional.max_pool2d(nn.functional.pad(stem, (1, 1, 1, 1)), 3, 2)
    seen: list[torch.Tensor] = []
    blocks = network.get_submodule("stages.0.blocks")
    handle = blocks.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))

    with torch.inference_mode():
        network.forward_features(film)
    handle.remove()

    torch.testing.assert_close(seen[0], pooled)
    assert float(pooled[:, :, 0].min()) >= 0.0 > float(stem.min())


def _as_keras(network: ResNet50V2) -> dict[str, np.ndarray]:
    """Write a network's weights as Keras names and shapes them, by rules written down here anew."""
    layers = {"norm1": "preact_bn", "downsample.conv": "0_conv", "conv1": "1_conv", "norm2": "1_bn", "conv2": "2_conv"}
    layers |= {"norm3": "2_bn", "conv3": "3_conv"}
    variables = {"running_mean": "moving_mean", "running_var": "moving_variance", "bias": "bias", "weight": "kernel"}
    found = {}
    for name, value in network.state_dict().items():
        module, _, variable = name.rpartition(".")
        if variable == "num_batches_tracked" or module == "fc":
            continue
        keras = variables[variable]
        if value.ndim == 1 and "norm" in module:
            keras = {"weight": "gamma", "bias": "beta"}.get(variable, keras)
        if module == "stem.conv":
            layer = "conv1_conv"
        elif module == "norm":
            layer = "post_bn"
        else:
            _, stage, _, block, part = module.split(".", 4)
            layer = f"conv{int(stage) + 2}_block{int(block) + 1}_{layers[part]}"
        array = value.permute(2, 3, 1, 0) if value.ndim == 4 else value
        found[f"{layer}/{keras}"] = array.contiguous().numpy()
    return found


def test_weights_that_keras_wrote_are_loaded(network: ResNet50V2, tmp_path: Path) -> None:
    np.savez(tmp_path / "keras.npz", **_as_keras(network))  # type: ignore[arg-type]  # numpy's stub takes no mapping
    other = build_network("resnet50v2", 3).eval()
    films = torch.randn(1, 3, 64, 64)

    initialise(other, "resnet50v2", str(tmp_path / "keras.npz"))

    assert isinstance(other, ResNet50V2)
    with torch.inference_mode():
        torch.testing.assert_close(other.forward_features(films), network.forward_features(films))


def test_keras_weights_that_lack_a_layer_or_have_another_are_refused(network: ResNet50V2, tmp_path: Path) -> None:
    arrays = _as_keras(network)
    foreign = {**arrays, "conv2_block1_9_conv/kernel": np.zeros((1, 1, 2, 2))}
    del arrays["post_bn/gamma"]
    np.savez(tmp_path / "less.npz", **arrays)  # type: ignore[arg-type]  # as above
    np.savez(tmp_path / "more.npz", **foreign)  # type: ignore[arg-type]  # as above

    with pytest.raises(WeightsError, match=r"norm\.weight: \(2048,\) expected, nothing found"):
        initialise(network, "resnet50v2", str(tmp_path / "less.npz"))
    with pytest.raises(WeightsError, match="conv2_block1_9_conv/kernel is no weight"):
        initialise(network, "resnet50v2", str(tmp_path / "more.npz"))


def test_the_imagenet_classifier_of_keras_is_left_out_and_old_names_are_read(tmp_path: Path) -> None:
    assert torch_name("predictions/kernel") is None
    assert torch_name("conv5_block1_0_conv/bias:0") == "stages.3.blocks.0.downsample.conv.bias"
    old = {"post_bn/gamma:0": np.ones(3), "predictions/bias:0": np.ones(1000)}
    np.savez(tmp_path / "old.npz", **old)  # type: ignore[arg-type]  # as above

    assert list(read_keras_weights(tmp_path / "old.npz")) == ["norm.weight"]


@pytest.mark.parametrize(("architecture", "words"), [("resnet50v2", "come from a file"), ("covidnet", "nobody")])
def test_imagenet_weights_that_nobody_hosts_are_explained(architecture: str, words: str) -> None:
    with pytest.raises(WeightsError, match=words):
        initialise(nn.Linear(1, 1), architecture, "imagenet")


@pytest.mark.slow
def test_its_export_agrees_with_the_network_and_gives_it_back(network: ResNet50V2, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    films = torch.rand(2, 3, 64, 64)
    onnx.save(to_onnx(network, "resnet50v2", 64), path)

    found = ExportedNetwork(path).outputs(films.numpy())
    rebuilt = rebuild_network(path)

    with torch.inference_mode():
        logits, features, cam = ExplainedNetwork(network)(films)
        torch.testing.assert_close(rebuilt(films), network(films))
    for one, other in zip((found.logits, found.features, found.cam), (logits, features, cam), strict=True):
        np.testing.assert_allclose(one, other.numpy(), rtol=1e-4, atol=1e-4 * float(other.abs().max()))


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(ValueError, match="keras or timm"):
        ResNet50V2(3, layout="torchvision")
