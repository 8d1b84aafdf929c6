"""A run's report: one HTML page that stands alone, with the recipe, the curves, and maps of validation films."""

import base64
import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from app.domain.activation_map import interpolate, positive_share
from app.domain.calibration import sigmoid
from app.domain.discrimination import auroc
from app.domain.label_hierarchy import DISPLAY_NAMES
from training.audit.plots import png
from training.batches import to_batch
from training.datasets import Film
from training.export import TrainedRun, load_run
from training.loading import load_inputs
from training.lung_finder import LungFinder
from training.networks import ExplainedNetwork
from training.train import targets_of

REPORT_FILE: Final = "report.html"
_FEWEST_OF_A_CLASS: Final = 10
_ACROSS: Final = 4
_LABELS_SHOWN: Final = 3
_BATCH: Final = 32
_MAPS_WORDS: Final = (
    "<p>Each film as the network was fed with it; coloured where its class activation map speaks for the label, up to "
    "its largest cell. A map shows what a network used, not where a disease is.</p>"
)
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1a202c}"
    "table{border-collapse:collapse;margin:1rem 0}"
    "td,th{border-bottom:1px solid #cbd5e0;padding:.2rem .8rem;text-align:left}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}img{max-width:100%}"
)


@dataclass(frozen=True, slots=True)
class ShownMap:
    """One film as the network was fed with it, and where its evidence lies.

    Attributes
    ----------
    film
        ``(S, S)`` in 0..1.
    evidence
        ``(S, S)`` in 0..1: positive cells over the largest.
    title
        What is known and what was said.
    """

    film: NDArray[np.float32]
    evidence: NDArray[np.float64]
    title: str


def write_run_report(directory: Path, films: Sequence[Film], lungs: LungFinder | None = None, shown: int = 8) -> Path:
    """Write ``report.html`` of a finished run.

    Parameters
    ----------
    directory
        Of the run.
    films
        Its validation films. Pictures of some of them stand in the report: it belongs where the films may be.
    lungs
        Finds the lungs, for recipes that need them.
    shown
        Films to show maps of: half of them positive, the most certain of either kind first.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ExportError
        If the run is not finished.
    """
    run = load_run(directory)
    answered = _answers(run, films, lungs)
    sections = [
        f"<p>{len(films)} validation films. Research use; not for diagnostic use.</p>",
        "<h2>Curves</h2>", _picture(curves_figure(run.record["curves"]), "curves"),
        "<h2>Validation of the kept epoch</h2>",
        _table(("label", "films", "positive", "negative", "AUROC"), _discrimination(answered)),
        "<h2>Maps of validation films</h2>", _MAPS_WORDS,
        *(
            _picture(maps_figure(_chosen(answered, label, shown)), f"maps for {label}")
            for label in _shown_labels(answered)
        ),
        "<h2>Recipe</h2>", _table(("setting", "value"), [(k, str(v)) for k, v in run.record["recipe"].items()]),
    ]  # fmt: skip
    path = directory / REPORT_FILE
    path.write_text(_page(f"Run {directory.name}: {run.recipe.architecture}", sections), encoding="utf-8")
    return path


def curves_figure(curves: Sequence[Mapping[str, float | None]]) -> Figure:
    """Draw loss and every measure of validation over the epochs, a panel each."""
    names = [name for name in dict.fromkeys(k for row in curves for k in row) if name not in ("epoch", "size_px")]
    figure = Figure(figsize=(4.2 * len(names), 3.2), layout="constrained")
    for k, name in enumerate(names):
        panel = figure.add_subplot(1, len(names), k + 1)
        values = [row.get(name) for row in curves]
        panel.plot(range(1, len(curves) + 1), [math.nan if v is None else v for v in values], marker="o", markersize=3)
        panel.set_title(name.replace("_", " "))
        panel.set_xlabel("epoch")
    return figure


def maps_figure(shown: Sequence[ShownMap]) -> Figure:
    """Draw films with their evidence, a few a row."""
    rows = max(1, -(-len(shown) // _ACROSS))
    figure = Figure(figsize=(3 * _ACROSS, 3.3 * rows), layout="constrained")
    for k, each in enumerate(shown):
        panel = figure.add_subplot(rows, _ACROSS, k + 1)
        panel.imshow(each.film, cmap="gray", vmin=0, vmax=1)
        panel.imshow(each.evidence, cmap="inferno", alpha=0.55 * each.evidence, vmin=0, vmax=1)
        panel.set_title(each.title, fontsize=8)
        panel.set_axis_off()
    return figure


@dataclass(frozen=True, slots=True)
class _Answered:
    """Validation films with what a run's network says of them.

    ``inputs (N, S, S)``, ``targets`` and ``scores (N, K)``, and the maps of the labels ``(N, K, h, w)``.
    """

    labels: tuple[str, ...]
    films: Sequence[Film]
    inputs: NDArray[np.float32]
    targets: NDArray[np.float32]
    scores: NDArray[np.float64]
    maps: NDArray[np.float64]


def _answers(run: TrainedRun, films: Sequence[Film], lungs: LungFinder | None) -> _Answered:
    inputs = load_inputs(films, run.specification, lungs if run.recipe.needs_lungs else None)
    explained = ExplainedNetwork(run.network).eval()
    expert = run.recipe.kind == "expert"
    scores, maps = [], []
    with torch.inference_mode():
        for start in range(0, len(inputs), _BATCH):
            logits, _, cam = explained(to_batch(inputs[start : start + _BATCH]))
            scores.append((logits[:, 1:] - logits[:, :1] if expert else logits).double().numpy())
            maps.append((cam[:, 1:] if expert else cam).double().numpy())
    targets = targets_of(list(films), run.recipe)
    return _Answered(run.labels, films, inputs, targets, np.concatenate(scores), np.concatenate(maps))


def _discrimination(answered: _Answered) -> list[tuple[str, ...]]:
    """AUROC of every label, pooled and within every source that holds ten films of each class."""
    sources = np.array([film.source for film in answered.films])
    everywhere = np.ones(len(sources), bool)
    rows = []
    for column, label in enumerate(answered.labels):
        known = ~np.isnan(answered.targets[:, column])
        for name, part in {"": everywhere, **{source: sources == source for source in np.unique(sources)}}.items():
            truth, score = answered.targets[known & part, column] == 1, answered.scores[known & part, column]
            fewest = min(truth.sum(), (~truth).sum())
            if fewest >= (_FEWEST_OF_A_CLASS if name else 1):
                title = f"{DISPLAY_NAMES[label]}{f', within {name}' * bool(name)}"
                counts = (truth.size, truth.sum(), (~truth).sum())
                rows.append((title, *(str(int(n)) for n in counts), f"{auroc(truth.astype(np.float64), score):.3f}"))
    return rows


def _shown_labels(answered: _Answered) -> list[str]:
    """The expert's target, or the three labels with the most positives."""
    order = np.argsort(-(answered.targets == 1).sum(axis=0), kind="stable")
    return [answered.labels[k] for k in order[:_LABELS_SHOWN] if (answered.targets[:, k] == 1).any()]


def _chosen(answered: _Answered, label: str, count: int) -> list[ShownMap]:
    """Half positive films, half negative ones, the most certain answers first."""
    column = answered.labels.index(label)
    scores, targets = answered.scores[:, column], answered.targets[:, column]
    order = np.argsort(-scores)
    positives = [k for k in order if targets[k] == 1][: -(-count // 2)]
    negatives = [k for k in order[::-1] if targets[k] == 0][: count - len(positives)]
    chosen = []
    for k in (*positives, *negatives):
        film = answered.inputs[k]
        extent = (0.0, 0.0, float(film.shape[1]), float(film.shape[0]))
        evidence = interpolate(positive_share(answered.maps[k, column]), extent, extent, *film.shape)
        truth = "positive" if targets[k] == 1 else "negative"
        title = f"{DISPLAY_NAMES[label]} {truth}, before calibration {sigmoid(scores[k]):.2f}"
        chosen.append(ShownMap(film, np.clip(evidence, 0.0, 1.0), title))
    return chosen


def _picture(figure: Figure, what: str) -> str:
    return f'<img alt="{html.escape(what)}" src="data:image/png;base64,{base64.b64encode(png(figure)).decode()}">'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def cell(text: str) -> str:
        number = text.replace(".", "", 1).isdigit()
        return f"<td{' class=n' * number}>{html.escape(text)}</td>"

    titles = "".join(f"<th>{html.escape(text)}</th>" for text in head)
    lines = ["".join(map(cell, row)) for row in rows]
    return f"<table><tr>{titles}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _page(title: str, sections: Sequence[str]) -> str:
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
    return f"{head}<style>{_STYLE}</style><h1>{html.escape(title)}</h1>{''.join(sections)}</html>\n"
