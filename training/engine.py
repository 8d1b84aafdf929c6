"""The training loop of every system: steps, averages, checkpoints, curves, which epoch is kept, and when to stop."""

import dataclasses
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from training.optimisers import Optimiser, optimiser_of, schedule_of
from training.training_log import TrainingLog

VALIDATION: Final = "validation"
"""The entry of a task's validation that chooses the epoch; higher is better."""
LAST_FILE: Final = "last.pt"
BEST_FILE: Final = "best.pt"
_T = TypeVar("_T")


class Task(Protocol):
    """What is trained: where its steps come from, what a step costs, and what validation says of an epoch."""

    @property
    def network(self) -> nn.Module:
        """The network that is trained, in memory format and precision of its own choice."""
        ...

    def parameters(self) -> Iterable[nn.Parameter]:
        """What the optimiser moves: a frozen part is left out, an adversary's head joins."""
        ...

    def train_mode(self) -> None:
        """Put the network into training mode; a frozen part's batch normalisation stays in inference mode."""
        ...

    def steps(self, epoch: int) -> int:
        """Steps of an epoch, counted from 0."""
        ...

    def batches(self, epoch: int) -> Iterator[Any]:  # Any: what `loss` takes
        """Give an epoch's batches, the same ones for the same epoch and seed."""
        ...

    def loss(self, batch: Any) -> Tensor:  # Any: one of `batches`, on the network's device
        """Give the mean loss of a batch; called under autocast."""
        ...

    def validate(self, network: nn.Module) -> Mapping[str, float]:
        """Measure a network on the validation part: `VALIDATION` chooses, NaN where there is nothing to choose by."""
        ...

    def may_be_kept(self, epoch: int) -> bool:
        """Whether an epoch can be the chosen one: one at a smaller input size cannot."""
        ...

    def state_dict(self) -> dict[str, Any]:  # Any: tensors and numbers, as torch stores them
        """Give what a resumed run needs besides network and optimiser."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:  # Any: as above
        """Take it back."""
        ...


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How a task is trained.

    Attributes
    ----------
    epochs
        At most so many.
    optimiser
        With its schedule over all steps.
    average_decay
        Exponential moving average of the weights, per step; 0 switches it off.
    mixed_precision
        bfloat16 autocast: the range of float32, so that no loss needs scaling, on a CPU and on a GPU.
    seed
        Of everything drawn at random while training; every epoch starts its own stream, so that a resumed run draws
        what an uninterrupted one draws.
    patience
        Stop after so many epochs without a better one; None trains to the end.
    keep
        ``best`` keeps the epoch with the highest validation score, ``last`` the last one.
    device
        ``auto`` takes the first GPU where there is one.
    """

    epochs: int
    optimiser: Optimiser
    average_decay: float = 0.0
    mixed_precision: bool = True
    seed: int = 0
    patience: int | None = None
    keep: Literal["best", "last"] = "best"
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        """Hold the numbers in range."""
        if self.epochs < 1 or (self.patience is not None and self.patience < 1):
            raise ValueError("epochs and patience are at least 1")


class TrainingLoop:
    """Trains a task in a directory; a directory with a checkpoint of the same identity is carried on with.

    Parameters
    ----------
    task
        What is trained.
    settings
        How.
    directory
        Where ``last.pt``, ``best.pt``, ``curves.csv`` and TensorBoard's events go; it is made.
    identity
        What the run is, as text (a recipe as JSON). A checkpoint of another identity is refused.

    Raises
    ------
    ValueError
        If the directory holds a run of another identity.
    """

    def __init__(self, task: Task, settings: LoopSettings, directory: Path, identity: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._task, self._settings, self._directory, self._identity = task, settings, directory, identity
        self.device = chosen_device(settings.device)
        task.network.to(self.device)
        self._average = (
            AveragedModel(
                task.network,
                multi_avg_fn=get_ema_multi_avg_fn(settings.average_decay),  # type: ignore[no-untyped-call]  # torch's gap
                use_buffers=True,
            )
            if settings.average_decay
            else None
        )
        self._optimiser = optimiser_of(settings.optimiser, task.parameters())
        total = sum(task.steps(epoch) for epoch in range(settings.epochs))
        self._schedule = schedule_of(settings.optimiser, self._optimiser, total)
        self.epoch = 0
        self.best = -math.inf
        self.best_epoch: int | None = None
        self.curves: list[dict[str, float]] = []
        self.seconds: list[float] = []
        self._resume()

    @property
    def evaluated(self) -> nn.Module:
        """The network that is validated and kept: the averaged one where there is one."""
        return self._average.module if self._average is not None else self._task.network

    @property
    def is_finished(self) -> bool:
        """Whether the last epoch is done or patience has run out."""
        waited = self.epoch - 1 - self.best_epoch if self.best_epoch is not None else 0
        patience = self._settings.patience
        return self.epoch >= self._settings.epochs or (patience is not None and waited >= patience)

    def run(self) -> list[dict[str, float]]:
        """Train to the end and return the curves, a row an epoch.

        Raises
        ------
        FloatingPointError
            If an epoch's loss is not finite.
        """
        with TrainingLog(self._directory, self.epoch) as log:
            while not self.is_finished:
                started = time.monotonic()
                loss = self._train_epoch()
                found = dict(self._task.validate(self.evaluated))
                row = {
                    "epoch": self.epoch + 1,
                    "learning_rate": float(self._optimiser.param_groups[0]["lr"]),
                    "loss": loss,
                    **found,
                }
                self.curves.append(row)
                self.seconds.append(time.monotonic() - started)
                self._keep(found[VALIDATION])
                self.epoch += 1
                self._checkpoint()
                log.add([{**each, "seconds": took} for each, took in zip(self.curves, self.seconds, strict=True)])
                said = " ".join(f"{name} {value:.4f}" for name, value in found.items())
                tqdm.write(f"epoch {self.epoch}/{self._settings.epochs} loss {loss:.4f} {said}")
        return self.curves

    def _train_epoch(self) -> float:
        task, settings = self._task, self._settings
        torch.manual_seed(settings.seed + 1_000_003 * (self.epoch + 1))
        task.train_mode()
        total, steps = 0.0, task.steps(self.epoch)
        for batch in tqdm(task.batches(self.epoch), f"epoch {self.epoch + 1}", steps, leave=False, unit="batch"):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=settings.mixed_precision):
                loss = task.loss(moved(batch, self.device))
            self._optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch's gap
            self._optimiser.step()
            if self._schedule is not None:
                self._schedule.step()
            if self._average is not None:
                self._average.update_parameters(task.network)
            total += float(loss.detach())
        if not math.isfinite(total):
            raise FloatingPointError(f"the loss of epoch {self.epoch + 1} is not finite")
        return total / steps

    def _keep(self, score: float) -> None:
        """Keep the epoch just trained if it may be kept and is the best (or the last) so far."""
        if not self._task.may_be_kept(self.epoch):
            return
        undecided = math.isnan(score) and self.best == -math.inf  # nothing to choose by: keep the last epoch
        if self._settings.keep == "last" or score > self.best or undecided:
            self.best = self.best if math.isnan(score) else score
            self.best_epoch = self.epoch
            _save({"network": self.evaluated.state_dict(), "epoch": self.epoch + 1}, self._directory / BEST_FILE)

    def _checkpoint(self) -> None:
        state = {
            "network": self._task.network.state_dict(),
            "average": self._average.state_dict() if self._average is not None else None,
            "task": self._task.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict() if self._schedule is not None else None,
            "epoch": self.epoch,
            "curves": self.curves,
            "seconds": self.seconds,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "identity": self._identity,
        }
        _save(state, self._directory / LAST_FILE)

    def _resume(self) -> None:
        path = self._directory / LAST_FILE
        if not path.is_file():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state.get("identity") != self._identity:
            raise ValueError(f"{self._directory} holds a run of another recipe; choose another directory")
        self._task.network.load_state_dict(state["network"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        self._task.load_state_dict(state["task"])
        self._optimiser.load_state_dict(state["optimiser"])
        if self._schedule is not None:
            self._schedule.load_state_dict(state["schedule"])
        self.epoch, self.curves, self.seconds = state["epoch"], state["curves"], state["seconds"]
        self.best, self.best_epoch = state["best"], state["best_epoch"]


def chosen_device(wanted: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """Give the device to train on.

    Raises
    ------
    ValueError
        If a GPU is asked for and torch sees none.
    """
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise ValueError("device cuda: torch sees no GPU here; cpu or auto expected")
    return torch.device("cuda" if there and wanted != "cpu" else "cpu")


def moved(batch: _T, device: torch.device) -> _T:
    """Put every tensor of a batch (a tensor, tuple, list, dictionary or dataclass of them) onto a device."""
    if device.type == "cpu":
        return batch
    on_device: _T = _moved(batch, device)
    return on_device


def _moved(batch: Any, device: torch.device) -> Any:  # Any: taken apart by its type
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, Mapping):
        return {name: _moved(value, device) for name, value in batch.items()}
    if isinstance(batch, tuple | list):
        return type(batch)(_moved(value, device) for value in batch)
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        changed = {each.name: _moved(getattr(batch, each.name), device) for each in dataclasses.fields(batch)}
        return dataclasses.replace(batch, **changed)
    return batch


def _save(state: dict[str, Any], path: Path) -> None:  # Any: what torch stores
    """Write a file so that it is either the old one or the new one, whatever stops the process."""
    unfinished = path.with_name(f"{path.name}.part")
    torch.save(state, unfinished)
    unfinished.replace(path)
