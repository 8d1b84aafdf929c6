"""The verb that cross-validates: a table of networks that never saw the films they are measured on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.domain.label_hierarchy import ENSEMBLE_LABELS, PARENT_OF
from tests.unit.training.phantom_data import rows, tiny_recipe, write_data
from training.__main__ import main
from training.batches import to_batch
from training.crossval.answers import Answers, held_to_parents, source_alone, targets
from training.crossval.cross_validation import Plan
from training.crossval.folds import Fold, make_folds, read_pool
from training.crossval.results import THE_PAPERS, cuts_of, evaluate_model, spread_of
from training.crossval.tables import PRINTED
from training.label_metrics import label_metrics
from training.label_thresholds import label_thresholds
from training.loading import load_inputs
from training.recipe import Recipe, load_recipe
from training.train import FilmTask, Run, select_films

_COVID = ENSEMBLE_LABELS.index("covid19")


def _recipe(**changes: object) -> Recipe:
    settings: dict[str, object] = {"kind": "multilabel", "target": None, "draws_per_epoch": 16, "augmentation": {}}
    return tiny_recipe(**{**settings, **changes})


def _folds(manifest: Path, recipe: Recipe) -> list[Fold]:
    return make_folds(read_pool(recipe, [manifest]), 3, recipe.seed)


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command line of a tiny cross-validation, two of three folds."""
    folder = tmp_path_factory.mktemp("crossval")
    manifest = write_data(folder / "films", [*rows("train", 32), *rows("val", 16), *rows("test", 8)], size=40)
    (folder / "tiny.yaml").write_text(_recipe().model_dump_json(), encoding="utf-8")
    given = ["cross-validate", "--manifest", str(manifest), "--recipe", str(folder / "tiny.yaml"), "--folds", "3"]
    networks = ["--architecture", "resnet18", "--architecture", "resnet18-stride16"]
    return [*given, *networks, "--fold", "1", "--fold", "2", "--out", str(folder / "out")]


@pytest.fixture(scope="module")
def out(arguments: list[str]) -> Path:
    """Its directory when it has run."""
    assert main(arguments) == 0
    return Path(arguments[-1])


def _result(out: Path) -> dict[str, Any]:  # Any: JSON
    found: dict[str, Any] = json.loads((out / "crossval.json").read_text(encoding="utf-8"))
    return found


def test_the_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["cross-validate", "--help"])

    said = capsys.readouterr().out
    for option in (
        "--manifest",
        "--recipe",
        "--architecture",
        "--folds",
        "--size-px",
        "--epochs",
        "--draws",
        "--dry-run",
    ):
        assert option in said


def test_the_table_has_a_row_a_network_their_mean_and_the_source_alone_beside_the_printed_numbers(out: Path) -> None:
    table = (out / "crossval.md").read_text(encoding="utf-8").splitlines()

    rows_found = [line for line in table[4:] if line.startswith(("| Res", "| Ensemble of 2", "| Source alone"))][:4]
    assert [line.split(" | ")[0] for line in rows_found] == [
        "| ResNet18",
        "| Resnet18-stride16",
        "| Ensemble of 2",
        "| Source alone",
    ]
    for name, line in (("resnet18", rows_found[0]), ("ensemble", rows_found[2])):
        assert all(printed in line for printed in PRINTED[name])
    assert [model["name"] for model in _result(out)["models"]] == [
        "resnet18",
        "resnet18-stride16",
        "ensemble",
        "source alone",
    ]


def test_the_labels_of_all_networks_stand_side_by_side_and_an_empty_one_is_no_zero(out: Path) -> None:
    text = (out / "crossval.md").read_text(encoding="utf-8")
    table = text.split("## Labels: F1 of all films")[1].split("##")[0]

    mers = next(line for line in table.splitlines() if line.startswith("| MERS"))
    assert mers.split(" | ")[2:] == ["0", "n/a", "n/a", "n/a", "n/a |"]
    assert all(f"| {name} " in table for name in ("ResNet18", "Ensemble of 2", "Source alone"))


def test_only_finished_folds_are_reported_and_every_film_of_theirs_once(out: Path) -> None:
    result = _result(out)

    assert result["planned_folds"] == 3
    assert [fold["fold"] for fold in result["folds"]] == [1, 2]
    tested = sum(fold["films"]["test"] for fold in result["folds"])
    assert result["models"][0]["pooled"]["labels"]["covid19"]["films"] == tested


def test_the_second_call_trains_nothing_and_gives_the_same_numbers(
    out: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (out / "crossval.json").read_bytes()
    monkeypatch.setattr(Run, "train", lambda _: pytest.fail("a finished fold is trained again"))

    assert main(arguments) == 0

    assert (out / "crossval.json").read_bytes() == before
    assert not list(out.rglob("last.pt"))


def test_a_fold_that_is_lost_is_trained_to_the_same_answers(out: Path, arguments: list[str]) -> None:
    path = out / "resnet18" / "fold-2" / "answers.npz"
    with np.load(path) as stored:
        before = stored["test"]
    path.unlink()

    assert main(arguments) == 0

    with np.load(path) as stored:
        np.testing.assert_array_equal(stored["test"], before)


def test_the_numbers_follow_from_the_stored_answers(out: Path, arguments: list[str]) -> None:
    fold = _folds(Path(arguments[2]), _recipe())[0]
    found = []
    for name in ("resnet18", "resnet18-stride16"):
        with np.load(out / name / "fold-1" / "answers.npz") as stored:
            found.append((stored["val"], stored["test"]))
    val, test = (held_to_parents(np.mean(part, axis=0)) for part in zip(*found, strict=True))

    thresholds = label_thresholds(targets(fold.val), val)
    groups = np.array([film.group for film in fold.test])
    expected = label_metrics(targets(fold.test), test, groups, ENSEMBLE_LABELS, thresholds, rounds=0)

    ensemble = _result(out)["models"][2]
    assert ensemble["members"] == ["resnet18", "resnet18-stride16"]
    assert ensemble["folds"][0]["metrics"] == expected.model_dump(mode="json")
    assert ensemble["folds"][0]["thresholds"]["covid19"] == thresholds[_COVID]


@pytest.mark.parametrize("change", [("--epochs", "2"), ("--seed", "8"), ("--folds", "4")])
def test_a_directory_of_another_cross_validation_is_refused(
    out: Path, arguments: list[str], change: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments[:-2], *change, "--out", str(out)]) == 1

    assert "choose another directory" in capsys.readouterr().err


def test_answers_of_other_films_are_named(out: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    path = out / "resnet18-stride16" / "fold-1" / "answers.npz"
    good = path.read_bytes()
    try:
        path.write_bytes(good[:100])
        assert main(arguments) == 1
        assert "delete it" in capsys.readouterr().err
        np.savez(path, val=np.zeros((2, 14)), test=np.zeros((2, 14)), seconds=1.0, epoch=1)
        assert main(arguments) == 1
        assert "expected" in capsys.readouterr().err
    finally:
        path.write_bytes(good)


def test_a_dry_run_says_what_would_be_trained_and_writes_nothing(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "never"

    assert main([*arguments[:-1], str(target), "--dry-run", "--epochs", "7", "--draws", "11", "--size-px", "48"]) == 0

    said = capsys.readouterr().out
    assert "3 folds of at most 7 epochs of 11 films at 48 px" in said
    assert said.count("one step took") == 2
    assert "covid19" in said
    assert not target.exists()


def test_what_cannot_be_cross_validated_is_refused_before_anything_is_read(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--fold", "4"]) == 1
    assert "1 to 3 expected" in capsys.readouterr().err
    assert main([*arguments, "--architecture", "resnet18"]) == 1
    assert "every architecture once" in capsys.readouterr().err
    with pytest.raises(ValueError, match="multi-label one expected"):
        Plan(tiny_recipe(), ("resnet18",), (), {})


def test_a_network_that_knows_the_truth_scores_one_and_one_that_does_not_look_scores_the_source(
    phantom_manifest: Path,
) -> None:
    folds = _folds(phantom_manifest, _recipe())
    known = [Answers(np.nan_to_num(targets(fold.val)), np.nan_to_num(targets(fold.test))) for fold in folds]

    perfect = evaluate_model("perfect", folds, known, rounds=0)
    blind = evaluate_model("source alone", folds, [source_alone(fold) for fold in folds], rounds=0)

    assert perfect.micro["f1"].mean == 1
    assert perfect.micro["f1"].sd == 0
    assert perfect.labels["mers"]["f1"].mean is None
    kids, alpha = (blind.subgroups[f"source {source}"].labels["covid19"] for source in ("kids", "alpha"))
    assert kids.tp + kids.fp == 0
    assert alpha.tn + alpha.fn in (0, alpha.films)


def test_the_source_alone_answers_with_the_frequency_of_a_label_in_its_training_films(phantom_manifest: Path) -> None:
    fold = _folds(phantom_manifest, _recipe())[0]

    answers = source_alone(fold)

    for source in ("alpha", "beta", "kids"):
        given = answers.test[[film.source == source for film in fold.test], _COVID]
        truth = [film.targets[_COVID] for film in fold.train if film.source == source]
        assert np.unique(given).size == 1
        assert given[0] == pytest.approx(np.mean(truth), abs=1 / (len(truth) + 1))


def test_children_are_held_to_their_parents_and_nothing_else_changes() -> None:
    probabilities = np.random.default_rng(0).random((30, 14))

    held = held_to_parents(probabilities)

    for label, parent in PARENT_OF.items():
        own = held[:, ENSEMBLE_LABELS.index(label)]
        if parent is None:
            np.testing.assert_array_equal(own, probabilities[:, ENSEMBLE_LABELS.index(label)])
        else:
            assert (own <= held[:, ENSEMBLE_LABELS.index(parent)]).all()
    np.testing.assert_array_equal(held_to_parents(held), held)


def test_the_spread_over_folds_leaves_out_what_is_undefined() -> None:
    values = [0.5, None, 0.7, 0.9]

    found = spread_of(values)

    assert found.mean == pytest.approx(0.7)
    assert found.sd == pytest.approx(np.std([0.5, 0.7, 0.9], ddof=1))
    assert found.folds == 3
    assert spread_of([None]).mean is None
    assert spread_of([0.5]).sd is None


def test_films_of_the_papers_sources_are_a_cut_of_their_own_where_there_are_others(phantom_manifest: Path) -> None:
    pool = read_pool(_recipe(), [phantom_manifest])
    renamed = {"alpha": "ieee8023", "kids": "kermany"}

    films = [type(film)(**{**_fields(film), "source": renamed.get(film.source, film.source)}) for film in pool.films]

    assert THE_PAPERS not in cuts_of(pool.films)
    assert cuts_of(films)[THE_PAPERS].sum() == sum(film.source != "beta" for film in films)


def _fields(film: object) -> dict[str, Any]:  # Any: what a film holds
    return {name: getattr(film, name) for name in type(film).__dataclass_fields__}  # type: ignore[attr-defined]  # a dataclass


@pytest.mark.parametrize("intensity", ["percentile-1-95", "global-0-207"])
def test_without_augmentation_training_is_fed_with_what_is_served(phantom_manifest: Path, intensity: str) -> None:
    recipe = _recipe(intensity=intensity, draws_per_epoch=None)
    films = select_films(recipe, [phantom_manifest])

    batch = next(FilmTask(recipe, films).batches(0))

    drawn = [films.train[int(index)] for index in batch.indices]
    served = to_batch(load_inputs(drawn, recipe.specification))
    assert float((batch.films - served).abs().max()) <= 0.51 / 255 / 0.224


def test_the_papers_recipe_is_the_papers() -> None:
    paper, released = load_recipe("paper-ensemble"), load_recipe("paper-ensemble-released")

    assert paper.trains_as_served
    assert (paper.size_px, paper.intensity, paper.initial_weights) == (512, "percentile-1-95", "imagenet")
    assert paper.optimiser.model_dump(include={"name", "learning_rate", "weight_decay", "schedule"}) == {
        "name": "adam",
        "learning_rate": 1e-3,
        "weight_decay": 1e-4,
        "schedule": "constant",
    }
    assert released.model_dump(exclude={"intensity"}) == paper.model_dump(exclude={"intensity"})
    assert released.intensity == "global-0-207"
