"""The gate of the audit is the gate of serving."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.domain.errors import ImageRefusedError
from app.domain.radiograph import Provenance, Radiograph
from app.inference.artifact import Artifact, read_artifact
from app.inference.lungs_network import OnnxLungsNetwork
from app.services.preparation import check_film
from app.services.stopwatch import Stopwatch
from tests.toy_models import write_lungs
from training.__main__ import main
from training.audit.out_of_distribution import (
    Gate,
    OutOfDistribution,
    gate_report,
    measure_non_films,
    measure_out_of_distribution,
    open_gate,
)
from training.audit.report import Report
from training.datasets import read_grey, read_manifest
from training.phantoms import radiograph_phantom

LIMITS = {"min_lung_share": 0.05, "max_two_level_share": 0.9, "max_edge_contact": 0.1}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return read_artifact(write_lungs(tmp_path_factory.mktemp("models"), gate=LIMITS))


@pytest.fixture(scope="module")
def gate(artifact: Artifact) -> Gate:
    return open_gate(artifact)


@pytest.fixture(scope="module")
def non_films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise, a blank sheet, and something that is no picture."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    (folder / "deeper").mkdir()
    for k in range(6):
        Image.fromarray(random.integers(0, 256, (64, 64), np.uint8)).save(folder / "deeper" / f"noise-{k}.png")
    Image.fromarray(np.full((64, 64), 255, np.uint8)).save(folder / "blank.jpg")
    (folder / "words.txt").write_text("no picture")
    return folder


def test_the_gate_says_what_serving_says(artifact: Artifact, gate: Gate, non_films: Path) -> None:
    network = OnnxLungsNetwork(artifact, "cpu")
    pictures = [radiograph_phantom(64, 56, seed) for seed in range(6)]
    pictures += [255 - pictures[0], np.rot90(pictures[1]).copy()]
    pictures += [read_grey(path) for path in sorted(non_films.rglob("*.[pj][np]g"))]

    for grey in pictures:
        try:
            checked = check_film(Radiograph(grey, Provenance("png", "")), network, Stopwatch(), force=False)
            served: tuple[str | None, tuple[str, ...]] = None, checked.flags
        except ImageRefusedError as refusal:
            served = refusal.problem_code, ()
        code, flags = gate.judge(grey)
        assert (code, flags if code is None else ()) == served


def test_refusals_are_counted_by_kind(gate: Gate, non_films: Path, phantom_manifest: Path) -> None:
    films = [film for film in read_manifest(phantom_manifest) if film.part == "val"][:24]

    found = measure_out_of_distribution(gate, films, non_films)

    assert found.non_films is not None
    assert found.non_films.pictures == 7
    assert sum(found.non_films.reasons.values()) == round((found.non_films.refused.value or 0) * 7)
    assert found.missing == {}
    everything = found.true_films["all"]
    by_source = [row for name, row in found.true_films.items() if name.startswith("source ")]
    assert everything.pictures == sum(row.pictures for row in by_source) == 24
    assert sum(everything.reasons.values()) == sum(sum(row.reasons.values()) for row in by_source)
    assert everything.refused.value is not None
    assert found.non_films.refused.value is not None
    assert everything.refused.value < found.non_films.refused.value


def test_an_empty_folder_is_no_measurement(gate: Gate, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no picture"):
        measure_non_films(gate, tmp_path)


def test_experts_point_at_the_report_of_the_lungs(tmp_path: Path) -> None:
    artifact = read_artifact(write_lungs(tmp_path))

    found = gate_report(artifact)
    (artifact.directory / "report.json").unlink()

    assert found is not None
    assert found.lungs_model_sha256 == artifact.manifest.model_sha256
    assert gate_report(artifact) is None


def test_the_gate_of_a_released_lung_network_is_audited_alone(
    artifact: Artifact, non_films: Path, phantom_manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = ["evaluate", str(artifact.directory), "--manifest", str(phantom_manifest), "--out", str(tmp_path)]

    code = main([*shared, "--non-films", str(non_films)])

    report = Report.model_validate_json((tmp_path / "report.json").read_bytes())
    assert code == 0
    assert isinstance(report.out_of_distribution, OutOfDistribution)
    names = {criterion.name: criterion.passed for criterion in report.verdict.criteria}
    assert names == {"non_films_refused": True, "true_films_refused": True}
    assert report.verdict.passed
    assert "refused 1.000" in capsys.readouterr().out
    main(shared)
    again = Report.model_validate_json((tmp_path / "report.json").read_bytes())
    assert again.verdict.failed == ("non_films_refused",)
