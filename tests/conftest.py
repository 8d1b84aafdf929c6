"""What most suites share: a toy release on disk, made once, and synthetic films as bytes."""

from pathlib import Path

import pytest

from tests.phantoms import RIGHT_LOWER, chest_film, png_bytes
from tests.toy_models import write_catalogue, write_model, write_release_with_lungs

ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Make two groups for `make test`, which runs them side by side: what trains, and everything else in its order."""
    for item in items:
        trains = "training" in item.path.relative_to(ROOT).parts
        item.add_marker(pytest.mark.xdist_group("training" if trains else "service"))


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models directory with two toy experts and one toy member; read it only.

    Both experts find `film_png` positive, by maps with cells of both signs.
    """
    models_dir = tmp_path_factory.mktemp("release")
    write_model(models_dir, "covid19", seed=0)
    write_model(models_dir, "pneumonia", seed=8)
    write_model(models_dir, "ensemble-toy", kind="multilabel", seed=3)
    write_catalogue(models_dir, "covid19", "pneumonia", ["ensemble-toy"])
    return models_dir


@pytest.fixture(scope="session")
def release_with_lungs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same experts, fed with the lungs' part of a film, and a lungs network with its gate; read it only."""
    return write_release_with_lungs(tmp_path_factory.mktemp("release-with-lungs"))


@pytest.fixture(scope="session")
def film_png() -> bytes:
    """A frontal phantom, 320 px high and 288 px wide, with an opacity."""
    return png_bytes(chest_film(320, 288, opacities=(RIGHT_LOWER,)))
