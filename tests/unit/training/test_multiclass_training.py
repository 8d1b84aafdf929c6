"""Stages, frozen parts, the cached head, resuming, and the command line of several classes."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import accuracy_score, f1_score, recall_score, roc_auc_score
from torch import nn
from torch.nn import functional

from tests.unit.training.multiclass_data import HEAD_STAGE, TOP_STAGE, data_of, tiny_recipe
from training.__main__ import main
from training.multiclass.augmentation import RandomChange, changed
from training.multiclass.films import CLASSES
from training.multiclass.frozen import trainable_names, trained_names
from training.multiclass.recipe import (
    MulticlassRecipe,
    Stage,
    load_multiclass_recipe,
    multiclass_recipe_names,
    settings_of,
)
from training.multiclass.run import MulticlassRun
from training.multiclass.task import Examples, HeadTask, StageTask, to_input, validation_scores
from training.networks import build_network, head_of
from training.phantoms import radiograph_phantom


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory, classes_manifest: Path) -> Path:
    """Give the checkpoint of a tiny run from scratch."""
    recipe = tiny_recipe()
    directory = tmp_path_factory.mktemp("scratch")
    MulticlassRun(recipe, data_of(classes_manifest, recipe), directory, "cpu").train()
    return directory / "best.pt"


def _examples(count: int = 12, seed: int = 0) -> Examples:
    random = np.random.default_rng(seed)
    return Examples(random.random((count, 32, 32), np.float32), np.arange(count) % 3)


def _network() -> nn.Module:
    torch.manual_seed(3)
    return build_network("resnet18", 3)


def _task(network: nn.Module, recipe: MulticlassRecipe, stage: Stage) -> StageTask:
    trained = trained_names(network, stage.trains, trainable_names(network))
    weights = (2.0, 1.0, 0.5)
    return StageTask(
        network, stage, trained, recipe,
        classes=CLASSES, train=_examples(), validation=_examples(9, 1), weights=weights,
    )  # fmt: skip


# --- the loss and what moves ---


def test_the_loss_weighs_each_film_by_its_class_and_divides_by_the_films() -> None:
    recipe = tiny_recipe(l2=0.01)
    task = _task(_network().eval(), recipe, recipe.stages[0])
    inputs, labels = next(task.batches(0))

    with torch.no_grad():
        logits = task.network(inputs)
        by_hand = sum(
            (2.0, 1.0, 0.5)[int(label)] * float(-functional.log_softmax(row, 0)[label])
            for row, label in zip(logits, labels, strict=True)
        ) / len(labels)
        penalty = 0.01 * float(head_of(task.network).weight.square().sum())

        assert float(task.loss((inputs, labels))) == pytest.approx(by_hand + penalty, rel=1e-5)


def test_the_input_is_what_keras_feeds_resnet50v2() -> None:
    grey = np.array([[[0, 64], [191, 255]]], np.float32)

    fed = to_input(grey / np.float32(255), torch.device("cpu"))

    assert fed.shape == (1, 3, 2, 2)
    np.testing.assert_allclose(fed[0, 1].numpy(), grey[0] / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize("fixed", [False, True])
def test_frozen_batch_normalisation_stays_in_inference_mode(fixed: bool) -> None:
    stage = Stage.model_validate({**TOP_STAGE, "fixed_statistics": fixed})
    network = _network()
    task = _task(network, tiny_recipe(), stage)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimiser = torch.optim.SGD(task.parameters(), 0.1)

    task.train_mode()
    for batch in task.batches(0):
        optimiser.zero_grad()
        task.loss(batch).backward()  # type: ignore[no-untyped-call]  # torch's gap
        optimiser.step()

    after = network.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    statistics = {name for name in moved if "running" in name or "num_batches" in name}
    assert {name.partition(".")[0] for name in moved} == {"layer4", "fc"}
    assert all(name.startswith(("layer4.1", "fc")) for name in moved)
    assert bool(statistics) is not fixed
    assert "fc.weight" in moved


def test_the_cached_head_has_the_loss_and_the_gradients_of_the_whole_network() -> None:
    recipe = tiny_recipe(l2=0.01)
    network = _network()
    task = _task(network, recipe, Stage.model_validate({**HEAD_STAGE, "fixed_statistics": True}))
    task.train_mode()
    whole = []
    for batch in task.batches(4):
        task.network.zero_grad()
        loss = task.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's gap
        whole.append((loss.detach(), head_of(network).weight.grad.clone()))  # type: ignore[union-attr]  # just made
    cached = HeadTask(
        network, recipe, classes=CLASSES, train=_examples(), validation=_examples(9, 1), weights=(2.0, 1.0, 0.5)
    )

    for (wanted, gradient), batch in zip(whole, cached.batches(4), strict=True):
        cached.network.zero_grad()
        loss = cached.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's gap
        torch.testing.assert_close(loss.detach(), wanted)
        torch.testing.assert_close(cached.network.weight.grad, gradient)
    assert cached.validate(cached.network) == pytest.approx(task.validate(network))


def test_every_film_is_drawn_once_an_epoch_in_an_order_of_its_own_and_none_stands_alone() -> None:
    task = _task(_network(), tiny_recipe(batch_size=11), tiny_recipe().stages[0])

    first, again, second = ([batch for batch, _ in task.batches(epoch)] for epoch in (0, 0, 1))

    assert [len(batch) for batch in first] == [12]
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], second[0])
    assert torch.equal(first[0].sort(0).values, second[0].sort(0).values)


# --- validation ---


def _random_logits(count: int, classes: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    random = np.random.default_rng(5)
    return random.normal(size=(count, classes)).astype(np.float32), random.integers(0, classes, count)


def test_validation_agrees_with_scikit_learn() -> None:
    logits, labels = _random_logits(200, 3)
    said = logits.argmax(axis=1)
    probabilities = torch.softmax(torch.from_numpy(logits), 1).double().numpy()

    found = validation_scores(logits, labels, CLASSES)

    assert found["validation"] == pytest.approx(f1_score(labels, said, average="macro"))
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, said))
    assert found["recall_covid19"] == pytest.approx(recall_score(labels == 0, said == 0))
    each = [roc_auc_score(labels == k, probabilities[:, k]) for k in range(3)]
    assert found["macro_auroc"] == pytest.approx(np.mean(each))
    assert found["validation_loss"] == pytest.approx(-np.log(probabilities[range(200), labels]).mean(), rel=1e-5)


def test_validation_without_a_class_averages_over_the_others() -> None:
    logits, labels = _random_logits(60, 3)
    labels = np.minimum(labels, 1)

    found = validation_scores(logits, labels, CLASSES)

    f1 = f1_score(labels, logits.argmax(axis=1), average=None, labels=[0, 1])
    assert found["validation"] == pytest.approx(np.mean(f1))
    assert math.isnan(found["recall_pneumonia"])


# --- augmentation ---


def test_no_shipped_recipe_flips_and_only_three_settings_change_films() -> None:
    changing = []
    for name in multiclass_recipe_names():
        for setting in (None, *settings_of(name)):
            recipe = load_multiclass_recipe(name, setting)
            assert not recipe.augmentation.horizontal_flip
            changing += [setting] if recipe.augmentation.is_on else []

    assert changing == ["RN5", "RN6", "RN8"]
    assert not RandomChange().is_on


def test_a_film_changed_by_nothing_stays_and_ranges_are_kept() -> None:
    film = np.random.default_rng(0).random((24, 24), np.float32)
    random = np.random.default_rng(1)

    np.testing.assert_allclose(changed(film, RandomChange(), random), film, atol=1e-6)
    brightest = [changed(np.full((8, 8), 0.5, np.float32), RandomChange(brightness=0.1), random) for _ in range(50)]
    assert 0.45 <= min(map(np.min, brightest)) < 0.47
    assert 0.53 < max(map(np.max, brightest)) <= 0.55


def test_a_flip_mirrors_half_of_the_films_and_shifts_leave_black() -> None:
    film = np.tile(np.linspace(0.2, 1, 16, dtype=np.float32), (16, 1))
    random = np.random.default_rng(2)

    flipped = [changed(film, RandomChange(horizontal_flip=True), random)[0, 0] > 0.5 for _ in range(200)]
    shifted = np.stack([changed(film, RandomChange(shift=0.2), random) for _ in range(20)])

    assert 70 < sum(flipped) < 130
    assert (shifted == 0).any(axis=(1, 2)).mean() > 0.8


def test_turned_and_zoomed_films_keep_their_centre() -> None:
    film = np.zeros((33, 33), np.float32)
    film[14:19, 14:19] = 1.0
    random = np.random.default_rng(3)

    for _ in range(20):
        moved = changed(film, RandomChange(rotation_deg=10, zoom=0.15), random)
        weights = moved / moved.sum()
        centre = [(weights.sum(axis=axis) * np.arange(33)).sum() for axis in (0, 1)]
        np.testing.assert_allclose(centre, 16, atol=0.1)
        assert 25 * 0.85**2 * 0.9 < moved.sum() < 25 * 1.15**2 * 1.1


# --- runs ---


@pytest.fixture(scope="module")
def two_stages(tmp_path_factory: pytest.TempPathFactory, classes_manifest: Path, pretrained: Path) -> Path:
    """Give the directory of a finished transfer."""
    recipe = tiny_recipe(initial_weights=str(pretrained), stages=[HEAD_STAGE, TOP_STAGE])
    directory = tmp_path_factory.mktemp("transfer")
    MulticlassRun(recipe, data_of(classes_manifest, recipe), directory, "cpu").train()
    return directory


def test_two_stages_train_from_each_other_and_the_best_is_kept(two_stages: Path, pretrained: Path) -> None:
    record = json.loads((two_stages / "run.json").read_text())

    head, top = (torch.load(two_stages / f"{name}.pt", weights_only=True) for name in ("head", "top"))
    start = torch.load(pretrained, weights_only=True)["network"]
    assert torch.equal(head["network"]["layer4.1.conv1.weight"], start["layer4.1.conv1.weight"])
    assert not torch.equal(head["network"]["fc.weight"], start["fc.weight"])
    assert not torch.equal(top["network"]["layer4.1.conv1.weight"], start["layer4.1.conv1.weight"])
    assert torch.equal(top["network"]["layer4.0.conv1.weight"], start["layer4.0.conv1.weight"])
    assert torch.equal(top["network"]["layer3.0.bn1.running_mean"], start["layer3.0.bn1.running_mean"])
    assert [stage["trained_parameters"] for stage in record["stages"]] == [1_539, 4_720_640 + 1_539]
    assert record["stages"][0]["epochs"] <= record["stages"][0]["best_epoch"] + 2
    kept = max(record["stages"], key=lambda stage: (stage["best_validation"], stage["name"] == "top"))["name"]
    best = torch.load(two_stages / "best.pt", weights_only=True)
    assert (best["stage"], record["kept_stage"]) == (kept, kept)
    assert record["films"]["train"]["films"] + record["films"]["validation"]["films"] == 48
    assert sum(
        n * w for n, w in zip((record["films"]["train"][c] for c in CLASSES), record["class_weights"], strict=True)
    ) == (pytest.approx(record["films"]["train"]["films"]))


def test_a_run_carries_on_where_it_was_stopped(
    classes_manifest: Path, pretrained: Path, two_stages: Path, tmp_path: Path
) -> None:
    recipe = tiny_recipe(initial_weights=str(pretrained), stages=[HEAD_STAGE, TOP_STAGE])
    data = data_of(classes_manifest, recipe)
    _stopped_after_first(MulticlassRun(recipe, data, tmp_path, "cpu"))

    carried_on = MulticlassRun(recipe, data, tmp_path, "cpu").train()

    assert _without_seconds(carried_on) == _without_seconds(json.loads((two_stages / "run.json").read_text()))
    ends = [torch.load(folder / "top.pt", weights_only=True)["network"] for folder in (two_stages, tmp_path)]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    other = recipe.model_copy(update={"class_weights": False})
    with pytest.raises(ValueError, match="another recipe"):
        MulticlassRun(other, data, tmp_path, "cpu").train()


def _stopped_after_first(run: MulticlassRun) -> None:
    class _StopError(Exception):
        pass

    one_stage = run._stage

    def stage(stage: Stage, train: Examples, validation: Examples) -> dict[str, Any]:
        if stage.name == "top":
            raise _StopError
        return one_stage(stage, train, validation)

    run._stage = stage  # type: ignore[method-assign]  # stopped as a kill would
    with pytest.raises(_StopError):
        run.train()


def _without_seconds(record: dict[str, object]) -> dict[str, object]:
    text = json.dumps(record)
    loaded: dict[str, object] = json.loads(text)
    for stage in loaded["stages"]:  # type: ignore[attr-defined]  # a list of JSON objects
        stage.pop("seconds")
    return loaded


def test_random_weights_are_never_frozen(classes_manifest: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(stages=[HEAD_STAGE])

    with pytest.raises(ValueError, match="would freeze random weights"):
        MulticlassRun(recipe, data_of(classes_manifest, recipe), tmp_path, "cpu")


def test_a_head_whose_films_change_is_trained_through_the_network(
    classes_manifest: Path, pretrained: Path, tmp_path: Path
) -> None:
    recipe = tiny_recipe(
        initial_weights=str(pretrained), stages=[{**HEAD_STAGE, "epochs": 1}], augmentation={"rotation_deg": 10}
    )

    MulticlassRun(recipe, data_of(classes_manifest, recipe), tmp_path, "cpu").train()

    kept = torch.load(tmp_path / "head" / "best.pt", weights_only=True)["network"]
    start = torch.load(pretrained, weights_only=True)["network"]
    assert torch.equal(kept["layer1.0.bn1.running_var"], start["layer1.0.bn1.running_var"])
    assert not torch.equal(kept["fc.bias"], start["fc.bias"])


# --- recipes ---


def test_the_papers_settings_are_those_of_its_table() -> None:
    rows = {name: load_multiclass_recipe("paper-resnet50v2", name) for name in settings_of("paper-resnet50v2")}
    rows |= {name: load_multiclass_recipe("paper-covidnet", name) for name in ("CN1", "CN2", "CN3")}

    assert [name for name, recipe in rows.items() if not recipe.class_weights] == ["RN1", "RN2"]
    assert [name for name, recipe in rows.items() if recipe.augmentation.is_on] == ["RN5", "RN6", "RN8"]
    assert [name for name, recipe in rows.items() if len(recipe.stages) == 2] == ["RN2", "RN4", "RN6", "CN2"]
    assert [name for name, recipe in rows.items() if recipe.stages[0].trains == "all"] == ["RN7", "RN8", "CN3"]
    assert {name: recipe.l2 for name, recipe in rows.items() if recipe.l2} == dict.fromkeys(("CN1", "CN2", "CN3"), 0.01)
    for recipe in rows.values():
        assert (recipe.size_px, recipe.batch_size, recipe.stages[0].epochs) == (224, 32, 30)
        assert [stage.learning_rate for stage in recipe.stages] == [1e-4, 1e-6][: len(recipe.stages)]
        assert recipe.parts == (0.70, 0.15, 0.15)
    top = rows["RN4"].stages[1]
    assert (top.trains, top.epochs) == ("stages.2.blocks.5.conv3", 10)


def test_a_recipe_that_says_something_unknown_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no setting 'RN9'"):
        load_multiclass_recipe("paper-resnet50v2", "RN9")
    with pytest.raises(FileNotFoundError, match="shipped: paper-covidnet"):
        load_multiclass_recipe("nothing")
    (tmp_path / "odd.yaml").write_text("- a list")
    with pytest.raises(ValueError, match="a mapping of fields"):
        load_multiclass_recipe(str(tmp_path / "odd.yaml"))
    with pytest.raises(ValueError, match="every one needs a name of its own"):
        tiny_recipe(stages=[HEAD_STAGE, HEAD_STAGE])


# --- the command line ---


def _written_recipe(folder: Path) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(
        "architecture: resnet18\nsize_px: 32\nbatch_size: 8\nmixed_precision: false\n"
        "stages: [{name: whole, trains: all, epochs: 1, learning_rate: 0.001}]\n"
        "settings:\n  slow: {stages: [{name: whole, trains: all, epochs: 9, learning_rate: 0.001}]}\n"
    )
    return path


def test_a_dry_run_says_films_weights_and_parameters_and_writes_nothing(
    classes_manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    told = ["--recipe", str(_written_recipe(tmp_path)), "--setting", "slow", "--set", "batch_size=4"]

    code = main(
        ["multiclass", "--manifest", str(classes_manifest), "--held-out", "val", *told, "--dry-run", "--out", str(out)]
    )

    said = capsys.readouterr().out
    assert code == 0
    assert "held_out: 30 films of 15 patients (covid19 10, normal 10, pneumonia 10)" in said
    assert "stage whole: all, 11,178,051 parameters, 9 epochs of" in said
    assert re.search(r"a step takes \d+\.\d\d s, all of them \d+", said)
    assert not out.exists()


def test_a_dry_run_of_a_transfer_says_that_features_are_computed_once(
    classes_manifest: Path, pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["--recipe", str(_written_recipe(tmp_path)), "--initial-weights", str(pretrained)]
    stages = "stages=[{name: head, trains: head, epochs: 5, learning_rate: 0.001, patience: 2}]"

    main(
        ["multiclass", "--manifest", str(classes_manifest), *told, "--set", stages, "--dry-run",
         "--out", str(tmp_path / "run")]
    )  # fmt: skip

    said = capsys.readouterr().out
    assert "stage head: head, 1,539 parameters" in said
    assert "ends after 2 epochs without a better macro F1; about" in said
    assert "computed once" in said


def test_a_small_run_from_folders_leaves_what_a_transfer_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for label in ("bacterial", "normal"):
        for k in range(8):
            path = tmp_path / "films" / label / f"{label}{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(radiograph_phantom(40, 36, seed=k, opacities=3 * (label == "bacterial"))).save(path)
    out = tmp_path / "run"

    code = main(
        ["multiclass", "--folders", str(tmp_path / "films"), "--recipe", str(_written_recipe(tmp_path)),
         "--device", "cpu", "--out", str(out)]
    )  # fmt: skip

    assert code == 0
    assert "whole: epoch 1 of 1" in capsys.readouterr().out
    assert {"best.pt", "whole.pt", "run.json", "whole"} == {path.name for path in out.iterdir()}
    assert json.loads((out / "run.json").read_text())["classes"] == ["bacterial", "normal"]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ([], "no films: --manifest, --covidx or --folders"),
        (["--folders", "absent"], "there is no folder absent"),
        (["--covidx", "absent.txt"], "absent.txt"),
    ],
)
def test_a_command_that_names_no_films_says_so(
    told: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["multiclass", *told, "--recipe", "small-resnet50v2", "--out", str(tmp_path)]) == 1
    assert words in capsys.readouterr().err
