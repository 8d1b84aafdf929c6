"""Networks, their sizes and their initial weights."""

from pathlib import Path
from urllib.error import URLError

import onnx
import pytest
import torch
import torchvision

from tests.unit.training.phantom_data import tiny_recipe
from training.export import PARITY_LIMIT, relative_difference
from training.networks import (
    ARCHITECTURES,
    ExplainedNetwork,
    WeightsError,
    anatomy_of,
    build_network,
    grow_trunk,
    head_of,
    initialise,
)
from training.onnx_graph import initialisers, rebuild_network, to_onnx
from training.onnx_session import ExportedNetwork
from training.recipe import load_recipe, recipe_names

PARAMETERS = {
    "resnet18": 11_183_694,
    "resnet34": 21_291_854,
    "inceptionv3": 24_382_716,
    "densenet161": 26_502_926,
    "inceptionresnetv2": 54_327_982,
}
"""Trainable parameters with fourteen outputs, as papers/2 prints them."""


@pytest.mark.parametrize(("architecture", "parameters"), PARAMETERS.items())
def test_a_member_has_the_papers_number_of_parameters(architecture: str, parameters: int) -> None:
    network = build_network(architecture, 14)

    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == parameters


def test_every_member_of_the_papers_and_every_depth_is_an_architecture() -> None:
    depths = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")

    assert set(ARCHITECTURES) >= {*PARAMETERS, *depths, *(f"{depth}-stride16" for depth in depths)}


@pytest.mark.parametrize("architecture", PARAMETERS)
def test_every_family_is_explained_by_its_own_linear_layer(architecture: str) -> None:
    network = build_network(architecture, 14).eval()
    films = torch.randn(2, 3, 107, 107)

    with torch.inference_mode():
        logits, features, cam = ExplainedNetwork(network)(films)
        direct = network(films)

    torch.testing.assert_close(logits, direct)
    assert cam.shape == (2, 14, *features.shape[2:])
    torch.testing.assert_close(cam.mean((2, 3)) + head_of(network).bias, logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("architecture", PARAMETERS)
def test_every_export_agrees_with_the_network_and_gives_it_back(architecture: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = build_network(architecture, 14).eval()
    films = torch.rand(2, 3, 107, 107)
    path = tmp_path / "model.onnx"
    onnx.save(to_onnx(network, architecture, 107), path)

    found = ExportedNetwork(path).outputs(films.numpy())
    rebuilt = rebuild_network(path)

    with torch.inference_mode():
        for name, wanted in zip(("logits", "features", "cam"), ExplainedNetwork(network)(films), strict=True):
            assert relative_difference(getattr(found, name), wanted.numpy()) < PARITY_LIMIT
        torch.testing.assert_close(rebuilt(films), network(films))
    assert {"fc.weight", "fc.bias"} <= set(initialisers(onnx.load(path)))


@pytest.mark.parametrize(("size_px", "used"), [(299, True), (512, True), (224, False), (96, False)])
def test_the_auxiliary_head_is_trained_where_its_kernel_fits(size_px: int, used: bool) -> None:
    network = build_network("inceptionv3", 14).train()

    found = network(torch.zeros(2, 3, size_px, size_px))

    assert isinstance(found, tuple) is used
    assert (found[1] if used else found).shape == (2, 14)
    assert isinstance(network.eval()(torch.zeros(1, 3, size_px, size_px)), torch.Tensor)


def test_a_network_without_its_linear_layer_is_none() -> None:
    with pytest.raises(TypeError, match="no linear layer called fc"):
        anatomy_of(torch.nn.Sequential(torch.nn.Flatten()))


def test_a_grown_network_begins_as_the_shallow_one(tmp_path: Path) -> None:
    torch.manual_seed(1)
    shallow, deep = build_network("resnet18", 14).eval(), build_network("resnet34", 14).eval()
    torch.save({"network": shallow.state_dict()}, tmp_path / "shallow.pt")
    films = torch.randn(2, 3, 64, 64)

    initialise(deep, "resnet34", f"grow:{tmp_path / 'shallow.pt'}")

    with torch.inference_mode():
        features = [ExplainedNetwork(network)(films)[1] for network in (shallow, deep)]
    torch.testing.assert_close(*features)


@pytest.mark.parametrize(("start", "grown"), [("resnet34", "resnet18"), ("resnet18", "resnet50"), ("resnet18",) * 2])
def test_only_a_deeper_network_of_the_same_blocks_can_be_grown(start: str, grown: str) -> None:
    with pytest.raises(WeightsError):
        grow_trunk(build_network(grown, 2), build_network(start, 2).state_dict())


@pytest.mark.parametrize("depth", ["resnet18", "resnet50"])
def test_stride_16_gives_four_times_the_cells_with_the_same_parameters(depth: str) -> None:
    coarse, fine = build_network(depth, 2), build_network(f"{depth}-stride16", 2)
    film = torch.zeros(1, 3, 64, 64)

    maps = [ExplainedNetwork(network).eval()(film)[2].shape[2:] for network in (coarse, fine)]

    assert maps == [(2, 2), (4, 4)]
    assert {k: v.shape for k, v in coarse.state_dict().items()} == {k: v.shape for k, v in fine.state_dict().items()}
    with pytest.raises(ValueError, match="resnet9"):
        build_network("resnet9", 2)


def test_the_spatial_mean_of_a_map_plus_the_bias_is_the_logit() -> None:
    network = build_network("resnet18", 3).eval()

    with torch.inference_mode():
        logits, _, cam = ExplainedNetwork(network)(torch.randn(2, 3, 64, 64))

    torch.testing.assert_close(cam.mean((2, 3)) + network.get_parameter("fc.bias"), logits, rtol=1e-4, atol=1e-5)


def test_the_papers_recipe_is_the_papers() -> None:
    recipe = load_recipe("paper")

    assert (recipe.architecture, recipe.epochs, recipe.batch_size) == ("resnet152", 30, 32)
    assert (recipe.optimiser.name, recipe.optimiser.learning_rate, recipe.optimiser.momentum) == ("sgd", 0.001, 0.9)
    assert (recipe.select_by, recipe.initial_weights) == ("accuracy", "imagenet")


def test_every_shipped_recipe_loads_and_an_unknown_one_says_which_there_are() -> None:
    assert [load_recipe(name).epochs > 0 for name in recipe_names()] == [True] * len(recipe_names())
    with pytest.raises(FileNotFoundError, match=r"default, film, .*, member, .*, paper"):
        load_recipe("magic")


def test_imagenet_weights_come_from_the_local_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    pretrained = build_network("resnet18", 1000)
    cached = tmp_path / "hub" / "checkpoints" / Path(torchvision.models.ResNet18_Weights.DEFAULT.url).name
    cached.parent.mkdir(parents=True)
    torch.save(pretrained.state_dict(), cached)
    network = build_network("resnet18", 2)
    head = network.get_parameter("fc.weight").clone()

    initialise(network, "resnet18", "imagenet")

    torch.testing.assert_close(network.get_parameter("conv1.weight"), pretrained.get_parameter("conv1.weight"))
    torch.testing.assert_close(network.get_parameter("fc.weight"), head)


def test_unreachable_imagenet_weights_are_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)

    with pytest.raises(WeightsError, match="resnet18 are neither cached nor reachable"):
        initialise(build_network("resnet18", 2), "resnet18", "imagenet")


def test_weights_of_another_depth_do_not_fit(tmp_path: Path) -> None:
    torch.save(build_network("resnet18", 2).state_dict(), tmp_path / "other.pt")

    with pytest.raises(WeightsError, match=r"layer1\.2\.conv1\.weight"):
        initialise(build_network("resnet34", 2), "resnet34", str(tmp_path / "other.pt"))


def test_absent_weights_are_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights at"):
        initialise(build_network("resnet18", 2), "resnet18", str(tmp_path / "none.pt"))


def test_a_recipe_refuses_a_misspelt_setting() -> None:
    with pytest.raises(ValueError, match="learning_rte"):
        tiny_recipe(optimiser={"learning_rte": 1})
