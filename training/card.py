"""The model card: what a network is for, what it was made of, and every number, good or bad."""

from collections.abc import Sequence
from typing import Any, Final

from app.domain.label_hierarchy import DISPLAY_NAMES
from app.domain.subgroups import POOLED
from app.inference.manifest import Manifest, OperatingPointEntry, RatesEntry
from training import card_text
from training.audit.plots import ROC
from training.audit.report import Report
from training.averages import METRICS
from training.card_audit import audit_sections, in_short, picture, verdict_section
from training.card_tables import NONE, number, table, with_bounds
from training.evaluate import Discrimination, Measured, SubgroupResult

CHANCE: Final = 0.5
FEW: Final = 30
_CROPS: Final = {
    "film": "the whole film",
    "lungs": "the rectangle around both lungs and {margin:.0%} more on each side",
    "lungs-only": "the rectangle around both lungs and {margin:.0%} more on each side, all but the lungs blacked out",
}


def _name(label: str) -> str:
    return DISPLAY_NAMES.get(label, label)


def _remark(result: SubgroupResult) -> str:
    """Say in a word what is doubtful or disappointing about a row."""
    if result.auroc.value is None:
        return "one class is absent: no AUROC"
    words = []
    if min(result.positives, result.negatives) < FEW:
        words.append("few films of a class")
    if result.auroc.low is not None and result.auroc.low <= CHANCE:
        words.append("**the interval holds chance**")
    return "; ".join(words)


def subgroup_table(rows: dict[str, SubgroupResult]) -> str:
    """Write one label's table: AUROC, then sensitivity and specificity at each operating point, by subgroup."""
    points = next(iter(rows.values())).points
    head = ["films", "n", "patients", "+ / -", "AUROC (95 %)"]
    for point in points:
        head += [f"sens @ {point.name}", f"spec @ {point.name}"]
    head += ["ECE", "Brier", "remark"]
    body = []
    for name, result in rows.items():
        cells: list[object] = [name, result.films, result.patients, f"{result.positives} / {result.negatives}"]
        cells.append(with_bounds(result.auroc))
        for entry in result.points:
            cells += [with_bounds(entry.sensitivity), with_bounds(entry.specificity)]
        cells += [number(result.calibration_error), number(result.brier), _remark(result)]
        body.append(cells)
    return table(head, body)


def _what(manifest: Manifest) -> str:
    if manifest.target is not None:
        return card_text.EXPERT.format(target=_name(manifest.target))
    return card_text.MEMBER.format(count=len(manifest.labels))


def _identity_card(manifest: Manifest) -> str:
    size = manifest.input.size_px
    shapes = "; ".join(f"`{name}` {list(shape)}" for name, shape in manifest.outputs.items())
    return table(
        ("", ""),
        [
            ("name, version", f"{manifest.name} {manifest.version}"),
            (
                "architecture",
                f"{manifest.architecture}; global average pooling and one linear layer, so its maps are exact",
            ),
            (
                "input",
                (
                    f"{_CROPS[manifest.input.crop].format(margin=manifest.input.crop_margin)};"
                    f" {size}x{size} px, {manifest.input.channels} identical channels; longer side to {size} px"
                    f" ({manifest.input.kernel}), never stretched, padded with zeros;"
                    f" intensities by `{manifest.input.intensity}`"
                ),
            ),
            ("measured on", _measured_on(manifest)),
            ("outputs", shapes),
            ("file", f"ONNX opset {manifest.opset}, weights stored as {manifest.precision.storage}, computed in fp32"),
            ("SHA-256 of model.onnx", f"`{manifest.model_sha256}`"),
            ("code", f"`{manifest.code_commit}`"),
            ("made", manifest.created.date().isoformat()),
        ],
    )


def _measured_on(manifest: Manifest) -> str:
    """Name whose films the network was measured on."""
    if manifest.measured_on is None:
        return "not measured"
    words = {"adult": "adults", "paediatric": "children"}
    return " and ".join(words[group] for group in manifest.measured_on.age_groups)


def _training(manifest: Manifest) -> list[str]:
    record: dict[str, Any] = manifest.training  # Any: a record for readers
    recipe = record.get("recipe", {})
    parts = ["## Training\n"]
    if sources := record.get("sources"):
        first: dict[str, int] = next((counts for part in sources.values() for counts in part.values()), {})
        labels = [key for key in first if key not in ("films", "groups")]
        rows = [
            (part, source, counts["films"], counts["groups"], *(counts[label] for label in labels))
            for part, by_source in sources.items()
            for source, counts in by_source.items()
        ]
        parts.append(table(("part", "source", "films", "patient groups", *(f"{_name(v)} +" for v in labels)), rows))
    films = record.get("films", {})
    parts.append(card_text.RUN_FILMS.format(train=films.get("train", "?"), val=films.get("val", "?")))
    if licences := record.get("licences_by_source"):
        stated = [(source, *entry) for source, entries in licences.items() for entry in entries.items()]
        parts.append(card_text.LICENCES)
        parts.append(table(("source", "licence", "films"), stated))
    if recipe:
        parts.append("Recipe:\n")
        parts.append(table(("setting", "value"), [(key, f"`{value}`") for key, value in recipe.items()]))
    parts.append(_curves(record))
    return parts


def _curves(record: dict[str, Any]) -> str:  # Any: a record for readers
    curves = record.get("curves", [])
    if not curves:
        return "No curves were recorded.\n"
    best = min(int(record.get("best_epoch", len(curves))), len(curves))
    rule = record.get("recipe", {}).get("select_by", "")
    shown = sorted({0, len(curves) // 4, len(curves) // 2, 3 * len(curves) // 4, best - 1, len(curves) - 1})
    rows = [
        (
            f"{k + 1}{' (chosen)' if k == best - 1 else ''}",
            curves[k]["size_px"],
            number(curves[k]["loss"], 4),
            number(curves[k]["validation"], 4),
        )
        for k in shown
    ]
    head = ("epoch", "input px", "training loss", f"validation ({rule})")
    return f"{len(curves)} epochs; all of them are in the manifest.\n\n" + table(head, rows)


def _points(manifest: Manifest) -> list[str]:
    parts = [
        "## Calibration and operating points\n",
        "Chosen on validation, with patient-bootstrap 95 % intervals; they belong to this version.\n",
    ]
    used: dict[str, Any] = manifest.evaluation.get("operating_points_on", {})
    rows = []
    for label, points in manifest.operating_points.items():
        calibration = manifest.calibration_of(label)
        method = manifest.calibration[label].method if label in manifest.calibration else "none"
        on = used.get(label)
        rows += [
            (
                _name(label),
                point.name,
                number(point.threshold, 4),
                _rate(point, "sensitivity"),
                _rate(point, "specificity"),
                f"{on['positives']} / {on['negatives']}" if on else NONE,
                f"{method}: {calibration.slope:.3f}·x {calibration.intercept:+.3f}",
            )
            for point in points
        ]
    head = ("label", "operating point", "threshold", "sensitivity", "specificity", "+ / -", "calibration of the logit")
    parts += [table(head, rows), *_ages(manifest)]
    for label, on in used.items():
        if on["sources_left_out"]:
            sources = ", ".join(on["sources_left_out"])
            parts.append(card_text.LEFT_OUT.format(label=_name(label), sources=sources))
    unevaluated = [entry for entry in manifest.labels if not entry.evaluated]
    if unevaluated:
        parts.append("Labels that are shown but **not evaluated** (threshold 0.5, uncalibrated):\n")
        reasons = [(_name(entry.name), entry.reason or "") for entry in unevaluated]
        parts.append(table(("label", "reason"), reasons))
    return parts


def _rate(entry: OperatingPointEntry | RatesEntry, which: str) -> str:
    value = entry.sensitivity if which == "sensitivity" else entry.specificity
    bounds = entry.sensitivity_interval if which == "sensitivity" else entry.specificity_interval
    low, high = bounds if bounds is not None else (None, None)
    return with_bounds(Measured(value=value, low=low, high=high))


def _ages(manifest: Manifest) -> list[str]:
    """Print every operating point for adults and for children alone."""
    rows = [
        (_name(label), point.name, age, f"{rates.positives} / {rates.negatives}", _rate(rates, "sensitivity"),
         _rate(rates, "specificity"))
        for label, points in manifest.operating_points.items()
        for point in points
        for age, rates in (("adults", point.adults), ("children", point.children))
        if rates is not None
    ]  # fmt: skip
    if not rows:
        return []
    head = ("label", "operating point", "films", "+ / -", "sensitivity", "specificity")
    return ["Adults and children apart, at the same thresholds:\n", table(head, rows)]


def _evaluation(manifest: Manifest, report: Report, evaluation: Discrimination, plots: Sequence[str]) -> list[str]:
    reads = len(manifest.evaluation.get("test_reads", []))
    parts = [
        f"## Evaluation on part `{report.part}`\n",
        card_text.EVALUATED.format(films=evaluation.films, refused=evaluation.refused, reads=reads),
    ]
    if report.part == "val":
        parts.append(card_text.ON_VALIDATION)
    parts += picture(plots, ROC, "ROC curves")
    if evaluation.first_trial:
        parts.append("### Beside the project's first trial (AUROC, part test)\n")
        rows: list[tuple[object, ...]] = []
        for entry in evaluation.first_trial:
            value = entry.auroc.value
            verdict = NONE if value is None else ("better" if value > entry.first_trial else "**not better**")
            rows.append((_name(entry.label), entry.subgroup, entry.first_trial, with_bounds(entry.auroc), verdict))
        parts.append(table(("label", "films", "first trial", "this network", ""), rows))
    if evaluation.averages is not None:
        parts.append("### Precision, recall, F1, specificity at the default operating points\n")
        rows = [
            (_name(label), *(with_bounds(entries[metric]) for metric in METRICS))
            for label, entries in evaluation.averages.labels.items()
        ]
        rows.append(("**macro**", *(with_bounds(evaluation.averages.macro[metric]) for metric in METRICS)))
        rows.append(("**micro**", *(with_bounds(evaluation.averages.micro[metric]) for metric in METRICS)))
        parts.append(table(("evaluated label", *METRICS), rows))
    is_evaluated = {entry.name: entry.evaluated for entry in manifest.labels}
    silent = []
    for label, results in evaluation.labels.items():
        pooled = results.get(POOLED)
        if pooled is None or pooled.positives == 0:
            silent.append((label, pooled))
            continue
        parts.append(f"### {_name(label)}{'' if is_evaluated[label] else ' (not evaluated: too few films)'}\n")
        parts.append(subgroup_table(results))
    if silent:
        parts.append("### Labels without a positive film\n")
        parts.append(card_text.NO_POSITIVE)
        parts.append(table(("label", "films", "specificity (95 %)"), [_silent_row(*entry) for entry in silent]))
    return parts


def _silent_row(label: str, pooled: SubgroupResult | None) -> tuple[object, ...]:
    """Write the row of a label that has no positive film; ``pooled`` is None where no film states the label."""
    if pooled is None:
        return _name(label), 0, NONE
    return _name(label), pooled.films, with_bounds(pooled.points[0].specificity)


def _gates(manifest: Manifest) -> list[str]:
    parity: dict[str, float] = manifest.evaluation.get("parity", {})
    rows: list[tuple[str, str, str]] = [
        (f"ONNX Runtime against PyTorch, `{name}`: largest difference, relative", f"{parity[name]:.1e}", "1e-4")
        for name in ("logits", "features", "cam", "region")
        if name in parity
    ]
    if "identity" in parity:
        measured = f"{parity['identity']:.1e}"
        rows.append(("identity: largest abs(mean(cam) + b - logit), in logits", measured, "1e-4 of the logit"))
    limits = {
        "max_logit_change": "≤ 0.05",
        "min_cam_cosine": "≥ 0.9999",
        "max_decision_flip_share": "≤ 0.005",
        "max_auroc_change": "< 0.001",
        "max_region_change": "≤ 0.02",
        "max_region_pixel_flip_share": "≤ 0.02",
        "finite": "1",
        "films": NONE,
    }
    gates = [
        (f"fp16 against fp32 weights: {name}", f"{value:.6g}", limits.get(name, NONE))
        for name, value in manifest.precision.gates.items()
    ]
    compared, storage = int(parity.get("films", 0)), manifest.precision.storage
    return [
        "## Gates\n",
        f"Parity over {compared} inputs, synthetic phantoms among them. Weights are stored as **{storage}**.\n",
        table(("check", "measured", "limit"), [*rows, *gates]),
    ]


def model_card(manifest: Manifest, report: Report | None, plots: Sequence[str] = ()) -> str:
    """Write the card of one model version.

    Parameters
    ----------
    manifest
        Of the version, with its ``evaluation``.
    report
        None where the network was exported without an audit; the card then says so.
    plots
        Names of the plots that lie beside the card.

    Returns
    -------
    str
        Markdown.
    """
    parts = [
        f"# {manifest.title}, version {manifest.version}\n",
        "**Research use. Not for diagnostic use.**\n",
        _what(manifest),
        _identity_card(manifest),
        "## Use\n",
        card_text.INTENDED,
    ]
    if report is None:
        parts += ["## Evaluation\n", card_text.NOT_EVALUATED]
    else:
        parts += [*in_short(report), *verdict_section(report.verdict), card_text.HOW_TO_READ]
        if report.discrimination is not None:
            parts += _evaluation(manifest, report, report.discrimination, plots)
    parts += _points(manifest)
    if report is not None:
        parts += audit_sections(report, plots)
    parts += ["## Known biases and limits\n", card_text.BIASES]
    parts += _training(manifest)
    parts += _gates(manifest)
    return "\n".join(parts).rstrip() + "\n"
