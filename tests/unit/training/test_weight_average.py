"""The mean of several runs is a run: its weights lie between theirs, its statistics are its own."""

from pathlib import Path

import pytest
import torch

from tests.unit.training.phantom_data import tiny_recipe
from training.export import load_run
from training.train import Run, TrainingSet, select_films
from training.weight_average import average_runs


@pytest.fixture(scope="module")
def films(phantom_manifest: Path) -> TrainingSet:
    return select_films(tiny_recipe(), [phantom_manifest])


@pytest.fixture(scope="module")
def runs(films: TrainingSet, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three runs of one recipe with other seeds, and one of another recipe."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (1, 2, 3):
        Run(tiny_recipe(seed=seed), films, folder / str(seed)).train()
    Run(tiny_recipe(seed=1, balance=0.0), films, folder / "other").train()
    return [folder / name for name in ("1", "2", "3", "other")]


def test_weights_are_the_mean_and_statistics_are_measured_anew(
    films: TrainingSet, runs: list[Path], tmp_path: Path
) -> None:
    averaged = average_runs(runs[:3], films, tmp_path / "mean")

    states = [load_run(run).network.state_dict() for run in runs[:3]]
    mean = torch.stack([state["fc.weight"] for state in states]).mean(dim=0)
    torch.testing.assert_close(averaged.network.state_dict()["fc.weight"], mean)
    statistics = torch.stack([state["bn1.running_mean"] for state in states]).mean(dim=0)
    assert not torch.allclose(averaged.network.state_dict()["bn1.running_mean"], statistics, rtol=1e-4)
    assert [entry["seed"] for entry in averaged.record["averaged"]] == [1, 2, 3]
    assert not averaged.network.training


def test_runs_of_different_recipes_are_not_averaged(films: TrainingSet, runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="another recipe"):
        average_runs([runs[0], runs[3]], films, tmp_path)


def test_one_run_is_no_average(films: TrainingSet, runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two or more"):
        average_runs(runs[:1], films, tmp_path)
