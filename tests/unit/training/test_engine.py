"""What the training loop promises of any task: carrying on, keeping the best, stopping, writing what can be read."""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from training.engine import VALIDATION, LoopSettings, TrainingLoop, chosen_device, moved
from training.optimisers import Optimiser, optimiser_of, schedule_of

CONSTANT = Optimiser(name="sgd", learning_rate=0.1, momentum=0.0, schedule="constant")


class Line:
    """Learn y = 2 x; its validation scores are given."""

    def __init__(self, scores: list[float], kept_from: int = 0, kill_at: int | None = None) -> None:
        torch.manual_seed(1)
        self.network: nn.Module = nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.2))
        self.scores, self.kept_from, self.kill_at = scores, kept_from, kill_at
        self.validated = 0
        self.seen: list[int] = []

    def parameters(self) -> Iterator[nn.Parameter]:
        return self.network.parameters()

    def train_mode(self) -> None:
        self.network.train()

    def steps(self, _: int) -> int:
        return 3

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        self.seen.append(epoch)
        for step in range(3):
            if self.kill_at == epoch and step == 2:
                raise KeyboardInterrupt
            x = torch.from_numpy(np.random.default_rng((epoch, step)).random((4, 1), np.float32))
            yield x, 2 * x

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        x, y = batch
        loss: Tensor = ((self.network(x) - y) ** 2).mean()
        return loss

    def validate(self, network: nn.Module) -> dict[str, float]:
        self.validated += 1
        return {VALIDATION: self.scores[self.validated - 1], "weight": float(next(network.parameters()).detach())}

    def may_be_kept(self, epoch: int) -> bool:
        return epoch >= self.kept_from

    def state_dict(self) -> dict[str, int]:
        return {"validated": self.validated}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.validated = state["validated"]


def settings(**changes: object) -> LoopSettings:
    return LoopSettings(**{"epochs": 4, "optimiser": CONSTANT, "mixed_precision": False, **changes})  # type: ignore[arg-type]  # drawn together


def kept_epoch(directory: Path) -> int:
    return int(torch.load(directory / "best.pt", weights_only=True)["epoch"])


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_a_killed_loop_carries_on_to_the_same_curves_and_weights(tmp_path: Path, name: str) -> None:
    how = settings(
        optimiser=Optimiser.model_validate({"name": name, "learning_rate": 0.05, "schedule": "one-cycle"}),
        average_decay=0.5,
    )
    whole = TrainingLoop(Line([0.1, 0.3, 0.2, 0.4]), how, tmp_path / "whole", "line").run()
    with pytest.raises(KeyboardInterrupt):
        TrainingLoop(Line([0.1, 0.3, 0.2, 0.4], kill_at=2), how, tmp_path / "killed", "line").run()

    task = Line([0.1, 0.3, 0.2, 0.4])
    resumed = TrainingLoop(task, how, tmp_path / "killed", "line").run()

    assert task.seen == [2, 3]
    assert resumed == whole
    one, other = (torch.load(tmp_path / run / "best.pt", weights_only=True) for run in ("whole", "killed"))
    assert one["epoch"] == other["epoch"] == 4
    for key, value in one["network"].items():
        assert torch.equal(value, other["network"][key])


def test_a_finished_loop_trains_no_further(tmp_path: Path) -> None:
    TrainingLoop(Line([0.1, 0.2, 0.3, 0.4]), settings(), tmp_path, "line").run()
    task = Line([])

    curves = TrainingLoop(task, settings(), tmp_path, "line").run()

    assert (len(curves), task.seen) == (4, [])


def test_another_identity_is_refused(tmp_path: Path) -> None:
    TrainingLoop(Line([0.1]), settings(epochs=1), tmp_path, "line").run()

    with pytest.raises(ValueError, match="another recipe"):
        TrainingLoop(Line([0.1]), settings(epochs=1), tmp_path, "curve")


@pytest.mark.parametrize(
    ("scores", "keep", "kept_from", "kept"),
    [
        ([0.3, 0.5, 0.4, 0.5], "best", 0, 2),
        ([0.9, 0.5, 0.4, 0.6], "best", 2, 4),
        ([0.9, 0.5, 0.4, 0.6], "last", 0, 4),
        ([math.nan] * 4, "best", 0, 4),
        ([math.nan, 0.2, math.nan, 0.1], "best", 0, 2),
    ],
)
def test_the_kept_epoch_is_the_best_that_may_be_kept(
    tmp_path: Path, scores: list[float], keep: str, kept_from: int, kept: int
) -> None:
    TrainingLoop(Line(scores, kept_from), settings(keep=keep), tmp_path, "line").run()

    assert kept_epoch(tmp_path) == kept


def test_patience_ends_a_run_that_gets_no_better_also_after_a_pause(tmp_path: Path) -> None:
    scores = [0.1, 0.5, 0.4, 0.3, 0.9]
    how = settings(epochs=5, patience=2)

    curves = TrainingLoop(Line(scores), how, tmp_path, "line").run()
    loop = TrainingLoop(Line([]), how, tmp_path, "line")

    assert [row["epoch"] for row in curves] == [1, 2, 3, 4]
    assert loop.is_finished
    assert kept_epoch(tmp_path) == 2


def test_curves_are_written_for_people_and_for_tensorboard(tmp_path: Path) -> None:
    TrainingLoop(Line([0.1, math.nan, 0.3]), settings(epochs=3), tmp_path, "line").run()

    with (tmp_path / "curves.csv").open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[2]["seconds"]) > 0
    assert [(e.step, round(e.value, 6)) for e in events.Scalars("validation")] == [(1, 0.1), (3, 0.3)]
    assert len(events.Scalars("loss")) == 3


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    task = Line([0.1])
    nn.init.constant_(next(task.network.parameters()), math.inf)

    with pytest.raises(FloatingPointError, match="epoch 1"):
        TrainingLoop(task, settings(epochs=1), tmp_path, "line").run()


@pytest.mark.parametrize("changes", [{"epochs": 0}, {"patience": 0}])
def test_settings_out_of_range_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        settings(**changes)


def test_l2_of_adam_is_not_the_decay_of_adamw() -> None:
    moved_to = {}
    for name in ("adam", "adamw"):
        weight = nn.Parameter(torch.tensor([3.0]))
        optimiser = optimiser_of(
            Optimiser.model_validate({"name": name, "learning_rate": 0.1, "weight_decay": 0.5}), [weight]
        )
        weight.grad = torch.tensor([0.0])
        optimiser.step()
        moved_to[name] = float(weight.detach())

    assert moved_to["adam"] == pytest.approx(3.0 - 0.1, abs=1e-6)  # a normalised step along the decay's gradient
    assert moved_to["adamw"] == pytest.approx(3.0 * (1 - 0.1 * 0.5))


def test_schedules_end_where_they_say() -> None:
    ends = {}
    for schedule in ("constant", "one-cycle", "cosine"):
        recipe = Optimiser.model_validate({"name": "sgd", "learning_rate": 0.1, "schedule": schedule})
        optimiser = optimiser_of(recipe, [nn.Parameter(torch.zeros(1))])
        following = schedule_of(recipe, optimiser, 10)
        for _ in range(10):
            optimiser.step()
            ends[schedule] = optimiser.param_groups[0]["lr"]  # of the last step
            if following is not None:
                following.step()

    assert ends["constant"] == 0.1
    assert ends["one-cycle"] < 1e-5
    assert ends["cosine"] == pytest.approx(0.1 * (1 + np.cos(np.pi * 0.9)) / 2)


def test_a_gpu_that_is_not_there_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    assert chosen_device("auto") == torch.device("cpu")
    with pytest.raises(ValueError, match="no GPU"):
        chosen_device("cuda")


def test_every_tensor_of_a_batch_is_moved_whatever_holds_it() -> None:
    @dataclass(frozen=True)
    class Holder:
        films: Tensor
        names: tuple[str, ...]

    batch = {"held": Holder(torch.zeros(1), ("a",)), "list": [torch.zeros(2), None], "pair": (torch.zeros(3), 1)}

    there = moved(batch, torch.device("meta"))

    held, listed, pair = there["held"], there["list"], there["pair"]
    assert isinstance(held, Holder)
    assert isinstance(listed, list)
    assert isinstance(pair, tuple)
    assert held.films.device.type == listed[0].device.type == pair[0].device.type == "meta"
    assert (held.names, listed[1], pair[1]) == (("a",), None, 1)
    assert moved(batch, torch.device("cpu")) is batch
