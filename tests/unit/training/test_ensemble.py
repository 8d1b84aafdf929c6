"""What is fitted to the mean of released members, and how it is measured beside them, over toy members and phantoms."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from app.domain.calibration import logit_of, sigmoid
from app.domain.label_hierarchy import ENSEMBLE_LABELS, PARENT_OF
from app.inference.artifact import find_artifacts, newest
from app.inference.catalogue import load_catalogue
from app.inference.ensemble_file import read_ensemble_file
from tests.toy_models import write_catalogue, write_model
from tests.unit.training.phantom_data import rows, write_data
from training.__main__ import main
from training.calibrate import paediatric_sources_without
from training.datasets import read_manifest
from training.ensemble.answers import EnsembleError, Members
from training.ensemble.fitting import Asked, fit_ensemble
from training.ensemble.report import EnsembleReport, paired_difference
from training.release import ReleaseError

MEMBERS = ("fine", "coarse")
LINEAGES = {
    "pneumonia": ("pneumonia",),
    "viral": ("viral", "pneumonia"),
    "covid19": ("covid19", "viral", "pneumonia"),
    "no_finding": ("no_finding",),
}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Validation and test films."""
    return write_data(tmp_path_factory.mktemp("films"), [*rows("val", 60), *rows("test", 40)])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two members of two inputs and grids, one of them calibrated."""
    directory = tmp_path_factory.mktemp("models")
    write_model(directory, "covid19", seed=0)
    write_model(directory, "pneumonia", seed=8)
    calibration = {"pneumonia": {"method": "platt", "slope": 1.7, "intercept": -0.4}}
    write_model(directory, "fine", kind="multilabel", seed=3, calibration=calibration)
    write_model(directory, "coarse", kind="multilabel", seed=4, size_px=96, stride=32)
    write_catalogue(directory, "covid19", "pneumonia", MEMBERS)
    return directory


@pytest.fixture(scope="module")
def fitted(models: Path, films: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, EnsembleReport]:
    """The ensemble fitted into a copy of the models, measured on its test part."""
    out = tmp_path_factory.mktemp("fitted") / "models"
    shutil.copytree(models, out)
    return out, fit_ensemble(Asked(out, MEMBERS, (films,), "test"), out, is_release=True)


def test_what_was_fitted_is_served_with_these_members(fitted: tuple[Path, EnsembleReport]) -> None:
    models, report = fitted

    found = load_catalogue(models, "cpu").fitted

    assert found is not None
    assert [(member.name, member.model_sha256) for member in found.members] == list(report.model_sha256.items())
    assert {name: label.parent for name, label in found.labels.items()} == PARENT_OF
    assert set(found.files) == {"ensemble/report.json", "ensemble/ENSEMBLE.md"}
    assert [artifact.manifest.name for artifact in find_artifacts(models)] == ["coarse", "covid19", "fine", "pneumonia"]


def test_labels_without_enough_films_keep_their_mean_and_say_why(fitted: tuple[Path, EnsembleReport]) -> None:
    found = read_ensemble_file(fitted[0])

    assert found is not None
    assert [name for name, label in found.labels.items() if label.evaluated] == [
        "pneumonia",
        "viral",
        "covid19",
        "no_finding",
    ]
    for label in found.labels.values():
        assert label.evaluated or (label.calibration.method == "none" and "validation holds" in str(label.reason))


def test_the_calibration_is_that_of_the_logit_of_the_mean_on_validation(
    models: Path, films: Path, fitted: tuple[Path, EnsembleReport]
) -> None:
    found = read_ensemble_file(fitted[0])
    members = Members({name: newest(find_artifacts(models))[name] for name in MEMBERS})
    val = [film for film in read_manifest(films) if film.part == "val"]

    answers = members.ask(val)

    assert found is not None
    methods = {name: label.calibration.method for name, label in found.labels.items() if label.evaluated}
    assert set(methods.values()) - {"none"}
    for name, method in methods.items():
        if method == "none":
            continue
        truth = np.array([film.targets[ENSEMBLE_LABELS.index(name)] for film in val])
        kept = np.array([film.source not in paediatric_sources_without(val, truth) for film in val])
        scores = np.array([logit_of(p) for p in answers.mean[:, ENSEMBLE_LABELS.index(name)]])[kept]
        positive, calibration = truth[kept] == 1, found.labels[name].calibration.calibration()
        # At the optimum of the logistic loss on Platt's targets, nothing is left to gain by moving the slope.
        of_each = (positive.sum() + 1) / (positive.sum() + 2), 1 / ((~positive).sum() + 2)
        residual = sigmoid(scores * calibration.slope + calibration.intercept) - np.where(positive, *of_each)
        assert residual @ scores == pytest.approx(0.0, abs=1e-4)


def test_the_report_says_what_sklearn_says(models: Path, films: Path, fitted: tuple[Path, EnsembleReport]) -> None:
    _, report = fitted
    members = Members({name: newest(find_artifacts(models))[name] for name in MEMBERS})
    test = [film for film in read_manifest(films) if film.part == "test"]
    answers = members.ask(test)

    for name, own in answers.probabilities.items():
        pooled = report.answerers["pooled"][name]
        # Alone, a member's child is no likelier than its parent, nor than that one's.
        probabilities = {
            label: own[:, [ENSEMBLE_LABELS.index(each) for each in lineage]].min(axis=1)
            for label, lineage in LINEAGES.items()
        }
        for label in report.labels:
            truth = np.array([film.targets[ENSEMBLE_LABELS.index(label)] for film in test])
            found = pooled.at_half.labels[label].metrics
            assert found["auroc"].value == pytest.approx(roc_auc_score(truth, probabilities[label]))
            said = probabilities[label] >= 0.5
            assert found["f1"].value == pytest.approx(f1_score(truth, said, zero_division=0))


def test_every_subgroup_and_answerer_stands_in_report_and_card(fitted: tuple[Path, EnsembleReport]) -> None:
    models, report = fitted
    card = (models / "ensemble" / "ENSEMBLE.md").read_text(encoding="utf-8")

    assert set(report.answerers) == {"pooled", "adults", "children", "source alpha", "source beta", "source kids"}
    assert all(list(found) == ["ensemble", *MEMBERS] for found in report.answerers.values())
    assert set(report.ahead) == set(MEMBERS)
    assert report.run_time_ms["ensemble"] == pytest.approx(sum(report.run_time_ms[name] for name in MEMBERS))
    assert not report.fitted_here
    for words in ("## Averages", "macro auroc", "adults", "source kids", "Mean map plus mean bias", "part `test`"):
        assert words in card
    assert EnsembleReport.model_validate_json((models / "ensemble" / "report.json").read_bytes()) == report


def test_maps_of_real_grids_add_up_on_every_film(fitted: tuple[Path, EnsembleReport]) -> None:
    _, report = fitted

    assert report.law_films == 60 + 15 + 40 + 10
    assert report.law_error < 1e-5


def test_each_reading_of_the_test_part_is_recorded_and_kept(fitted: tuple[Path, EnsembleReport], films: Path) -> None:
    models, report = fitted

    before = json.loads((models / "ensemble.json").read_text(encoding="utf-8"))["evaluation"]["test_reads"]
    again = fit_ensemble(Asked(models, MEMBERS, (films,)), models)
    after = json.loads((models / "ensemble.json").read_text(encoding="utf-8"))["evaluation"]["test_reads"]

    assert again.fitted_here
    assert [read["members"] for read in before] == [report.model_sha256]
    assert after == before


def test_the_test_part_is_not_read_without_saying_so(models: Path, films: Path, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="once per release"):
        fit_ensemble(Asked(models, MEMBERS, (films,), "test"), tmp_path)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (("fine", "absent"), "no model absent; .* holds coarse, covid19, fine, pneumonia"),
        (("fine", "fine"), "stands twice"),
        (("fine", "covid19"), "covid19 is no multi-label network"),
        ((), "no model is named"),
    ],
)
def test_members_that_make_no_ensemble_are_refused(
    models: Path, films: Path, tmp_path: Path, members: tuple[str, ...], message: str
) -> None:
    with pytest.raises(EnsembleError, match=message):
        fit_ensemble(Asked(models, members, (films,)), tmp_path)


def test_members_of_other_labels_are_refused(models: Path, tmp_path: Path) -> None:
    other = shutil.copytree(models, tmp_path / "models")
    write_model(other, "turned", kind="multilabel", labels=tuple(reversed(ENSEMBLE_LABELS)))
    found = newest(find_artifacts(other))

    with pytest.raises(EnsembleError, match="same labels"):
        Members({name: found[name] for name in ("fine", "turned")})


def test_the_verb_fits_and_says_what_is_left_to_do(
    models: Path, films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(models, tmp_path / "models")

    code = main(["ensemble", "--models", str(other), "--member", "coarse", "--manifest", str(films)])

    said = capsys.readouterr()
    assert code == 0
    assert "mean map plus mean bias is the mean logit within" in said.out
    assert "name the members coarse, in this order, in catalogue.json" in said.err
    assert (other / "ensemble.json").is_file()


def test_a_difference_of_a_score_from_itself_is_nothing() -> None:
    random = np.random.default_rng(0)
    truth = (random.random((60, 2)) < 0.5).astype(float)
    scores = random.random((60, 2))

    found = paired_difference(truth, scores, scores, np.array([f"p{k // 2}" for k in range(60)]))

    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_a_perfect_score_is_ahead_of_a_random_one_by_what_the_aurocs_differ() -> None:
    random = np.random.default_rng(0)
    truth = (random.random((200, 1)) < 0.5).astype(float)
    other = random.random((200, 1))

    found = paired_difference(truth, truth, other, np.array([f"p{k}" for k in range(200)]))

    assert found.value == pytest.approx(1.0 - roc_auc_score(truth[:, 0], other[:, 0]))
    assert None not in {found.low, found.value, found.high}
    assert float(found.low or 0) < float(found.value or 0) < float(found.high or 0)
