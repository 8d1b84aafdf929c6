"""What a training run promises: masking, balance, repeatability, carrying on after a kill."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import training.resistance
from tests.unit.training.phantom_data import Row, tiny_recipe, write_data
from training.batches import drawing_weights
from training.losses import loss_of
from training.train import Run, select_films, selection_score, targets_of

_STAGES = [{"epochs": 1, "size_px": 32}, {"epochs": 2, "size_px": 40}]


def _weights(directory: Path, file: str) -> dict[str, Tensor]:
    stored: dict[str, Tensor] = torch.load(directory / file, weights_only=True)["network"]
    return stored


def test_unknown_labels_carry_no_gradient() -> None:
    recipe = tiny_recipe(kind="multilabel", target=None, label_smoothing=0.1)
    logits = torch.randn(4, 3, requires_grad=True)
    targets = torch.tensor([[1.0, math.nan, 0.0], [math.nan] * 3, [0.0, 1.0, math.nan], [1.0, 1.0, 1.0]])

    loss_of(logits, targets, torch.ones(4), recipe).backward()  # type: ignore[no-untyped-call]  # torch's gap

    assert logits.grad is not None
    assert torch.equal(logits.grad == 0, torch.isnan(targets))


def test_the_loss_does_not_depend_on_what_stands_for_unknown() -> None:
    recipe = tiny_recipe(kind="multilabel", target=None)
    targets = torch.tensor([[1.0, math.nan], [0.0, 1.0]])
    logits = torch.tensor([[0.3, 5.0], [-0.2, 0.1]])
    other = logits.clone()
    other[0, 1] = -70.0

    losses = [float(loss_of(each, targets, torch.ones(2), recipe)) for each in (logits, other)]

    assert losses[0] == losses[1]


def test_rare_cells_are_drawn_more_often_than_their_share(phantom_manifest: Path) -> None:
    recipe = tiny_recipe(balance=1.0)
    films = select_films(recipe, [phantom_manifest]).train
    targets = targets_of(films, recipe)

    chances = drawing_weights(films, targets, recipe)

    cells: dict[tuple[str, float], float] = {}
    for film, target, chance in zip(films, targets[:, 0], chances, strict=True):
        cells[film.source, float(target)] = cells.get((film.source, float(target)), 0.0) + float(chance)
    np.testing.assert_allclose(list(cells.values()), 1 / len(cells))


def test_a_killed_run_carries_on_to_the_same_curves_and_weights(
    tmp_path: Path, phantom_manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(stages=_STAGES, draws_per_epoch=16, average_decay=0.5, label_smoothing=0.05)
    films = select_films(recipe, [phantom_manifest])
    whole = Run(recipe, films, tmp_path / "whole").train()
    steps = 0

    def killed_in_the_second_epoch(*arguments: Any) -> Tensor:  # Any: whatever the loss is given
        nonlocal steps
        steps += 1
        if steps == 4:  # two steps an epoch
            raise KeyboardInterrupt
        return loss_of(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training.resistance, "loss_of", killed_in_the_second_epoch)
        with pytest.raises(KeyboardInterrupt):
            Run(recipe, films, tmp_path / "killed").train()
    assert not (tmp_path / "killed" / "run.json").exists()
    resumed = Run(recipe, films, tmp_path / "killed").train()

    assert resumed["curves"] == whole["curves"]
    for file in ("best.pt", "last.pt"):
        one, other = (_weights(tmp_path / name, file) for name in ("whole", "killed"))
        for name, value in one.items():
            torch.testing.assert_close(other[name], value, rtol=0, atol=0, msg=f"{file}: {name}")


def test_a_directory_of_another_recipe_is_not_resumed(trained: Path, phantom_manifest: Path) -> None:
    recipe = tiny_recipe(seed=8)

    with pytest.raises(ValueError, match="another recipe"):
        Run(recipe, select_films(recipe, [phantom_manifest]), trained).train()


def test_the_seed_decides_everything(tmp_path: Path, phantom_manifest: Path) -> None:
    runs = {}
    for name, seed in (("one", 7), ("same", 7), ("other", 8)):
        recipe = tiny_recipe(seed=seed, draws_per_epoch=8)
        Run(recipe, select_films(recipe, [phantom_manifest]), tmp_path / name).train()
        runs[name] = _weights(tmp_path / name, "best.pt")["conv1.weight"]

    assert torch.equal(runs["one"], runs["same"])
    assert not torch.equal(runs["one"], runs["other"])


def test_the_rows_of_an_antisymmetric_head_stay_each_others_negatives(trained: Path) -> None:
    state = _weights(trained, "last.pt")

    for name in ("fc.weight", "fc.bias"):
        one, other = state[name]
        assert float(one.abs().max()) > 0
        torch.testing.assert_close(one, -other, rtol=0, atol=1e-3 * float(one.abs().max()))


@pytest.mark.parametrize("rule", ["within-source-auroc", "auroc", "accuracy"])
def test_thirteen_positives_train_like_any_other_number(tmp_path: Path, rule: str) -> None:
    positives = [Row("val" if k > 10 else "train", "alpha", f"p{k}", 1, 1) for k in range(13)]
    negatives = [Row("val" if k > 18 else "train", "alpha", f"n{k}", 0, 0) for k in range(26)]
    recipe = tiny_recipe(draws_per_epoch=16, select_by=rule)

    manifest = write_data(tmp_path, positives + negatives)
    Run(recipe, select_films(recipe, [manifest]), tmp_path / "run").train()

    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert 0 <= record["best_validation"] <= 1
    assert (tmp_path / "run" / "best.pt").is_file()


def test_a_run_that_cannot_choose_keeps_its_last_epoch(tmp_path: Path) -> None:
    positives = [Row("train", "alpha", f"p{k}", 1, 1) for k in range(4)]
    negatives = [Row("val" if k > 3 else "train", "alpha", f"n{k}", 0, 0) for k in range(6)]
    recipe = tiny_recipe(draws_per_epoch=8, stages=[{"epochs": 2, "size_px": 32}])

    manifest = write_data(tmp_path, positives + negatives)
    Run(recipe, select_films(recipe, [manifest]), tmp_path / "run").train()

    record = json.loads((tmp_path / "run" / "run.json").read_text(), parse_constant=pytest.fail)
    assert record["best_validation"] is None
    assert torch.load(tmp_path / "run" / "best.pt", weights_only=True)["epoch"] == 2


def test_selection_within_sources_does_not_reward_telling_sources_apart(phantom_manifest: Path) -> None:
    recipe = tiny_recipe()
    films = [film for film in select_films(recipe, [phantom_manifest]).val if film.source != "kids"]
    targets = targets_of(films, recipe)
    scores = np.array([[float(film.source == "alpha")] for film in films])

    assert selection_score(scores, targets, films, "within-source-auroc") == pytest.approx(0.5)
