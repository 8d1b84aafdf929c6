"""Fixtures of the training tests: drawn films, one tiny run, one tiny release."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from app.inference.artifact import Artifact
from tests.toy_models import write_lungs
from tests.unit.training.multiclass_data import write_classes
from tests.unit.training.phantom_data import rows, tiny_recipe, write_data
from training.export import Export, TrainedRun, export_network, load_run
from training.networks import build_network
from training.recipe import Recipe
from training.release import Asked, release
from training.train import Run, select_films


@dataclass(frozen=True)
class Exported:
    """A directory with ``model.onnx`` and ``golden.npz``, and what was measured."""

    directory: Path
    export: Export


def _write_run(directory: Path, recipe: Recipe, network: nn.Module) -> TrainedRun:
    """Pretend that a run of the recipe ended with this network."""
    directory.mkdir(parents=True, exist_ok=True)
    torch.save({"network": network.state_dict(), "epoch": 1}, directory / "best.pt")
    (directory / "run.json").write_text(json.dumps({"recipe": recipe.model_dump(mode="json")}))
    return load_run(directory)


def random_run(directory: Path, architecture: str, size_px: int = 64, **changes: object) -> TrainedRun:
    """Make a run whose network is random, statistics of batch normalisation included."""
    recipe = tiny_recipe(architecture=architecture, stages=[{"epochs": 1, "size_px": size_px}], **changes)
    torch.manual_seed(0)
    network = build_network(architecture, 2 if recipe.kind == "expert" else 14)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)  # type: ignore[arg-type]  # tracked, so never None
            nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]  # tracked, so never None
    return _write_run(directory, recipe, network)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Compute on one thread: networks this small only wait for each other's threads on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def phantom_manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three parts of drawn films, children of a source of their own."""
    made = [*rows("train", 32), *rows("val", 64), *rows("test", 48)]
    return write_data(tmp_path_factory.mktemp("films"), made)


@pytest.fixture(scope="session")
def classes_manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three parts of drawn films of three exclusive classes."""
    return write_classes(tmp_path_factory.mktemp("classes"))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, phantom_manifest: Path) -> Path:
    """Give the directory of a tiny finished run of an expert with an averaged network."""
    directory = tmp_path_factory.mktemp("run")
    recipe = tiny_recipe(stages=[{"epochs": 2, "size_px": 32}], average_decay=0.5)
    Run(recipe, select_films(recipe, [phantom_manifest]), directory).train()
    return directory


@pytest.fixture(scope="session", autouse=True)
def _exported_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Export every run once: tracing a network takes seconds, and these tests look at what comes after it."""
    kept: dict[str, tuple[Path, Export]] = {}

    def export(run: TrainedRun, directory: Path, *data: object) -> Export:
        key = run.recipe.model_dump_json()
        if key not in kept:
            folder = tmp_path_factory.mktemp("export")
            kept[key] = folder, export_network(run, folder, *data)  # type: ignore[arg-type]  # passed on
        shutil.copytree(kept[key][0], directory, dirs_exist_ok=True)
        return kept[key][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.release_source.export_network", export)
        patch.setattr("training.audit.subject.export_network", export)
        yield


@pytest.fixture(scope="session")
def toy_lungs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the artefact of a network that finds the lungs of phantoms by their darkness."""
    return write_lungs(tmp_path_factory.mktemp("lungs"))


@pytest.fixture(scope="session")
def partner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the directory of a random run of an expert for pneumonia, with the tiny run's input."""
    directory = tmp_path_factory.mktemp("partner")
    random_run(directory, "resnet18", 32, target="pneumonia")
    return directory


@pytest.fixture(scope="session")
def released(
    tmp_path_factory: pytest.TempPathFactory, phantom_manifest: Path, trained: Path, toy_lungs: Path, partner: Path
) -> Artifact:
    """Give the tiny run's release, audited on its test part; its verdict fails, and that is accepted."""
    asked = Asked((phantom_manifest,), "test", toy_lungs, partner, twin=trained)
    models = tmp_path_factory.mktemp("models")
    return release(trained, "covid19", "1.0.0", models, asked, is_release=True, accept_failed=True)


@pytest.fixture(scope="session")
def member(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """Give a random fourteen-label network."""
    return random_run(tmp_path_factory.mktemp("member"), "resnet18", kind="multilabel", target=None)


@pytest.fixture(scope="session")
def exported(member: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Give the random member's export."""
    directory = tmp_path_factory.mktemp("exported")
    return Exported(directory, export_network(member, directory))
