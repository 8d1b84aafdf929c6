"""A release from end to end, over drawn films."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from app.inference.artifact import Artifact, read_artifact, verify_files
from app.inference.manifest import CARD_FILE, GOLDEN_FILE, MODEL_FILE
from tests.unit.training.conftest import Exported, random_run
from training.__main__ import main
from training.evaluate import Evaluation
from training.export import Export, TrainedRun
from training.onnx_graph import ExportError, rebuild_network
from training.release import REPORT_FILE, ReleaseError, evaluate_artifact, release
from training.released_manifest import code_commit


def _report(artifact: Artifact) -> Evaluation:
    return Evaluation.model_validate_json((artifact.directory / REPORT_FILE).read_bytes())


def test_a_release_is_an_artifact_with_every_file_hashed(released: Artifact) -> None:
    verify_files(released)

    assert set(released.manifest.files) == {MODEL_FILE, GOLDEN_FILE, CARD_FILE, REPORT_FILE}
    assert {path.name for path in released.directory.iterdir()} == {*released.manifest.files, "manifest.json"}
    assert [path.name for path in released.directory.parent.iterdir()] == ["1.0.0"]


def test_an_expert_says_what_it_is(released: Artifact) -> None:
    manifest = released.manifest

    assert [label.name for label in manifest.labels] == ["not_covid19", "covid19"]
    assert (manifest.kind, manifest.target, manifest.architecture) == ("expert", "covid19", "resnet18")
    assert manifest.outputs["cam"] == ("N", 2, 1, 1)
    assert manifest.operating_point_of("covid19").name == "sensitivity-0.90"
    assert manifest.evaluation["operating_points_on"]["covid19"]["sources_left_out"] == ["kids"]
    assert manifest.licences == ("CC0 (drawn)",)


def test_the_training_record_names_data_seed_versions_and_curves(released: Artifact, phantom_manifest: Path) -> None:
    record = released.manifest.training

    assert record["seed"] == record["recipe"]["seed"] == 7
    assert set(record["versions"]) == {"torch", "numpy", "python"}
    assert len(record["curves"]) == 2
    assert record["manifests_sha256"] == record["release_manifests_sha256"]
    assert record["sources"]["train"]["alpha"]["covid19"] > 0
    assert str(phantom_manifest.parent) not in released.manifest.model_dump_json()


def test_the_report_holds_every_subgroup_with_intervals(released: Artifact) -> None:
    rows = _report(released).labels["covid19"]

    wanted = {"pooled", "without kids", "source alpha", "source beta", "source kids", "adults", "children", "view PA"}
    assert wanted <= set(rows)
    pooled = rows["pooled"].auroc
    assert pooled.value is not None
    if 0 < pooled.value < 1:
        assert pooled.low is not None
        assert pooled.high is not None
        assert pooled.low <= pooled.value <= pooled.high
    assert rows["source kids"].auroc.value is None
    assert rows["source kids"].points[0].specificity.value is not None


def test_the_card_prints_every_subgroup_and_says_what_it_is_not_for(released: Artifact) -> None:
    card = (released.directory / CARD_FILE).read_text()

    assert "Not for diagnostic use" in card
    for name in _report(released).labels["covid19"]:
        assert f"| {name} |" in card
    assert "without kids" in card
    assert "aspect ratio alone" in card
    assert "identity" in card
    assert "CC0 (drawn)" in card
    assert "read 1 time(s)" in card


def test_the_test_part_is_refused_without_a_release(released: Artifact, phantom_manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="--release"):
        evaluate_artifact(released.directory, [phantom_manifest], "test", False, tmp_path / "e.json")


def test_every_reading_of_the_test_part_is_recorded(
    released: Artifact, trained: Path, phantom_manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = Path(shutil.copytree(released.directory, tmp_path / "covid19" / "1.0.0"))
    shared = ["--manifest", str(phantom_manifest), "--part", "test", "--release"]

    evaluated = main(["evaluate", str(directory), *shared, "--out", str(tmp_path / "again.json")])
    made = main(
        ["release", str(trained), "--name", "covid19", "--version", "1.0.0", "--models", str(tmp_path), *shared]
    )

    assert (evaluated, made) == (0, 0)
    artifact = read_artifact(directory)
    verify_files(artifact)
    assert len(artifact.manifest.evaluation["test_reads"]) == 3
    assert artifact.manifest.model_sha256 == released.manifest.model_sha256
    again = json.loads((tmp_path / "again.json").read_text())
    assert again["labels"] == json.loads((directory / REPORT_FILE).read_text())["labels"]
    assert "covid19/1.0.0: COVID-19 expert" in capsys.readouterr().out


def test_resnet50_is_exported_without_data(tmp_path: Path) -> None:
    random_run(tmp_path / "run", "resnet50", 32)

    code = main(["export", str(tmp_path / "run"), "--name", "deep", "--version", "0.1.0", "--models", str(tmp_path)])

    artifact = read_artifact(tmp_path / "deep" / "0.1.0")
    assert code == 0
    assert artifact.manifest.outputs["features"] == ("N", 2048, 1, 1)
    assert not any(label.evaluated for label in artifact.manifest.labels)
    assert "**Not evaluated.**" in (artifact.directory / CARD_FILE).read_text()
    assert artifact.path(GOLDEN_FILE).stat().st_size < 1e6
    rebuild_network(artifact.model_path)


def test_a_member_is_evaluated_label_by_label(
    member: TrainedRun, exported: Exported, phantom_manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exported_before(_: TrainedRun, directory: Path, __: object) -> Export:
        shutil.copytree(exported.directory, directory, dirs_exist_ok=True)
        return exported.export

    monkeypatch.setattr("training.release.load_run", lambda _: member)
    monkeypatch.setattr("training.release.export_network", exported_before)

    artifact = release(tmp_path, "member", "0.1.0", tmp_path / "models", [phantom_manifest], "val")

    report = _report(artifact)
    evaluated = {label.name for label in artifact.manifest.labels if label.evaluated}
    assert evaluated == {"pneumonia", "viral", "covid19", "no_finding"}
    assert report.averages is not None
    assert set(report.averages.labels) == evaluated
    assert report.averages.micro["f1"].value is not None
    assert artifact.manifest.evaluation["test_reads"] == []
    card = (artifact.directory / CARD_FILE).read_text()
    assert "These are validation films" in card
    assert "| Bacterial | 0 | n/a |" in card


def test_a_failed_release_leaves_nothing_behind(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails_half_way(_: TrainedRun, directory: Path, __: object) -> Export:
        (directory / MODEL_FILE).write_bytes(b"half a model")
        raise ExportError("cam of the ONNX graph is off")

    monkeypatch.setattr("training.release.export_network", fails_half_way)

    with pytest.raises(ExportError, match="is off"):
        release(trained, "covid19", "1.0.0", tmp_path / "models")

    assert list((tmp_path / "models").glob("*/*")) == []


def test_a_part_without_films_is_not_evaluated(trained: Path, phantom_manifest: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text(phantom_manifest.read_text().splitlines()[0] + "\n")

    with pytest.raises(ReleaseError, match="no film of part val"):
        release(trained, "covid19", "1.0.0", tmp_path / "models", [empty], "val")


def test_a_verb_that_fails_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["export", str(tmp_path), "--name", "x", "--version", "1.0.0", "--models", str(tmp_path)])

    assert code == 1
    assert "run.json is missing" in capsys.readouterr().err


def test_a_changed_tree_is_called_dirty(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def git(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, "abc\n" if "rev-parse" in command else " M training/card.py\n")

    monkeypatch.setattr("training.released_manifest.subprocess.run", git)

    assert code_commit() == "abc-dirty"
    assert all((Path(command[2]) / "training" / "released_manifest.py").is_file() for command in asked)
