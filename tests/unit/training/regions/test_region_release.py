"""A region network released as an expert with one output more: parity, golden answers, rebuilding, card, serving."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from app.inference.artifact import Artifact, read_artifact, verify_report
from app.inference.catalogue import load_model
from app.inference.manifest import MeasuredOnEntry
from app.inference.region_network import OnnxRegionNetwork
from tests.toy_models import write_lungs
from tests.unit.training.regions.outlined_films import tiny_region_recipe, write_outlined
from training.__main__ import main
from training.lung_finder import LungFinder
from training.networks.saliency import ExplainedSaliencyNetwork, NoActivationMapError, SaliencyNetwork
from training.onnx_graph import ExportError, initialisers, rebuild_network
from training.regions.export import rebuild_saliency_network, region_model
from training.regions.release import RegionSource
from training.regions.run import RegionRun, load_region_run
from training.regions.sources import load_data
from training.released_manifest import read_data

SIDE = 32


@dataclass(frozen=True)
class Released:
    run: Path
    manifest: Path
    artifact: Artifact


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Released:
    """A tiny run, released on validation by the verb that releases any expert."""
    folder = tmp_path_factory.mktemp("region")
    manifest = write_outlined(folder / "films", train=16, val=12)
    recipe = tiny_region_recipe(region="opacities", target="pneumonia", clear_is_empty=True)
    data, _ = load_data(recipe, [manifest], None)
    RegionRun(recipe, data, folder / "run").train()
    given = ["--manifest", str(manifest), "--models", str(folder / "models"), "--quick", "--accept-failed"]
    assert main(["release", str(folder / "run"), "--name", "outliner", "--version", "1.0.0", *given]) == 0
    return Released(folder / "run", manifest, read_artifact(folder / "models" / "outliner" / "1.0.0"))


def test_the_artefact_is_an_expert_with_a_region_on_its_inputs_pixels(released: Released) -> None:
    manifest = released.artifact.manifest

    assert (manifest.kind, manifest.target) == ("expert", "pneumonia")
    assert manifest.outputs["region"] == ("N", 1, SIDE, SIDE)
    assert manifest.region is not None
    assert (manifest.region.of, manifest.region.outlined_films) == ("opacities", 10)
    verify_report(released.artifact)


def test_serving_computes_what_the_network_computed(released: Released) -> None:
    network = load_model(released.artifact, "cpu")
    assert isinstance(network, OnnxRegionNetwork)
    films = np.random.default_rng(0).normal(0, 1, (3, 3, SIDE, SIDE)).astype(np.float32)

    found = network.predict(films)

    trained = ExplainedSaliencyNetwork(load_region_run(released.run).network).eval()
    with torch.inference_mode():
        logits, _, cam, region = (part.numpy() for part in trained(torch.from_numpy(films)))
    atol = 0.02 if released.artifact.manifest.precision.storage == "fp16" else 1e-4
    np.testing.assert_allclose(found.region, region[:, 0], atol=atol)
    np.testing.assert_allclose(found.logits, logits, atol=atol)
    np.testing.assert_allclose(found.cam, cam, atol=5 * atol)


def test_parity_and_the_gate_are_measured_for_the_region_too(released: Released) -> None:
    manifest = released.artifact.manifest

    assert manifest.evaluation["parity"]["region"] <= 1e-4
    assert manifest.precision.gates["max_region_change"] <= 0.02 or manifest.precision.storage == "fp32"
    with np.load(released.artifact.directory / "golden.npz") as golden:
        assert golden["region"].shape == (2, 1, SIDE, SIDE)


def test_the_whole_network_and_the_classifier_alone_are_rebuilt_from_the_file(released: Released) -> None:
    path = released.artifact.model_path
    films = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    network = load_model(released.artifact, "cpu")
    assert isinstance(network, OnnxRegionNetwork)
    expected = network.predict(films.numpy())

    whole, classifier = rebuild_saliency_network(path), rebuild_network(path)

    with torch.inference_mode():
        logits, region = whole(films)
        torch.testing.assert_close(classifier(films), logits)
        np.testing.assert_allclose(logits.numpy(), expected.logits, atol=1e-4)
        np.testing.assert_allclose(torch.sigmoid(region)[:, 0].numpy(), expected.region, atol=1e-4)


def test_the_classifiers_parameters_have_the_names_of_any_experts(released: Released) -> None:
    names = set(initialisers(onnx.load(released.artifact.model_path)))

    assert {"fc.weight", "fc.bias", "layer4.1.bn2.running_var", "spn.blocks.3.norm.bias"} <= names
    assert {name.split(".")[0] for name in names} == {
        "conv1",
        "bn1",
        "layer1",
        "layer2",
        "layer3",
        "layer4",
        "fc",
        "spn",
    }


def test_the_region_is_measured_on_each_kind_of_drawing_apart(released: Released) -> None:
    measured = released.artifact.manifest.evaluation["region"]

    assert measured["part"] == "val"
    assert measured["kinds"]["infection"]["outlined"] == 6
    assert measured["kinds"]["opacity boxes"]["outlined"] == 2
    for kind in measured["kinds"].values():
        assert 0.0 <= kind["cells"]["region_iou"]["value"] <= 1.0
        assert kind["cells"]["outline_share"]["value"] > 0.1


def test_the_card_says_that_a_region_explains_nothing_and_how_good_it_is(released: Released) -> None:
    card = (released.artifact.directory / "MODEL_CARD.md").read_text(encoding="utf-8")

    section = card[card.index("## Predicted region") :]
    assert "not an explanation" in section
    assert "Outlines of opacities on 10 training films" in section
    assert "| infection | 6 |" in section
    assert "| opacity boxes | 2 |" in section


def test_a_region_is_measured_beside_both_lungs_where_they_are_found(released: Released, tmp_path: Path) -> None:
    source = RegionSource(load_region_run(released.run))
    lungs = LungFinder(write_lungs(tmp_path))

    completed = source.completed(released.artifact.manifest, read_data([released.manifest]), "val", lungs)

    cell = completed.evaluation["region"]["kinds"]["infection"]["cells"]["lungs_iou"]
    assert 0.0 < cell["value"] < 1.0
    assert "both lungs: IoU with it" in source.section(completed)


def test_a_region_that_no_child_was_outlined_for_is_measured_on_adults_only(released: Released) -> None:
    source = RegionSource(load_region_run(released.run))
    both = MeasuredOnEntry(age_groups=("adult", "paediatric"))
    manifest = released.artifact.manifest.model_copy(update={"measured_on": both})

    completed = source.completed(manifest, read_data([released.manifest]), None, None)

    assert completed.measured_on == MeasuredOnEntry(age_groups=("adult",))


def test_a_network_with_the_papers_hidden_layer_is_not_exported() -> None:
    with pytest.raises(NoActivationMapError, match="hidden layer"):
        region_model(SaliencyNetwork("resnet18", 2, 1024), "resnet18", SIDE)


def test_an_experts_file_holds_no_region_to_rebuild(released: Released, tmp_path: Path) -> None:
    model = onnx.load(released.artifact.model_path)
    for entry in [each for each in model.graph.initializer if each.name.startswith("spn.blocks.2")]:
        model.graph.initializer.remove(entry)
    onnx.save(model, tmp_path / "model.onnx")

    with pytest.raises(ExportError, match=r"spn|blocks\.2"):
        rebuild_saliency_network(tmp_path / "model.onnx")
