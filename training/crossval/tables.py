"""The tables of a cross-validation in Markdown, in the shape of papers/2, table 2, with its numbers beside."""

from collections.abc import Mapping, Sequence
from typing import Final

from app.domain.label_hierarchy import DISPLAY_NAMES, ENSEMBLE_LABELS
from training.card_tables import NONE, number, table, with_bounds
from training.crossval.results import CrossValidation, ModelResult, Spread
from training.label_metrics import AUROC, METRICS, LabelMetrics

SHOWN: Final = ("precision", "recall", "f1")
PRINTED: Final[Mapping[str, tuple[str, str, str]]] = {
    "densenet161": ("0.864 ± 0.012", "0.845 ± 0.015", "0.854 ± 0.008"),
    "inceptionresnetv2": ("0.844 ± 0.023", "0.787 ± 0.063", "0.814 ± 0.042"),
    "inceptionv3": ("0.802 ± 0.065", "0.792 ± 0.044", "0.796 ± 0.053"),
    "resnet18": ("0.824 ± 0.014", "0.824 ± 0.008", "0.824 ± 0.007"),
    "resnet34": ("0.815 ± 0.022", "0.800 ± 0.025", "0.807 ± 0.018"),
    "ensemble": ("0.889 ± 0.010", "0.851 ± 0.005", "0.869 ± 0.007"),
}
"""Micro precision, recall and F1 of papers/2, table 2: other films, overlapping splits (SPEC 2.5)."""

_TITLES: Final[Mapping[str, str]] = {
    "densenet161": "DenseNet161",
    "inceptionresnetv2": "InceptionResNetV2",
    "inceptionv3": "InceptionV3",
    "resnet18": "ResNet18",
    "resnet34": "ResNet34",
}


def markdown_of(result: CrossValidation) -> str:
    """Write every table."""
    films = sum(fold.films["test"] for fold in result.folds)
    head = (
        f"# Cross-validation by patient\n\n{len(result.folds)} of {result.planned_folds} folds, {films} films tested "
        "once. One fold is tested, the next chooses epoch and thresholds, the others train.\n"
    )
    parts = [
        head,
        "## Micro metrics over the folds, mean ± standard deviation\n\n" + over_folds(result.models),
        "## All films together, with 95 % intervals over patients\n\n" + pooled(result.models),
        "## Labels: F1 of all films, with intervals\n\n" + side_by_side(result.models),
        *(f"## Labels: {title_of(model)}\n\n" + by_label(model) for model in result.models),
        "## Sources and ages: micro F1, macro F1, and F1 of COVID-19, with intervals\n\n" + by_subgroup(result.models),
        "## Folds\n\n" + fold_table(result),
    ]
    return "\n".join(parts)


def title_of(model: ModelResult) -> str:
    """Name a row."""
    if model.members:
        return f"Ensemble of {len(model.members)}"
    return _TITLES.get(model.name, model.name.capitalize())


def over_folds(models: Sequence[ModelResult]) -> str:
    """Write the table of papers/2, table 2, and theirs beside it."""
    head = ("Model", "Precision", "Recall", "F1", "Macro F1", *(f"paper: {name}" for name in SHOWN))
    rows = []
    for model in models:
        ours = [spread(model.micro[name]) for name in SHOWN]
        rows.append((title_of(model), *ours, spread(model.macro["f1"]), *PRINTED.get(model.name, (NONE,) * 3)))
    return table(head, rows)


def pooled(models: Sequence[ModelResult]) -> str:
    """Write micro and macro metrics of all films."""
    names = [(kind, name) for kind in ("micro", "macro") for name in METRICS]
    head = ("Metric", *(title_of(model) for model in models))
    rows = [
        (f"{kind} {name}", *(with_bounds(getattr(model.pooled, kind)[name]) for model in models))
        for kind, name in (*names, ("macro", AUROC))
    ]
    return table(head, rows)


def side_by_side(models: Sequence[ModelResult]) -> str:
    """Write one row a label, one column a network."""
    head = ("Label", "Films", "Positives", *(title_of(model) for model in models))
    rows = []
    for label in ENSEMBLE_LABELS:
        found = [model.pooled.labels[label] for model in models]
        f1 = [with_bounds(result.metrics["f1"]) for result in found]
        rows.append((DISPLAY_NAMES[label], found[0].films, found[0].positives, *f1))
    return table(head, rows)


def by_label(model: ModelResult) -> str:
    """Write one row a label: over the folds, then all films."""
    head = ("Label", "Films", "Positives", "F1 over folds", *(name.capitalize() for name in METRICS), "AUROC")
    rows = []
    for label in ENSEMBLE_LABELS:
        found = model.pooled.labels[label]
        metrics = [with_bounds(found.metrics[name]) for name in (*METRICS, AUROC)]
        rows.append((DISPLAY_NAMES[label], found.films, found.positives, spread(model.labels[label]["f1"]), *metrics))
    return table(head, rows)


def by_subgroup(models: Sequence[ModelResult]) -> str:
    """Write one row a source or age, one column a network."""
    head = ("Films of", "Films", *(title_of(model) for model in models))
    rows = []
    for name in models[0].subgroups:
        films = max(label.films for label in models[0].subgroups[name].labels.values())
        rows.append((name, films, *(_three(model.subgroups[name]) for model in models)))
    return table(head, rows)


def fold_table(result: CrossValidation) -> str:
    """Write how large the folds are, what validation chose, and how long they took."""
    timed = [model for model in result.models if any(fold.epoch for fold in model.folds)]
    head = ("Fold", "Train", "Validate", "Test", *(f"{title_of(model)}: epoch, seconds" for model in timed))
    rows = []
    for k, facts in enumerate(result.folds):
        sizes = [f"{facts.films[part]} films of {facts.patients[part]}" for part in ("train", "val", "test")]
        took = [f"{model.folds[k].epoch}, {number(model.folds[k].seconds, 0)}" for model in timed]
        rows.append((facts.fold, *sizes, *took))
    return table(head, rows)


def spread(found: Spread) -> str:
    """Write a mean and standard deviation; how many folds it is of where one lacks it."""
    if found.mean is None:
        return NONE
    return f"{found.mean:.3f}" if found.sd is None else f"{found.mean:.3f} ± {found.sd:.3f}"


def _three(metrics: LabelMetrics) -> str:
    found = (metrics.micro["f1"], metrics.macro["f1"], metrics.labels["covid19"].metrics["f1"])
    return "; ".join(with_bounds(metric) for metric in found)
