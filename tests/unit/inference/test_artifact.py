"""Released directories: read, placed, hashed; whatever is wrong has a name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from app.domain.errors import ArtifactError
from app.domain.input_gate import GateLimits
from app.domain.multiclass import Explanation
from app.inference.artifact import find_artifacts, newest, read_artifact, verify_files, verify_report, version_key
from tests.toy_models import write_classes, write_lungs, write_model

Change: TypeAlias = Callable[[dict[str, Any]], object]  # Any: JSON


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_model(tmp_path, "covid19")


def rewrite(directory: Path, change: Change) -> None:
    path = directory / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_a_release_is_read_and_verified(directory: Path) -> None:
    artifact = read_artifact(directory)
    verify_files(artifact)

    assert artifact.manifest.name == "covid19"
    assert artifact.model_path == directory / "model.onnx"
    assert artifact.path("MODEL_CARD.md").read_text(encoding="utf-8").startswith("# covid19")


@pytest.mark.parametrize("name", ["model.onnx", "golden.npz", "MODEL_CARD.md", "report.json"])
def test_a_file_that_differs_from_its_hash_is_refused(directory: Path, name: str) -> None:
    path = directory / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with pytest.raises(ArtifactError, match=f"{name} has hash"):
        verify_files(read_artifact(directory))


def test_a_missing_file_is_refused_by_name(directory: Path) -> None:
    (directory / "golden.npz").unlink()

    with pytest.raises(ArtifactError, match=r"covid19 1\.0\.0: golden\.npz is missing"):
        verify_files(read_artifact(directory))


def test_a_file_the_manifest_does_not_list_is_not_given(directory: Path) -> None:
    with pytest.raises(ArtifactError, match="no file"):
        read_artifact(directory).path("../../catalogue.json")


@pytest.mark.parametrize("move", [("covid19", "2.0.0"), ("pneumonia", "1.0.0")], ids="/".join)
def test_a_release_in_the_wrong_directory_is_refused(directory: Path, move: tuple[str, str]) -> None:
    target = directory.parents[1] / move[0] / move[1]
    target.parent.mkdir(exist_ok=True)
    directory.rename(target)

    with pytest.raises(ArtifactError, match=f"stands in {'/'.join(move)}"):
        read_artifact(target)


def relabel(*names: str) -> Change:
    def change(content: dict[str, Any]) -> None:  # Any: JSON
        content["labels"] = [{"name": name} for name in names]
        content["target"] = names[-1]

    return change


def put(value: object, *keys: str) -> Change:
    def change(content: dict[str, Any]) -> None:  # Any: JSON
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(put(1, "surprise"), "surprise", id="unknown field"),
        pytest.param(put(1, "input", "surprise"), r"input\.surprise", id="unknown field of a part"),
        pytest.param(relabel("pneumonia", "covid19"), "is no expert", id="COVID against pneumonia"),
        pytest.param(relabel("not_covid19", "pneumonia"), "is no expert", id="not_x of another x"),
        pytest.param(relabel("not_covid19", "x", "covid19"), "two labels", id="three labels"),
        pytest.param(put("not_covid19", "target"), "target", id="target out of class"),
        pytest.param(put({}, "operating_points"), "no operating point for covid19", id="no operating point"),
        pytest.param(put([{"name": "a", "threshold": 1.5}], "operating_points", "covid19"), "1", id="threshold"),
        pytest.param(put("segmenter", "kind"), "kind", id="unknown kind"),
        pytest.param(put([0.5], "input", "mean"), "mean and std", id="one mean for three channels"),
        pytest.param(put([0.0, 0.2, 0.2], "input", "std"), "mean and std", id="std of zero"),
        pytest.param(put({"logits": ["N", 2]}, "outputs"), "outputs must name", id="no maps"),
        pytest.param(put(["N", 2, "h", "w"], "outputs", "cam"), r"outputs\.cam", id="grid unknown"),
        pytest.param(put({"model.onnx": "0" * 64}, "files"), "lacks the hash", id="unhashed files"),
        pytest.param(put("clinical use", "use"), "use", id="another intended use"),
        pytest.param(put("1.0", "version"), "version", id="version of two numbers"),
        pytest.param(put("../x", "name"), "name", id="a path as name"),
        pytest.param(put("left half", "input", "crop"), r"input\.crop", id="unknown crop"),
        pytest.param(put(1.5, "input", "crop_margin"), r"input\.crop_margin", id="margin"),
        pytest.param(put({"min_lung_share": 0.1}, "gate"), "only a lungs network", id="a gate of an expert"),
        pytest.param(put({"age_groups": []}, "measured_on"), r"measured_on\.age_groups", id="measured on nobody"),
        pytest.param(put({"age_groups": ["old"]}, "measured_on"), r"measured_on\.age_groups", id="unknown age group"),
    ],
)
def test_a_manifest_that_breaks_a_rule_is_refused_with_the_rule(directory: Path, change: Change, message: str) -> None:
    rewrite(directory, change)

    with pytest.raises(ArtifactError, match=message):
        read_artifact(directory)


def test_a_manifest_of_before_lungs_reads_as_one_of_whole_films(directory: Path) -> None:
    content = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    assert {"gate", "measured_on"} & set(content) == set()
    assert "crop" not in content["input"]

    manifest = read_artifact(directory).manifest

    specification = manifest.input.specification()
    assert (specification.crop, specification.crop_margin) == ("film", 0.0)
    assert (manifest.gate, manifest.measured_on, manifest.grid) == ({}, None, (4, 4))


def test_crop_margin_and_age_groups_are_read(directory: Path) -> None:
    rewrite(directory, put("lungs", "input", "crop"))
    rewrite(directory, put(0.1, "input", "crop_margin"))
    rewrite(directory, put({"age_groups": ["adult"]}, "measured_on"))

    manifest = read_artifact(directory).manifest

    specification = manifest.input.specification()
    assert (specification.crop, specification.crop_margin) == ("lungs", 0.1)
    assert manifest.measured_on is not None
    assert manifest.measured_on.age_groups == ("adult",)


# --- a lungs network --------------------------------------------------------------------------------------------------


def test_a_lungs_network_has_a_grid_and_the_limits_of_the_gate(tmp_path: Path) -> None:
    manifest = read_artifact(write_lungs(tmp_path, gate={"max_overlap": 0.4})).manifest

    assert (manifest.kind, manifest.grid) == ("lungs", (64, 64))
    assert manifest.gate_limits() == GateLimits(max_overlap=0.4)
    assert manifest.operating_point_of("frontal").threshold == 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(put([{"name": "frontal"}], "labels"), "frontal, inverted, rotated, paediatric", id="a label only"),
        pytest.param(
            put([{"name": name} for name in ("inverted", "frontal", "rotated", "paediatric")], "labels"),
            "in this order",
            id="another order",
        ),
        pytest.param(put({"min_lungs": 0.1}, "gate"), "knows no min_lungs", id="unknown limit"),
        pytest.param(put({"max_overlap": -1}, "gate"), "max_overlap is -1", id="negative limit"),
        pytest.param(put(["N", 1, 64, 64], "outputs", "lungs"), "2 planes", id="one plane"),
        pytest.param(put(["N", 2, "h", "w"], "outputs", "lungs"), r"outputs\.lungs", id="grid unknown"),
        pytest.param(put({"logits": ["N", 4]}, "outputs"), "logits, lungs", id="no lungs"),
        pytest.param(put("lungs", "input", "crop"), "whole film", id="cropped to what it looks for"),
        pytest.param(put({}, "operating_points"), "no operating point for frontal", id="no operating point"),
    ],
)
def test_a_manifest_of_a_lungs_network_that_breaks_a_rule_is_refused_with_the_rule(
    tmp_path: Path, change: Change, message: str
) -> None:
    directory = write_lungs(tmp_path)
    rewrite(directory, change)

    with pytest.raises(ArtifactError, match=message):
        read_artifact(directory)


# --- the release gate's report ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("failed", [[], ["localisation", "shortcuts"]])
def test_a_report_of_these_weights_gives_its_verdict(directory: Path, failed: list[str]) -> None:
    report = json.loads((directory / "report.json").read_text(encoding="utf-8"))
    report |= {"verdict": {"passed": not failed, "failed": failed}, "films": 785}
    (directory / "report.json").write_text(json.dumps(report), encoding="utf-8")

    verdict = verify_report(read_artifact(directory))

    assert (verdict.passed, list(verdict.failed)) == (not failed, failed)


REPORT = {"model_sha256": "0" * 64, "verdict": {"passed": True, "failed": []}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps(REPORT), "is of weights 000000000000…, not of"),
        (json.dumps({"verdict": REPORT["verdict"]}), "model_sha256"),
        (json.dumps({"model_sha256": "0" * 64}), "verdict"),
        (json.dumps(REPORT | {"verdict": {"passed": "yes", "failed": []}}), r"verdict\.passed"),
        (json.dumps(REPORT | {"verdict": {"passed": True}}), r"verdict\.failed"),
        ("{", "Invalid JSON"),
        ("[]", "report"),
    ],
)
def test_a_report_that_does_not_speak_of_these_weights_is_refused(directory: Path, content: str, message: str) -> None:
    (directory / "report.json").write_text(content, encoding="utf-8")

    with pytest.raises(ArtifactError, match=rf"covid19 1\.0\.0: report\.json.*{message}"):
        verify_report(read_artifact(directory))


def test_a_release_without_report_is_refused_though_it_can_be_loaded(directory: Path) -> None:
    files = read_artifact(directory).manifest.files
    rewrite(directory, put({name: each for name, each in files.items() if name != "report.json"}, "files"))

    artifact = read_artifact(directory)

    verify_files(artifact)
    with pytest.raises(ArtifactError, match="the release gate was never run"):
        verify_report(artifact)


def test_a_report_that_cannot_be_opened_is_refused(directory: Path) -> None:
    (directory / "report.json").unlink()

    with pytest.raises(ArtifactError, match=r"report\.json cannot be read"):
        verify_report(read_artifact(directory))


# --- directories ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"], ids=repr)
def test_a_manifest_that_is_no_document_is_refused(directory: Path, content: bytes) -> None:
    (directory / "manifest.json").write_bytes(content)

    with pytest.raises(ArtifactError, match=r"covid19/1\.0\.0/manifest\.json"):
        read_artifact(directory)


def test_a_directory_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"has no manifest\.json"):
        read_artifact(tmp_path)


def test_a_manifest_that_cannot_be_opened_is_refused(directory: Path) -> None:
    (directory / "manifest.json").unlink()
    (directory / "manifest.json").mkdir()

    with pytest.raises(ArtifactError, match="cannot be read"):
        read_artifact(directory)


def test_a_models_directory_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no models directory"):
        find_artifacts(tmp_path / "nowhere")


def test_versions_are_ordered_by_number_and_the_newest_is_kept(tmp_path: Path) -> None:
    for version in ("1.9.0", "1.10.0", "1.2.30"):
        write_model(tmp_path, "covid19", version=version)

    found = find_artifacts(tmp_path)

    assert [artifact.manifest.version for artifact in found] == ["1.2.30", "1.9.0", "1.10.0"]
    assert newest(reversed(found))["covid19"].manifest.version == "1.10.0"
    assert version_key("1.10.0") > version_key("1.9.99")


# --- a network of exclusive classes -----------------------------------------------------------------------------------


def test_a_network_of_exclusive_classes_says_whether_it_has_maps(tmp_path: Path) -> None:
    with_maps, without = (
        read_artifact(write_classes(tmp_path, name, maps=maps)).manifest
        for name, maps in (("resnet50v2", True), ("covidnet", False))
    )

    assert (with_maps.grid, with_maps.explained()) == ((4, 4), Explanation("cam"))
    assert with_maps.wanted_outputs == ("logits", "cam", "features")
    assert (without.grid, without.wanted_outputs) == ((), ("logits",))
    assert without.explained().reason == "no_global_average_pooling"
    assert with_maps.operating_points == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(put(None, "explanation"), "has an explanation", id="unexplained"),
        pytest.param(put("cam", "explanation", "kind"), "explanation cam with the reason", id="excused for nothing"),
        pytest.param(put(None, "explanation", "reason"), "explanation none with the reason None", id="no reason"),
        pytest.param(put("shy", "explanation", "reason"), r"explanation\.reason", id="an unknown reason"),
        pytest.param(put({}, "outputs"), "outputs must name logits", id="no answer"),
        pytest.param(put([0, 0, 8, 8], "grid_px"), "and there are none", id="a grid of no maps"),
        pytest.param(put(2.0, "calibration", "normal", "slope"), "one slope", id="a slope of one class"),
        pytest.param(put([{"name": "covid19"}], "labels"), "two classes or more", id="one class"),
        pytest.param(put("multilabel", "kind"), "a multi-class network, and no other", id="of another kind"),
    ],
)
def test_a_manifest_of_exclusive_classes_that_breaks_a_rule_is_refused_with_the_rule(
    tmp_path: Path, change: Change, message: str
) -> None:
    directory = write_classes(tmp_path, "covidnet", maps=False)
    rewrite(directory, change)

    with pytest.raises(ArtifactError, match=message):
        read_artifact(directory)
