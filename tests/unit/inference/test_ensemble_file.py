"""What was fitted to the mean of the members, and that it is served with no other members."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import ArtifactError
from app.inference.catalogue import load_catalogue
from app.inference.ensemble_file import read_ensemble_file
from tests.toy_models import write_catalogue, write_ensemble, write_model

Content = dict[str, Any]  # Any: JSON


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two experts, two members of two grids, and an ensemble fitted to the members."""
    models = tmp_path_factory.mktemp("fitted")
    write_model(models, "covid19", seed=0)
    write_model(models, "pneumonia", seed=8)
    members = [
        write_model(models, "fine", kind="multilabel", seed=3),
        write_model(models, "coarse", kind="multilabel", seed=4, size_px=96, stride=32),
    ]
    write_catalogue(models, "covid19", "pneumonia", ["fine", "coarse"])
    write_ensemble(models, members)
    return models


@pytest.fixture
def models(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "models")


def change(models: Path, how: Callable[[Content], object]) -> None:
    path = models / "ensemble.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    how(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_what_was_fitted_is_loaded_with_its_members(made: Path) -> None:
    fitted = load_catalogue(made, "cpu").fitted

    assert fitted is not None
    assert [member.name for member in fitted.members] == ["fine", "coarse"]
    assert fitted.labels["pneumonia"].calibration.calibration().slope == 2.0
    assert fitted.labels["pneumonia"].operating_points[0].point().threshold == 0.3
    assert not fitted.labels["mers"].evaluated


def test_without_the_file_nothing_was_fitted(release: Path) -> None:
    assert read_ensemble_file(release) is None
    assert load_catalogue(release, "cpu").fitted is None


def test_other_weights_of_a_member_ask_for_another_fit(models: Path) -> None:
    shutil.rmtree(models / "coarse")
    write_model(models, "coarse", kind="multilabel", seed=5, size_px=96, stride=32)

    with pytest.raises(ArtifactError, match=r"of coarse 1\.0\.0 with hash .*; fit the ensemble again"):
        load_catalogue(models, "cpu")


def test_another_version_of_the_same_weights_asks_for_another_fit(models: Path) -> None:
    shutil.copytree(models / "fine" / "1.0.0", models / "fine" / "1.1.0")
    manifest = models / "fine" / "1.1.0" / "manifest.json"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace('"1.0.0"', '"1.1.0"'), encoding="utf-8")

    with pytest.raises(ArtifactError, match=r"here is 1\.1\.0 .*fit the ensemble again"):
        load_catalogue(models, "cpu")


@pytest.mark.parametrize(("members", "here"), [(["fine"], "fine"), (["coarse", "fine"], "coarse, fine"), ([], "none")])
def test_other_members_or_another_order_ask_for_another_fit(models: Path, members: list[str], here: str) -> None:
    write_catalogue(models, "covid19", "pneumonia", members)

    with pytest.raises(ArtifactError, match=f"is of fine, coarse, the members here are {here}; fit the ensemble again"):
        load_catalogue(models, "cpu")


def test_labels_that_the_members_do_not_have_ask_for_another_fit(models: Path) -> None:
    change(models, lambda content: content["labels"].pop("ards"))

    with pytest.raises(ArtifactError, match="other labels than fine has; fit the ensemble again"):
        load_catalogue(models, "cpu")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (lambda content: content.update(schema="discern-ensemble/9"), "schema"),
        (lambda content: content.update(surprise=1), "surprise"),
        (lambda content: content.update(members=[]), "members"),
        (lambda content: content["members"].append(content["members"][0]), "a member stands twice"),
        (lambda content: content["members"][0].update(model_sha256="1"), r"members\.0\.model_sha256"),
        (lambda content: content["labels"]["viral"].update(parent="measles"), "'measles' of 'viral' is no label"),
        (lambda content: content["labels"]["viral"].update(operating_points=[]), r"labels\.viral\.operating_points"),
        (lambda content: content["labels"]["viral"].update(calibration={"slope": -1}), r"calibration\.slope"),
    ],
)
def test_a_file_that_breaks_a_rule_is_refused_with_the_place(
    models: Path, how: Callable[[Content], object], message: str
) -> None:
    change(models, how)

    with pytest.raises(ArtifactError, match=rf"ensemble\.json: .*{message}"):
        read_ensemble_file(models)


def test_a_report_of_other_content_is_refused(models: Path) -> None:
    (models / "ensemble" / "report.json").write_text("{} ", encoding="utf-8")

    with pytest.raises(ArtifactError, match=r"report\.json has another hash"):
        read_ensemble_file(models)


def test_a_missing_report_is_refused(models: Path) -> None:
    (models / "ensemble" / "report.json").unlink()

    with pytest.raises(ArtifactError, match=r"report\.json is missing"):
        read_ensemble_file(models)


def test_a_file_that_cannot_be_read_is_refused(models: Path) -> None:
    (models / "ensemble.json").unlink()
    (models / "ensemble.json").mkdir()

    with pytest.raises(ArtifactError, match="cannot be read"):
        read_ensemble_file(models)
