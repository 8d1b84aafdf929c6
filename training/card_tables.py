"""Numbers and tables of the cards."""

from collections.abc import Iterable, Sequence
from typing import Final

from training.evaluate import Measured
from training.label_metrics import Metric

NONE: Final = "n/a"


def number(value: float | None, digits: int = 3) -> str:
    """Write a number; n/a where it is undefined."""
    return NONE if value is None else f"{value:.{digits}f}"


def significant(value: float | None) -> str:
    """Write a number of any size by three digits; n/a where it is undefined."""
    return NONE if value is None else f"{value:.3g}"


def with_bounds(estimate: Measured | Metric) -> str:
    """Write a value and its interval."""
    if estimate.value is None:
        return NONE
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ({estimate.low:.3f}-{estimate.high:.3f})"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"
