"""The evaluation of a network of several classes as Markdown."""

from collections.abc import Sequence

from training.card_tables import table, with_bounds
from training.multiclass.evaluation import ClassesReport, ClassesResult
from training.multiclass.names import title_of

_POOLED = "pooled"
_SOURCE_ALONE = (
    "*Source alone*: every film is said to be what most training films of its source are; no pixel is looked at."
    " A pooled number that is not above it says nothing of the films.\n"
)


def evaluation_markdown(report: ClassesReport) -> str:
    """Write every table of an evaluation."""
    positive = title_of(report.positive)
    parts = [
        f"Macro F1, macro AUROC, accuracy, and {positive}, by subgroup (95 %, patients resampled):\n",
        table(_head(report), _rows(report)),
        _SOURCE_ALONE,
        f"\n{positive} against the other classes, at thresholds chosen on validation:\n",
        table(
            ("operating point", "share from", "sensitivity", "specificity"),
            [
                (
                    point.name,
                    "n/a" if point.threshold is None else f"{point.threshold:.3g}",
                    with_bounds(point.sensitivity),
                    with_bounds(point.specificity),
                )
                for point in report.points
            ],
        ),
        "\nTrue classes (rows) and what was said (columns), pooled:\n",
        confusion_table(report),
    ]
    return "\n".join(parts)


def confusion_table(report: ClassesReport) -> str:
    """Write the pooled confusion matrix with counts and the share of the row."""
    rows = []
    for name, counts in zip(report.classes, report.subgroups[_POOLED].confusion, strict=True):
        total = sum(counts)
        rows.append((title_of(name), *(f"{n} ({n / total:.0%})" if total else "0" for n in counts), total))
    return table(("", *map(title_of, report.classes), "films"), rows)


def _head(report: ClassesReport) -> tuple[str, ...]:
    name = title_of(report.positive)
    each = (f"{name} precision", "recall", "F1", "AUROC")
    return ("films", "n", "accuracy", "macro F1", "macro AUROC", *each)


def _rows(report: ClassesReport) -> list[Sequence[object]]:
    rows = [_row(name, result, report.positive) for name, result in report.subgroups.items()]
    if report.source_alone is not None:
        rows.insert(1, _row("*source alone*", report.source_alone, report.positive))
    return rows


def _row(name: str, result: ClassesResult, positive: str) -> Sequence[object]:
    each = result.classes[positive]
    return (
        name,
        result.films,
        with_bounds(result.accuracy),
        with_bounds(result.macro_f1),
        with_bounds(result.macro_auroc),
        *(with_bounds(each[metric]) for metric in ("precision", "recall", "f1", "auroc")),
    )
