"""Released experts that predict a region: what is verified before they serve, and which are offered."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from app.domain.errors import ArtifactError
from app.inference.artifact import read_artifact
from app.inference.batching import BatchedNetwork
from app.inference.catalogue import load_catalogue, load_model
from app.inference.region_network import OnnxRegionNetwork
from tests.toy_models import FILES, SIZE_PX, change_manifest, sha256, write_catalogue, write_model, write_region_model


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_region_model(tmp_path, "outliner", seed=4)


def load(directory: Path) -> OnnxRegionNetwork:
    network = load_model(read_artifact(directory), "cpu")
    assert isinstance(network, OnnxRegionNetwork)
    return network


def test_one_run_gives_class_map_and_region(directory: Path) -> None:
    network = load(directory)
    films = np.random.default_rng(0).normal(0, 1, (3, 3, SIZE_PX, SIZE_PX)).astype(np.float32)

    found, plain = network.predict(films), network(films)

    np.testing.assert_array_equal(found.logits, plain.logits)
    np.testing.assert_array_equal(found.cam, plain.cam)
    expected = 1.0 / (1.0 + np.exp(-8.0 * films.mean(axis=1, dtype=np.float64)))
    np.testing.assert_allclose(found.region, expected, atol=1e-5)


def test_it_is_an_expert_like_any_other(directory: Path) -> None:
    network = load(directory)

    assert network.manifest.kind == "expert"
    assert network.manifest.region is not None
    assert network.manifest.region.of == "bright places"
    assert network.manifest.grid == (4, 4)


def test_a_golden_region_that_differs_is_refused(directory: Path) -> None:
    with np.load(directory / "golden.npz") as stored:
        golden = dict(stored)
    golden["region"] = 1.0 - golden["region"]
    np.savez_compressed(directory / "golden.npz", **golden)
    change_manifest(directory, files={file: sha256(directory / file) for file in FILES})

    with pytest.raises(ArtifactError, match="region differ"):
        load(directory)


def test_a_region_that_is_no_probability_is_refused(directory: Path) -> None:
    model = onnx.load(directory / "model.onnx")
    model.graph.node[-1].CopyFrom(helper.make_node("Identity", ["steep"], ["region"]))
    onnx.save(model, directory / "model.onnx")
    with np.load(directory / "golden.npz") as stored:
        golden = dict(stored)
    golden["region"] = 8.0 * golden["films"].mean(axis=1, keepdims=True)
    np.savez_compressed(directory / "golden.npz", **golden)
    change_manifest(directory, files={file: sha256(directory / file) for file in FILES})

    with pytest.raises(ArtifactError, match="no probabilities"):
        load(directory)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"region": None}, "does not say what it shows"),
        (
            {"outputs": {"logits": ["N", 2], "features": ["N", 4, 4, 4], "cam": ["N", 2, 4, 4]}},
            "outputs must name .*region",
        ),
        (
            {
                "outputs": {
                    "logits": ["N", 2],
                    "features": ["N", 4, 4, 4],
                    "cam": ["N", 2, 4, 4],
                    "region": ["N", 1, 8, 8],
                }
            },
            "input's own pixels",
        ),
        ({"region": {"of": "", "outlined_films": 1}}, "region.of"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(directory: Path, changes: dict[str, object], words: str) -> None:
    change_manifest(directory, **changes)

    with pytest.raises(ArtifactError, match=words):
        read_artifact(directory)


def test_only_an_expert_predicts_a_region(tmp_path: Path) -> None:
    directory = write_model(tmp_path, "member", kind="multilabel")
    content = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    outputs = content["outputs"] | {"region": ["N", 1, SIZE_PX, SIZE_PX]}
    change_manifest(directory, outputs=outputs, region={"of": "anything", "outlined_films": 1})

    with pytest.raises(ArtifactError, match="only an expert"):
        read_artifact(directory)


@pytest.mark.parametrize("batch", [False, True])
def test_the_catalogue_serves_the_regions_that_it_names(tmp_path: Path, batch: bool) -> None:
    for name, seed in (("covid19", 0), ("pneumonia", 8)):
        write_model(tmp_path, name, seed=seed)
    write_region_model(tmp_path, "outliner", seed=4)
    write_region_model(tmp_path, "unnamed", seed=5)
    write_catalogue(tmp_path, "covid19", "pneumonia", regions=["outliner"])

    catalogue = load_catalogue(tmp_path, "cpu", batch=batch)

    try:
        assert list(catalogue.regions) == ["outliner"]
        assert isinstance(catalogue.networks["outliner"], BatchedNetwork) == batch
        assert catalogue.expert("outliner").manifest.name == "outliner"
        films = np.zeros((1, 3, SIZE_PX, SIZE_PX), np.float32)
        assert catalogue.regions["outliner"].predict(films).region.shape == (1, SIZE_PX, SIZE_PX)
    finally:
        catalogue.close()


@pytest.mark.parametrize("name", ["covid19", "nobody"])
def test_a_catalogue_that_names_a_model_without_a_region_is_refused(tmp_path: Path, name: str) -> None:
    write_model(tmp_path, "covid19", seed=0)
    write_model(tmp_path, "pneumonia", seed=8)
    write_catalogue(tmp_path, "covid19", "pneumonia", regions=[name])

    with pytest.raises(ArtifactError, match=f"'{name}' is no expert with a predicted region"):
        load_catalogue(tmp_path, "cpu")
