"""The sections of the model card that print the audit, good and bad alike."""

from collections.abc import Iterator, Mapping, Sequence

from app.domain.label_hierarchy import DISPLAY_NAMES
from training import card_text
from training.audit.blackout import BlackoutRow
from training.audit.calibration_error import CalibrationQuality
from training.audit.criteria import mixed_sources, widest
from training.audit.identity import Identity
from training.audit.out_of_distribution import GateReport, OutOfDistribution, Refusals
from training.audit.outside_lungs import OutsideLungs
from training.audit.plots import OUTSIDE, RELIABILITY, SHORTCUTS
from training.audit.report import Report
from training.audit.robustness import Change, Robustness
from training.audit.shortcut_audit import LabelShortcuts, Shortcuts
from training.audit.source_probe import SourcePrediction
from training.audit.trivial_cues import TrivialCues
from training.audit.verdict import Verdict
from training.card_maps import map_sections
from training.card_tables import NONE, number, significant, table, with_bounds


def name_of(label: str) -> str:
    """Name a label for readers."""
    return DISPLAY_NAMES.get(label, label)


def picture(plots: Sequence[str], file: str, caption: str) -> Iterator[str]:
    """Show a plot, if there is one."""
    if file in plots:
        yield f"![{caption}]({file})\n"


def verdict_section(verdict: Verdict) -> list[str]:
    """Print every criterion, kept or not."""
    kept = sum(criterion.passed for criterion in verdict.criteria)
    head = f"**{'Passed' if verdict.passed else 'Failed'}**: {kept} of {len(verdict.criteria)} criteria are kept."
    if not verdict.passed and verdict.accepted:
        head += " It was released all the same, and knowingly."
    rows = [
        (
            criterion.name if criterion.passed else f"**{criterion.name}**",
            criterion.question,
            significant(criterion.measured),
            f"{criterion.sense} {criterion.limit:.4g}",
            "kept" if criterion.passed else "**not kept**",
            criterion.remark,
        )
        for criterion in verdict.criteria
    ]
    return ["## Verdict\n", head + "\n", table(("criterion", "question", "measured", "limit", "", "where"), rows)]


def in_short(report: Report) -> list[str]:
    """Say the few numbers that matter, in sentences, label by label."""
    shortcuts = report.shortcuts
    if shortcuts is None or not shortcuts.labels:
        return []
    told = shortcuts.source_prediction.everything
    source = (
        card_text.SOURCE.format(told=with_bounds(told.balanced_accuracy), chance=f"{told.chance:.2f}")
        if told is not None
        else ""
    )
    parts = ["## In short\n"]
    if len(shortcuts.labels) == 1:
        (entry,) = shortcuts.labels.values()
        return [*parts, "".join(_sentences(entry)) + source]
    for label, entry in shortcuts.labels.items():
        parts += [f"**{name_of(label)}**\n", "".join(_sentences(entry))]
    return [*parts, *([source] if source else [])]


def _sentences(entry: LabelShortcuts) -> Iterator[str]:
    rows = entry.blackout or {}
    cues = entry.trivial_cues.subgroups if entry.trivial_cues is not None else {}

    def reached(name: str) -> dict[str, str]:
        cue = with_bounds(cues[name].auroc) if name in cues else NONE
        return {"auroc": with_bounds(rows[name].untouched), "cues": cue}

    for name in mixed_sources(rows):
        yield card_text.WITHIN.format(source=name.removeprefix("source "), **reached(name))
    if rows:
        across = widest(rows)
        yield card_text.ACROSS.format(films=across, **reached(across))
        yield card_text.LUNGS.format(
            only=with_bounds(rows[across].only_lungs),
            without=with_bounds(rows[across].lungs_blacked_out),
        )
    if entry.outside_lungs is not None:
        cam, flat = entry.outside_lungs.cam["positive"].mean, entry.outside_lungs.flat["positive"].mean
        yield card_text.ATTENTION.format(cam=with_bounds(cam), flat=with_bounds(flat))


def _blackout_table(blackout: Mapping[str, BlackoutRow], cues: TrivialCues | None) -> str:
    rows = []
    for name, row in blackout.items():
        cue = cues.subgroups.get(name) if cues is not None else None
        rows.append(
            (
                name,
                f"{row.positives} / {row.negatives}",
                with_bounds(row.untouched),
                with_bounds(row.only_lungs),
                with_bounds(row.lungs_blacked_out),
                with_bounds(cue.auroc) if cue is not None else NONE,
            )
        )
    return table(("films", "+ / -", "as it is", "only lungs", "lungs blacked out", "trivial cues"), rows)


def _cue_table(cues: TrivialCues) -> str:
    rows = [
        (name, f"{row.positives} / {row.negatives}", with_bounds(row.auroc)) for name, row in cues.subgroups.items()
    ]
    return table(("films", "+ / -", "trivial cues"), rows)


def _outside_table(outside: OutsideLungs) -> str:
    rows = []
    for kind, by_class in (("CAM", outside.cam), ("ADDK", outside.addk or {}), ("the same everywhere", outside.flat)):
        for which, share in by_class.items():
            quantiles = "" if share.quantiles is None else " / ".join(f"{value:.2f}" for value in share.quantiles)
            rows.append((kind, which, share.films, with_bounds(share.mean), quantiles))
    return table(("map", "films", "n", "mean (95 %)", "5 / 25 / 50 / 75 / 95 %"), rows)


def _probe_table(probe: SourcePrediction) -> str:
    found = dict(probe.within)
    if probe.everything is not None:
        found = {"all films": probe.everything, **found}
    rows = [
        (
            name,
            ", ".join(f"{source} {films}" for source, films in entry.sources.items()),
            with_bounds(entry.balanced_accuracy),
            f"{entry.chance:.2f}",
        )
        for name, entry in found.items()
    ]
    return table(("films", "sources", "balanced accuracy (95 %)", "chance"), rows)


def shortcut_section(shortcuts: Shortcuts, plots: Sequence[str]) -> list[str]:
    """Print what is shortcut."""
    parts = ["## Shortcut audit\n", card_text.SHORTCUTS.format(without=shortcuts.films_without_lungs)]
    parts += picture(plots, SHORTCUTS, "AUROC as it is, with only the lungs, without the lungs, and of trivial cues")
    for label, entry in shortcuts.labels.items():
        parts.append(f"### {name_of(label)}: AUROC with and without lungs\n")
        if entry.blackout:
            parts.append(_blackout_table(entry.blackout, entry.trivial_cues))
        elif entry.trivial_cues is not None:
            parts.append(_cue_table(entry.trivial_cues))
        if entry.outside_lungs is not None:
            parts += [
                f"### {name_of(label)}: share of the maps outside the lungs\n",
                _outside_table(entry.outside_lungs),
            ]
    parts += picture(plots, OUTSIDE, "Share of the maps' mass outside the lungs")
    parts += ["### Can the source be told from the features?\n", card_text.SOURCE_PROBE]
    parts.append(_probe_table(shortcuts.source_prediction))
    parts += [f"Not measured: {what}: {why}.\n" for what, why in shortcuts.missing.items()]
    return parts


def _change_row(name: str, change: Change, refused: int | str) -> tuple[object, ...]:
    correlation = f"{number(change.map_correlation)} / {number(change.map_correlation_p05)}"
    return (
        name,
        change.films,
        number(change.median, 4),
        number(change.p95, 4),
        number(change.flips),
        correlation,
        refused,
    )


def robustness_section(robustness: Robustness) -> list[str]:
    """Print what small changes do."""
    parts = ["## Robustness\n", card_text.ROBUSTNESS]
    head = (
        "change",
        "films",
        "|Δp| median",
        "|Δp| 95 %",
        "decisions flipped",
        "map correlation, median / 5 %",
        "refused",
    )
    for label, changes in robustness.perturbations.items():
        rows = [_change_row(name, change, robustness.newly_refused[name]) for name, change in changes.items()]
        if robustness.twin is not None:
            rows.append(_change_row("another seed", robustness.twin[label], ""))
        parts += [f"### {name_of(label)}\n", table(head, rows)]
    parts += [f"Not measured: {what}: {why}.\n" for what, why in robustness.missing.items()]
    return parts


def calibration_section(quality: CalibrationQuality, plots: Sequence[str]) -> list[str]:
    """Print whether probabilities mean what they say."""
    parts = ["## Do the probabilities mean what they say?\n", card_text.CALIBRATION]
    if quality.fitted_here:
        parts.append(card_text.CALIBRATED_HERE)
    parts += picture(plots, RELIABILITY, "Share of positives against the calibrated probability")
    rows = [
        (
            name_of(label),
            name,
            row.films,
            f"{number(row.error)} (chance: {number(row.error_by_chance)})",
            number(row.brier),
            number(row.log_loss),
            " / ".join(
                number(value) for value in (row.error_uncalibrated, row.brier_uncalibrated, row.log_loss_uncalibrated)
            ),
        )
        for label, entry in quality.labels.items()
        for name, row in entry.subgroups.items()
    ]
    head = ("label", "films", "n", "calibration error", "Brier", "log loss", "the same, uncalibrated")
    return [*parts, table(head, rows)]


def identity_section(identity: Identity) -> list[str]:
    """Print the differences that ought to be rounding."""
    rows: list[tuple[object, ...]] = [
        (f"ONNX Runtime against PyTorch, `{name}`: largest difference, relative", f"{value:.1e}", identity.parity_films)
        for name, value in identity.parity.items()
    ]
    rows.append(("abs(mean(cam) + b - score), relative", f"{identity.identity:.1e}", identity.identity_films))
    if identity.golden is not None:
        rows.append(("golden answers repeated, relative", f"{identity.golden:.1e}", "phantoms"))
    return ["## Identity\n", table(("check", "measured", "films"), rows)]


def _refusal_row(name: str, entry: Refusals) -> tuple[object, ...]:
    codes = ", ".join(f"{code} {count}" for code, count in entry.reasons.items())
    flags = ", ".join(f"{flag} {count}" for flag, count in entry.flags.items())
    return name, entry.pictures, with_bounds(entry.refused), codes, flags


def gate_section(found: OutOfDistribution | GateReport) -> list[str]:
    """Print what the input gate refuses, or where that stands."""
    parts = ["## Out of distribution\n"]
    if isinstance(found, GateReport):
        parts.append(
            f"The network is served behind the input gate of {found.lungs_model} {found.lungs_version}, whose report"
            f" (SHA-256 `{found.report_sha256}`) has the refusal rates.\n"
        )
        return parts
    rows = [_refusal_row("pictures that are no films", found.non_films)] if found.non_films is not None else []
    rows += [_refusal_row(f"films: {name}", entry) for name, entry in found.true_films.items()]
    parts.append(table(("pictures", "n", "refused (95 %)", "codes", "flags of those accepted"), rows))
    parts += [f"Not measured: {what}: {why}.\n" for what, why in found.missing.items()]
    return parts


def audit_sections(report: Report, plots: Sequence[str]) -> list[str]:
    """Print every section of the audit but the verdict and the discrimination, which stand first."""
    parts: list[str] = []
    if report.shortcuts is not None:
        parts += shortcut_section(report.shortcuts, plots)
    parts += map_sections(report)
    if report.robustness is not None:
        parts += robustness_section(report.robustness)
    if report.calibration is not None:
        parts += calibration_section(report.calibration, plots)
    if report.out_of_distribution is not None:
        parts += gate_section(report.out_of_distribution)
    if report.identity is not None:
        parts += identity_section(report.identity)
    if report.missing:
        parts += ["## Not measured\n", table(("section", "why"), list(report.missing.items()))]
    return parts
