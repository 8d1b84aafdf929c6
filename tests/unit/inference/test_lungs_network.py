"""The lungs network is verified as the others are, and answers with lungs and facts."""

from pathlib import Path

import numpy as np
import pytest

from app.domain.errors import ArtifactError
from app.domain.input_gate import FACTS
from app.domain.lungs import LungFields, lung_window
from app.domain.preprocessing import to_network_input
from app.inference.artifact import read_artifact
from app.inference.device import CPU_PROVIDER
from app.inference.lungs_network import OnnxLungsNetwork
from tests.phantoms import chest_film, lung_mask, radiograph
from tests.toy_models import LUNGS_CELLS, LUNGS_PX, write_lungs, write_manifest


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_lungs(tmp_path)


def load(directory: Path) -> OnnxLungsNetwork:
    return OnnxLungsNetwork(read_artifact(directory), "cpu")


def change_golden(directory: Path, **factors: float) -> None:
    """Scale golden answers, with hashes that agree."""
    with np.load(directory / "golden.npz") as stored:
        golden = dict(stored)
    for name, factor in factors.items():
        golden[name] = golden[name] * np.float32(factor)
    with (directory / "golden.npz").open("wb") as handle:
        np.savez_compressed(handle, **golden)
    write_manifest(directory, "lungs", FACTS, LUNGS_PX, LUNGS_CELLS, 0.5)


def test_a_film_is_answered_with_its_lungs_and_facts(directory: Path) -> None:
    network = load(directory)
    film = radiograph(chest_film(320, 288))

    films, placement = to_network_input(film, network.manifest.input.specification())
    found = network(films)

    assert found.logits.shape == (1, len(FACTS))
    assert found.lungs.shape == (1, 2, LUNGS_CELLS, LUNGS_CELLS)
    assert (network.runs_on.device, network.runs_on.provider) == ("cpu", CPU_PROVIDER)
    assert [logit > 0.0 for logit in found.logits[0]] == [True, False, False, False]
    window = lung_window(LungFields(found.lungs[0], placement.extent, 320, 288), 0.1)
    assert window is not None
    rows, columns = np.nonzero(lung_mask(320, 288))
    assert np.allclose(window, (columns.min(), rows.min(), columns.max(), rows.max()), atol=40)


def test_films_are_answered_alone_as_together(directory: Path) -> None:
    network = load(directory)
    films = np.random.default_rng(1).normal(0, 1, (3, 1, LUNGS_PX, LUNGS_PX)).astype(np.float32)

    together = network(films)

    for number in range(3):
        alone = network(films[number : number + 1])
        np.testing.assert_allclose(alone.lungs[0], together.lungs[number], atol=1e-6)
        np.testing.assert_allclose(alone.logits[0], together.logits[number], atol=1e-5)


@pytest.mark.parametrize("name", ["logits", "lungs"])
def test_each_golden_output_is_compared(directory: Path, name: str) -> None:
    change_golden(directory, **{name: 1.02})

    with pytest.raises(ArtifactError, match=rf"lungs 1\.0\.0: {name} differ from the golden answer"):
        load(directory)


def test_changed_weights_are_refused_by_their_hash(directory: Path) -> None:
    with (directory / "model.onnx").open("ab") as handle:
        handle.write(b"x")

    with pytest.raises(ArtifactError, match=r"model\.onnx has hash"):
        load(directory)


def test_an_expert_is_no_lungs_network(release: Path) -> None:
    with pytest.raises(ArtifactError, match="outputs are"):
        OnnxLungsNetwork(read_artifact(release / "covid19" / "1.0.0"), "cpu")


def test_lungs_that_are_no_probabilities_are_refused(tmp_path: Path) -> None:
    directory = write_lungs(tmp_path, brightest=1.5)

    with pytest.raises(ArtifactError, match="no probabilities"):
        load(directory)
