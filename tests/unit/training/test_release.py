"""A release from end to end, over drawn films."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from app.inference.artifact import Artifact, read_artifact, verify_files, verify_report
from app.inference.manifest import CARD_FILE, GOLDEN_FILE, MODEL_FILE, REPORT_FILE
from tests.unit.training.conftest import Exported, random_run
from training.__main__ import main
from training.audit.full_audit import Audit, Circumstances
from training.audit.plots import OUTSIDE, RELIABILITY, ROC, SHORTCUTS, draw_plots
from training.audit.report import Report
from training.audit.subject import subject_of_artifact
from training.evaluate import Discrimination
from training.export import Export, TrainedRun
from training.onnx_graph import ExportError, rebuild_network
from training.release import Asked, ReleaseError, evaluate_network, release
from training.released_manifest import code_commit, read_data

PLOTS = {ROC, RELIABILITY, SHORTCUTS, OUTSIDE}


def _report(artifact: Artifact) -> Report:
    return Report.model_validate_json((artifact.directory / REPORT_FILE).read_bytes())


def _discrimination(artifact: Artifact) -> Discrimination:
    found = _report(artifact).discrimination
    assert found is not None
    return found


def test_a_release_is_an_artifact_with_every_file_hashed(released: Artifact) -> None:
    verify_files(released)

    assert set(released.manifest.files) == {MODEL_FILE, GOLDEN_FILE, CARD_FILE, REPORT_FILE} | PLOTS
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
    rows = _discrimination(released).labels["covid19"]

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
    for name in _discrimination(released).labels["covid19"]:
        assert f"| {name} |" in card
    assert "without kids" in card
    assert "trivial cues" in card
    assert "identity" in card
    assert "CC0 (drawn)" in card
    assert "read 1 time(s)" in card


def test_the_test_part_is_refused_without_a_release(released: Artifact, phantom_manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="--release"):
        evaluate_network(released.directory, Asked((phantom_manifest,), "test"), tmp_path)


def test_every_reading_of_the_test_part_is_recorded(
    released: Artifact, trained: Path, phantom_manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = Path(shutil.copytree(released.directory, tmp_path / "covid19" / "1.0.0"))
    shared = ["--manifest", str(phantom_manifest), "--part", "test", "--release"]

    evaluated = main(["evaluate", str(directory), *shared, "--out", str(tmp_path / "again")])
    named = ["--name", "covid19", "--version", "1.0.0", "--models", str(tmp_path)]
    made = main(["release", str(trained), *named, *shared, "--accept-failed"])

    assert (evaluated, made) == (0, 0)
    artifact = read_artifact(directory)
    verify_files(artifact)
    assert len(artifact.manifest.evaluation["test_reads"]) == 3
    assert artifact.manifest.model_sha256 == released.manifest.model_sha256
    again = json.loads((tmp_path / "again" / REPORT_FILE).read_text())
    assert again["discrimination"] == json.loads((directory / REPORT_FILE).read_text())["discrimination"]
    assert (tmp_path / "again" / CARD_FILE).read_text().count("read 2 time(s)") == 1
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
    def exported_before(_: TrainedRun, directory: Path, *__: object) -> Export:
        shutil.copytree(exported.directory, directory, dirs_exist_ok=True)
        return exported.export

    monkeypatch.setattr("training.release_source.load_run", lambda _: member)
    monkeypatch.setattr("training.release_source.export_network", exported_before)

    asked = Asked((phantom_manifest,), "val")
    artifact = release(tmp_path, "member", "0.1.0", tmp_path / "models", asked, accept_failed=True)

    report = _discrimination(artifact)
    evaluated = {label.name for label in artifact.manifest.labels if label.evaluated}
    assert evaluated == {"pneumonia", "viral", "covid19", "no_finding"}
    assert report.averages is not None
    assert set(report.averages.labels) == evaluated
    assert report.averages.micro["f1"].value is not None
    assert artifact.manifest.evaluation["test_reads"] == []
    card = (artifact.directory / CARD_FILE).read_text()
    assert "These are validation films" in card
    assert "| Bacterial | 0 | n/a |" in card


def test_every_section_of_the_report_is_measured_or_says_why_not(released: Artifact) -> None:
    report = _report(released)

    written = json.loads((released.directory / REPORT_FILE).read_text())
    wanted = {"identity", "discrimination", "shortcuts", "sanity", "faithfulness", "localisation", "robustness"}
    wanted |= {"calibration", "out_of_distribution"}
    assert {"model", "version", "model_sha256", "part", "created", "verdict"} | wanted <= set(written)
    assert {name for name in wanted if written[name] is None} == set(written["missing"])
    assert report.model_sha256 == released.manifest.model_sha256
    assert set(report.files_sha256) == {"lungs", "partner", "twin"}
    assert str(released.directory.parent) not in released.manifest.model_dump_json() + json.dumps(written)


def test_the_audit_of_a_release_has_every_measure(released: Artifact) -> None:
    report = _report(released)

    assert report.identity is not None
    assert max(report.identity.parity.values()) < 1e-4
    assert report.identity.identity < 1e-4
    assert report.identity.golden == 0.0
    assert report.shortcuts is not None
    mine = report.shortcuts.labels["covid19"]
    assert mine.blackout is not None
    assert {"pooled", "without kids", "source alpha", "source beta"} <= set(mine.blackout)
    assert mine.trivial_cues is not None
    assert mine.trivial_cues.trained_on > 30
    assert mine.outside_lungs is not None
    assert mine.outside_lungs.addk is not None
    assert report.shortcuts.source_prediction.everything is not None
    assert report.sanity is not None
    assert report.faithfulness is not None
    assert set(report.missing) == {"localisation"}
    assert report.robustness is not None
    assert report.robustness.twin is not None
    assert report.robustness.twin["covid19"].flips == 0.0
    assert report.calibration is not None
    assert not report.calibration.fitted_here


def test_a_failed_verdict_is_printed_and_known_to_be_accepted(released: Artifact) -> None:
    verdict = _report(released).verdict

    card = (released.directory / CARD_FILE).read_text()
    assert not verdict.passed
    assert verdict.accepted
    assert verify_report(released).failed == verdict.failed
    assert "**Failed**" in card
    for criterion in verdict.criteria:
        assert criterion.name in card
        assert criterion.passed == (criterion.name not in verdict.failed)
    assert released.manifest.evaluation["verdict"] == {"passed": False, "failed": list(verdict.failed)}


def test_a_version_whose_verdict_fails_is_put_aside_with_its_reading(
    trained: Path, phantom_manifest: Path, toy_lungs: Path, tmp_path: Path
) -> None:
    asked = Asked((phantom_manifest,), "test", toy_lungs)
    models, rejected = tmp_path / "models", tmp_path / "rejected"

    with pytest.raises(ReleaseError, match="--accept-failed"):
        release(trained, "covid19", "1.0.0", models, asked, is_release=True, rejected_dir=rejected)

    assert list(models.glob("*/*")) == []
    aside = read_artifact(rejected / "covid19" / "1.0.0")
    assert len(aside.manifest.evaluation["test_reads"]) == 1
    kept = release(
        trained, "covid19", "1.0.0", models, asked, is_release=True, accept_failed=True, rejected_dir=rejected
    )
    assert len(kept.manifest.evaluation["test_reads"]) == 2
    assert list(rejected.glob("*/*")) == []


def test_a_run_is_audited_without_being_released(
    trained: Path, phantom_manifest: Path, toy_lungs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = ["--manifest", str(phantom_manifest), "--lungs", str(toy_lungs), "--threads", "1"]

    code = main(["evaluate", str(trained), *shared, "--out", str(tmp_path)])
    refused = main(["evaluate", str(trained), *shared, "--part", "test", "--release", "--out", str(tmp_path)])

    report = Report.model_validate_json((tmp_path / REPORT_FILE).read_bytes())
    assert (code, refused) == (0, 1)
    assert report.part == "val"
    assert report.calibration is not None
    assert report.calibration.fitted_here
    assert (tmp_path / ROC).is_file()
    said = capsys.readouterr()
    assert "only lungs" in said.out
    assert "NOT KEPT" in said.out
    assert "part test is read by the release of a run" in said.err


def test_the_plots_are_small_and_the_same_every_time(
    released: Artifact, phantom_manifest: Path, toy_lungs: Path
) -> None:
    circumstances = Circumstances(read_data([phantom_manifest]), "test", toy_lungs, is_quick=True)
    audited = Audit(subject_of_artifact(released), released.manifest, released.directory, circumstances).run()

    once, twice = draw_plots(audited), draw_plots(audited)

    assert set(once) == PLOTS
    assert once == twice
    for content in once.values():
        assert content.startswith(b"\x89PNG")
        assert len(content) < 60_000


def test_a_failed_release_leaves_nothing_behind(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails_half_way(_: TrainedRun, directory: Path, *__: object) -> Export:
        (directory / MODEL_FILE).write_bytes(b"half a model")
        raise ExportError("cam of the ONNX graph is off")

    monkeypatch.setattr("training.release_source.export_network", fails_half_way)

    with pytest.raises(ExportError, match="is off"):
        release(trained, "covid19", "1.0.0", tmp_path / "models")

    assert list((tmp_path / "models").glob("*/*")) == []


def test_a_part_without_films_is_not_evaluated(trained: Path, phantom_manifest: Path, tmp_path: Path) -> None:
    head, *lines = phantom_manifest.read_text().splitlines()
    rest = phantom_manifest.with_name("without-validation.csv")
    rest.write_text("\n".join([head, *(line for line in lines if ",train," in line)]) + "\n")

    with pytest.raises(ReleaseError, match="no film of part val"):
        release(trained, "covid19", "1.0.0", tmp_path / "models", Asked((rest,), "val"))


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
