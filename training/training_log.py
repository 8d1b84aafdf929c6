"""What a training run writes while it goes on: a CSV to read, TensorBoard's events to watch."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from torch.utils.tensorboard import SummaryWriter

CURVES_FILE: Final = "curves.csv"
EVENTS_FOLDER: Final = "tensorboard"


class TrainingLog:
    """Rewrites ``curves.csv`` after every epoch and adds the epoch to TensorBoard's events.

    Parameters
    ----------
    directory
        Of the run.
    epochs_done
        Epochs that stand in the events already; what was written of later ones is hidden.
    """

    def __init__(self, directory: Path, epochs_done: int) -> None:
        self._directory = directory
        self._events = SummaryWriter(str(directory / EVENTS_FOLDER), purge_step=epochs_done + 1)

    def add(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Write the curves anew, and their last row as events."""
        row = rows[-1]
        for name, value in row.items():
            if name != "epoch" and math.isfinite(value):
                self._events.add_scalar(name, value, int(row["epoch"]))
        self._events.flush()
        write_curves(self._directory / CURVES_FILE, rows)

    def __enter__(self) -> Self:
        """Open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the events' file."""
        self._events.close()


def write_curves(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write rows as CSV; a value that a row lacks is empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, names, restval="")
        writer.writeheader()
        writer.writerows(rows)
