"""Released directories: read, placed, hashed; whatever is wrong has a name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from app.domain.errors import ArtifactError
from app.inference.artifact import find_artifacts, newest, read_artifact, verify_files, version_key
from tests.toy_models import write_model

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


@pytest.mark.parametrize("name", ["model.onnx", "golden.npz", "MODEL_CARD.md"])
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
    ],
)
def test_a_manifest_that_breaks_a_rule_is_refused_with_the_rule(directory: Path, change: Change, message: str) -> None:
    rewrite(directory, change)

    with pytest.raises(ArtifactError, match=message):
        read_artifact(directory)


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
