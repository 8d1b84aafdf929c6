"""Which models are served, and how experts are paired."""

import json
import shutil
from pathlib import Path

import pytest

from app.domain.errors import ArtifactError, ModelNotFoundError
from app.inference.batching import BatchedNetwork
from app.inference.catalogue import Catalogue, CatalogueFile, load_catalogue, read_catalogue_file
from app.inference.lungs_network import OnnxLungsNetwork
from tests.fakes import FakeNetwork, manifest
from tests.toy_models import write_catalogue, write_classes, write_lungs, write_model


def catalogue(*names: str, alpha: float = 15.0) -> Catalogue:
    """A catalogue of fake experts and one fake member; the first two experts are the shipped pair."""
    networks = {name: FakeNetwork(manifest(name)) for name in names}
    networks["member"] = FakeNetwork(manifest("member", kind="multilabel"))
    content = {
        "schema": "discern-catalogue/1",
        "pairs": [{"interest": names[0], "overlap": names[1], "alpha": alpha}],
        "ensemble": {"members": ["member"]},
    }
    return Catalogue(networks, {}, CatalogueFile.model_validate(content))


@pytest.fixture
def experts() -> Catalogue:
    return catalogue("covid19", "pneumonia", "bacterial", alpha=20.0)


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ((None, None), ("covid19", "pneumonia")),
        (("covid19", "pneumonia"), ("covid19", "pneumonia")),
        (("pneumonia", "covid19"), ("pneumonia", "covid19")),
        (("covid19", None), ("covid19", "pneumonia")),
        (("pneumonia", None), ("pneumonia", "covid19")),
        ((None, "pneumonia"), ("covid19", "pneumonia")),
        ((None, "covid19"), ("pneumonia", "covid19")),
        (("bacterial", None), ("bacterial", "pneumonia")),
        ((None, "bacterial"), ("covid19", "bacterial")),
        (("bacterial", "covid19"), ("bacterial", "covid19")),
    ],
)
def test_a_pair_is_completed_from_the_shipped_one(
    experts: Catalogue, asked: tuple[str | None, str | None], given: tuple[str, str]
) -> None:
    pair = experts.pair(*asked)

    assert (pair.interest, pair.overlap) == given
    assert pair.alpha == 20.0


@pytest.mark.parametrize("asked", [("measles", None), (None, "measles"), ("measles", "covid19"), ("covid19", "")])
def test_an_unknown_expert_is_refused_with_the_known_ones(
    experts: Catalogue, asked: tuple[str | None, str | None]
) -> None:
    with pytest.raises(ModelNotFoundError, match="loaded: bacterial, covid19, pneumonia"):
        experts.pair(*asked)


def test_a_member_of_the_ensemble_is_no_expert(experts: Catalogue) -> None:
    with pytest.raises(ModelNotFoundError, match="no expert 'member'"):
        experts.expert("member")
    assert list(experts.members) == ["member"]


def test_the_newest_version_is_loaded(tmp_path: Path) -> None:
    for version in ("1.9.0", "1.10.0"):
        write_model(tmp_path, "covid19", version=version)
    write_model(tmp_path, "pneumonia")
    write_catalogue(tmp_path, "covid19", "pneumonia")

    loaded = load_catalogue(tmp_path, "cpu")

    assert loaded.networks["covid19"].manifest.version == "1.10.0"
    assert loaded.artifacts["covid19"].directory == tmp_path / "covid19" / "1.10.0"
    assert dict(loaded.members) == {}


def test_a_broken_model_stops_loading(release: Path, tmp_path: Path) -> None:
    models = shutil.copytree(release, tmp_path / "models")
    (models / "pneumonia" / "1.0.0" / "model.onnx").write_bytes(b"broken")

    with pytest.raises(ArtifactError, match=r"pneumonia 1\.0\.0"):
        load_catalogue(models, "cpu")


def test_batching_networks_answer_and_are_closed(release: Path) -> None:
    loaded = load_catalogue(release, "cpu", batch=True)

    assert all(isinstance(network, BatchedNetwork) for network in loaded.networks.values())
    loaded.close()


def test_a_pair_of_a_model_that_is_not_there_is_refused() -> None:
    with pytest.raises(ArtifactError, match="pairs 'covid19'"):
        Catalogue({}, {}, CatalogueFile.model_validate_json(FILE))


def test_an_ensemble_of_experts_is_refused() -> None:
    networks = {name: FakeNetwork(manifest(name)) for name in ("covid19", "pneumonia")}
    content = json.loads(FILE) | {"ensemble": {"members": ["covid19"]}}

    with pytest.raises(ArtifactError, match="member 'covid19' is not a multi-label model"):
        Catalogue(networks, {}, CatalogueFile.model_validate(content))


FILE = json.dumps({"schema": "discern-catalogue/1", "pairs": [{"interest": "covid19", "overlap": "pneumonia"}]})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "Invalid JSON"),
        ("{}", "schema"),
        (FILE.replace("/1", "/9"), "schema"),
        (FILE.replace('"overlap"', '"alpha": 701, "overlap"'), r"pairs\.0\.alpha"),
        (json.dumps({"schema": "discern-catalogue/1", "pairs": []}), "pairs"),
    ],
)
def test_a_catalogue_that_breaks_a_rule_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "catalogue.json").write_text(content, encoding="utf-8")

    with pytest.raises(ArtifactError, match=message):
        read_catalogue_file(tmp_path)


def test_a_directory_without_catalogue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"has no catalogue\.json"):
        read_catalogue_file(tmp_path)


# --- lungs ------------------------------------------------------------------------------------------------------------


def test_the_lungs_network_that_the_catalogue_names_is_loaded_beside_the_others(release_with_lungs: Path) -> None:
    loaded = load_catalogue(release_with_lungs, "cpu", batch=True)

    assert isinstance(loaded.lungs, OnnxLungsNetwork)
    assert set(loaded.networks) == {"covid19", "pneumonia", "ensemble-toy"}
    assert list(loaded.models) == ["covid19", "ensemble-toy", "pneumonia", "lungs"]
    assert set(loaded.artifacts) == set(loaded.models)
    loaded.close()


def test_a_lungs_network_that_the_catalogue_does_not_name_is_left_alone(release: Path, tmp_path: Path) -> None:
    models = shutil.copytree(release, tmp_path / "models")
    (write_lungs(models) / "model.onnx").write_bytes(b"broken")

    loaded = load_catalogue(models, "cpu")

    assert loaded.lungs is None
    assert set(loaded.models) == set(loaded.artifacts) == set(loaded.networks)


@pytest.mark.parametrize("name", ["lungs", "covid19"])
def test_a_catalogue_that_names_no_lungs_network_as_lungs_is_refused(release: Path, tmp_path: Path, name: str) -> None:
    models = shutil.copytree(release, tmp_path / "models")
    write_catalogue(models, "covid19", "pneumonia", lungs=name)

    with pytest.raises(ArtifactError, match=f"'{name}' is no lungs network"):
        load_catalogue(models, "cpu")


@pytest.mark.parametrize("crop", ["lungs", "lungs-only"])
def test_a_network_fed_with_the_lungs_needs_a_network_that_finds_them(crop: str) -> None:
    entry = manifest("covid19").input.model_dump() | {"crop": crop}
    networks = {
        "covid19": FakeNetwork(manifest("covid19", input=entry)),
        "pneumonia": FakeNetwork(manifest("pneumonia")),
    }

    with pytest.raises(ArtifactError, match="covid19 is fed with the lungs' part"):
        Catalogue(networks, {}, CatalogueFile.model_validate_json(FILE))


def test_networks_of_exclusive_classes_are_loaded_where_the_catalogue_names_them(tmp_path: Path) -> None:
    for name, seed in (("covid19", 1), ("pneumonia", 2)):
        write_model(tmp_path, name, seed=seed)
    write_classes(tmp_path, "resnet50v2")
    write_classes(tmp_path, "covidnet", maps=False)
    loaded = []
    for named in ([], ["covidnet"], ["resnet50v2", "covidnet"]):
        write_catalogue(tmp_path, "covid19", "pneumonia", multiclass=named)
        found = load_catalogue(tmp_path, "cpu")
        loaded.append((list(found.multiclass), set(found.models) - {"covid19", "pneumonia"}))

    assert loaded == [
        ([], set()),
        (["covidnet"], {"covidnet"}),
        (["resnet50v2", "covidnet"], {"resnet50v2", "covidnet"}),
    ]


@pytest.mark.parametrize("named", ["absent", "covid19"])
def test_a_catalogue_that_calls_something_else_a_network_of_exclusive_classes_is_refused(
    tmp_path: Path, named: str
) -> None:
    for name, seed in (("covid19", 1), ("pneumonia", 2)):
        write_model(tmp_path, name, seed=seed)
    write_catalogue(tmp_path, "covid19", "pneumonia", multiclass=[named])

    with pytest.raises(ArtifactError, match=f"'{named}' is no network of exclusive classes here"):
        load_catalogue(tmp_path, "cpu")
