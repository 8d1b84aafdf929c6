"""The plots of a network of several classes: drawn from numbers, never from a film."""

import numpy as np
from matplotlib.figure import Figure

from training.audit.plots import png
from training.multiclass.evaluation import ClassesReport
from training.multiclass.names import title_of

ROC_FILE, CONFUSION_FILE = "roc.png", "confusion.png"
_GREY, _BLUE = "#7a7a7a", "#2b6cb0"
_MARKERS = "osD^v"
_INCHES = (5.0, 4.4)


def draw_class_plots(report: ClassesReport) -> dict[str, bytes]:
    """Draw ROC and confusion matrix: PNG files by name; the ROC is left out where a class is empty."""
    figures = {CONFUSION_FILE: confusion_figure(report), ROC_FILE: roc_figure(report)}
    return {name: png(figure) for name, figure in figures.items() if figure is not None}


def roc_figure(report: ClassesReport) -> Figure | None:
    """Draw the ROC curve of the positive class against all others, with every operating point marked on it."""
    if report.roc is None:
        return None
    figure = Figure(figsize=_INCHES, layout="constrained")
    panel = figure.add_subplot()
    panel.plot([0, 1], [0, 1], color=_GREY, linewidth=0.8, linestyle=":")
    auroc = report.subgroups["pooled"].classes[report.positive]["auroc"].value
    panel.plot(report.roc.false_positive_share, report.roc.sensitivity, color=_BLUE, label=f"AUROC {auroc:.3f}, pooled")
    for point, marker in zip(report.points, _MARKERS, strict=False):
        if point.sensitivity.value is None or point.specificity.value is None:
            continue
        name = point.name if point.threshold is None else f"{point.name}: share ≥ {point.threshold:.3g}"
        panel.plot(
            1 - point.specificity.value, point.sensitivity.value, marker, markersize=7, linestyle="none", label=name
        )
    panel.set_xlim(-0.02, 1.02)
    panel.set_ylim(-0.02, 1.02)
    panel.set_xlabel("1 - specificity")
    panel.set_ylabel("sensitivity")
    panel.set_title(f"{title_of(report.positive)} against the other classes", fontsize=10)
    panel.legend(fontsize=7.5, loc="lower right")
    return figure


def confusion_figure(report: ClassesReport) -> Figure:
    """Draw the confusion matrix: counts in the cells, coloured by their share of the row (papers/3, fig. 4b)."""
    counts = np.array(report.subgroups["pooled"].confusion, np.float64)
    shares = row_shares(counts)
    names = [title_of(name) for name in report.classes]
    figure = Figure(figsize=_INCHES, layout="constrained")
    panel = figure.add_subplot()
    image = panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(len(names)):
        for column in range(len(names)):
            colour = "white" if shares[row, column] > 0.55 else "black"
            panel.text(column, row, f"{int(counts[row, column])}", ha="center", va="center", color=colour)
    panel.set_xticks(range(len(names)), names)
    panel.set_yticks(range(len(names)), names)
    panel.set_xlabel("said")
    panel.set_ylabel("true")
    figure.colorbar(image, ax=panel, label="share of the row")
    return figure


def row_shares(counts: np.ndarray) -> np.ndarray:
    """Divide each row by its sum; a row without films stays zero."""
    sums = counts.sum(axis=1, keepdims=True)
    shares: np.ndarray = np.divide(counts, sums, out=np.zeros_like(counts), where=sums > 0)
    return shares
