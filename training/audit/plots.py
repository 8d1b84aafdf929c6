"""The card's plots: drawn from numbers, never from a film."""

from collections.abc import Iterator
from io import BytesIO
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from app.domain.discrimination import roc_curve
from app.domain.label_hierarchy import DISPLAY_NAMES
from training.audit.blackout import BlackoutRow, audited_subgroups
from training.audit.criteria import CHANCE, OUTSIDE_LIMIT
from training.audit.full_audit import Audited
from training.audit.outside_lungs import divergence_maps, shares_outside
from training.audit.shortcut_audit import truths_of
from training.evaluate import Measured

ROC, RELIABILITY, SHORTCUTS, OUTSIDE = "roc.png", "reliability.png", "shortcuts.png", "outside_lungs.png"
_DPI: Final = 84
_POINTS: Final = 120
_BINS: Final = 25
_PANEL_INCHES: Final = (4.6, 4.0)
_GREY, _BLUE, _ORANGE, _GREEN, _RED = "#7a7a7a", "#2b6cb0", "#dd6b20", "#2f855a", "#c53030"


def png(figure: Figure) -> bytes:
    """Write a figure as PNG; equal figures give equal bytes."""
    buffer = BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


def draw_plots(audited: Audited) -> dict[str, bytes]:
    """Draw every plot of a card: PNG files by name; plots without data are left out."""
    drawn: dict[str, bytes] = {}
    for name, figure in (
        (ROC, _roc(audited)),
        (RELIABILITY, _reliability(audited)),
        (SHORTCUTS, _shortcuts(audited)),
        (OUTSIDE, _outside(audited)),
    ):
        if figure is not None:
            drawn[name] = png(figure)
    return drawn


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """Make up to three panels a row."""
    across = min(3, count)
    down = -(-count // across)
    figure = Figure(figsize=(_PANEL_INCHES[0] * across, _PANEL_INCHES[1] * down), layout="constrained")
    return figure, [figure.add_subplot(down, across, k + 1) for k in range(count)]


def _title(label: str) -> str:
    return DISPLAY_NAMES.get(label, label)


def _diagonal(panel: Axes) -> None:
    panel.plot([0, 1], [0, 1], color=_GREY, linewidth=0.8, linestyle=":")
    panel.set_xlim(0, 1)
    panel.set_ylim(0, 1)
    panel.set_aspect("equal")


def _roc(audited: Audited) -> Figure | None:
    """ROC curves without the paediatric sources, within each mixed source, and by age."""
    audited_labels = list(audited.report.calibration.labels) if audited.report.calibration is not None else []
    if not audited_labels:
        return None
    figure, panels = _panels(len(audited_labels))
    for panel, label in zip(panels, audited_labels, strict=True):
        truth, scores = truths_of(audited.films, label), audited.probabilities[:, audited.subject.labels.index(label)]
        known = np.where(np.isnan(scores), np.nan, truth)
        _diagonal(panel)
        for name, where in audited_subgroups(audited.films, known).items():
            chosen = where & ~np.isnan(known)
            curve = roc_curve(known[chosen], scores[chosen]).thinned(_POINTS)
            count = f"{int((known[chosen] == 1).sum())}/{int((known[chosen] == 0).sum())}"
            panel.plot(
                curve.false_positive_share,
                curve.sensitivity,
                linewidth=1.0 if name == "pooled" else 1.6,
                linestyle="--" if name == "pooled" else "-",
                label=f"{name} ({count})",
            )
        panel.set_title(_title(label), fontsize=10)
        panel.set_xlabel("1 - specificity", fontsize=8)
        panel.set_ylabel("sensitivity", fontsize=8)
        panel.tick_params(labelsize=7)
        panel.legend(fontsize=6.5, loc="lower right", title="films (+/-)", title_fontsize=6.5)
    return figure


def _reliability(audited: Audited) -> Figure | None:
    """Share of positives against the probability, in bins of equal mass."""
    quality = audited.report.calibration
    if quality is None or not any(entry.bins for entry in quality.labels.values()):
        return None
    figure, panels = _panels(len(quality.labels))
    for panel, (label, entry) in zip(panels, quality.labels.items(), strict=True):
        _diagonal(panel)
        panel.plot(
            [part.probability for part in entry.bins],
            [part.frequency for part in entry.bins],
            color=_BLUE,
            marker="o",
            markersize=3.5,
            linewidth=1.2,
        )
        films = entry.bins[0].films if entry.bins else 0
        panel.set_title(f"{_title(label)}, {len(entry.bins)} bins of about {films} films", fontsize=9)
        panel.set_xlabel("calibrated probability", fontsize=8)
        panel.set_ylabel("share that was positive", fontsize=8)
        panel.tick_params(labelsize=7)
    return figure


def _bar(panel: Axes, at: float, measured: Measured, colour: str, width: float, name: str | None) -> None:
    if measured.value is None:
        return
    low, high = measured.low, measured.high
    error = (
        None if low is None or high is None else [[max(0.0, measured.value - low)], [max(0.0, high - measured.value)]]
    )
    panel.bar(
        at,
        measured.value,
        width,
        color=colour,
        yerr=error,
        label=name,
        error_kw={"elinewidth": 0.8, "capsize": 2, "ecolor": "#333333"},
    )


def _bars_of(row: BlackoutRow | None, cue: Measured | None) -> Iterator[tuple[str, str, Measured]]:
    if row is not None:
        yield "as it is", _BLUE, row.untouched
        yield "only lungs", _GREEN, row.only_lungs
        yield "lungs blacked out", _RED, row.lungs_blacked_out
    if cue is not None:
        yield "trivial cues, no anatomy", _GREY, cue


def _shortcuts(audited: Audited) -> Figure | None:
    """AUROC as it is, with only lungs, without lungs, and of trivial cues, by subgroup."""
    found = audited.report.shortcuts
    if found is None or not found.labels:
        return None
    figure, panels = _panels(len(found.labels))
    named: set[str] = set()
    for panel, (label, entry) in zip(panels, found.labels.items(), strict=True):
        rows = entry.blackout or {}
        cues = entry.trivial_cues.subgroups if entry.trivial_cues is not None else {}
        names = list(dict.fromkeys((*rows, *cues)))
        for k, name in enumerate(names):
            cue = cues[name].auroc if name in cues else None
            for place, (kind, colour, measured) in enumerate(_bars_of(rows.get(name), cue)):
                _bar(panel, k + 0.2 * (place - 1.5), measured, colour, 0.18, None if kind in named else kind)
                named.add(kind)
        panel.axhline(CHANCE, color=_GREY, linewidth=0.8, linestyle=":")
        panel.set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names], fontsize=6.5)
        panel.set_ylim(0, 1)
        panel.set_ylabel("AUROC (95 %)", fontsize=8)
        panel.tick_params(axis="y", labelsize=7)
        panel.set_title(_title(label), fontsize=10)
    figure.legend(fontsize=6.5, loc="outside lower center", ncols=4)
    return figure


def _outside(audited: Audited) -> Figure | None:
    """How much of each film's map lies outside the lungs."""
    found = audited.report.shortcuts
    measured = found.labels if found is not None else {}
    entries = {label: entry.outside_lungs for label, entry in measured.items() if entry.outside_lungs is not None}
    if not entries:
        return None
    figure, panels = _panels(len(entries))
    bins = [k / _BINS for k in range(_BINS + 1)]
    flat = [np.ones(audited.scan.cam.shape[2:], np.float32)] * len(audited.films)
    for panel, label in zip(panels, entries, strict=True):
        truth = truths_of(audited.films, label)
        plane = audited.subject.map_index(audited.subject.labels.index(label))
        kinds = [("CAM, positive films", _BLUE, shares_outside(audited.scan, list(audited.scan.cam[:, plane])))]
        if entries[label].addk is not None and audited.partner is not None:
            maps = divergence_maps(audited.scan, plane, audited.partner.scan, audited.partner.subject.map_index(0))
            kinds.append(("ADDK, positive films", _ORANGE, shares_outside(audited.scan, maps)))
        kinds.append(("a map that is the same everywhere", _GREY, shares_outside(audited.scan, flat)))
        for name, colour, shares in kinds:
            chosen = shares[(truth == 1) & ~np.isnan(shares)]
            panel.hist(chosen, bins, color=colour, histtype="step", linewidth=1.5, label=name)
        panel.axvline(OUTSIDE_LIMIT, color=_RED, linewidth=0.8, linestyle=":")
        panel.set_title(_title(label), fontsize=10)
        panel.set_xlabel("share of the map's mass outside the lungs", fontsize=8)
        panel.set_ylabel("films", fontsize=8)
        panel.tick_params(labelsize=7)
        panel.legend(fontsize=6.5)
    return figure
