"""The model card of the lung network, in plain words and tables."""

from typing import Any

from app.inference.manifest import Manifest


def _percent(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100 * part / whole:.1f} %)" if whole else "none"


def _spread(values: list[float] | None) -> str:
    return f"{values[0]:.3f} ({values[1]:.3f}-{values[2]:.3f})" if values else "not measured"


def lung_card(manifest: Manifest, report: dict[str, Any]) -> str:  # Any: a JSON object
    """Write the card of a released lung network from its report."""
    masks, facts, gates = report["masks"], report["facts"], report["out_of_distribution"]
    held, tuning, verdict = gates["held_out"], gates["tuning"], report["verdict"]
    lines = [
        f"# {manifest.title} {manifest.version}",
        "",
        "Research use. Not for diagnostic use.",
        "",
        (
            "Finds the right and the left lung on a frontal chest radiograph, and says whether a picture is one: the"
            " input gate refuses what is not, and flags films that are inverted, turned, cut off or of a child. Experts"
            " are fed with the part of the film that it finds; maps are measured and regions named by it."
        ),
        "",
        (
            f"- {manifest.training['parameters']:,} parameters, input {manifest.input.size_px} px grey,"
            f" weights stored in {manifest.precision.storage}"
        ),
        (
            f"- trained on {manifest.training['films']} films, {manifest.training['films_with_drawn_masks']}"
            " of them with lungs drawn by people (ieee8023, V7 Labs); the others with its own masks where three"
            " framings agreed"
        ),
        f"- measured on part `{report['part']}`",
        "",
        f"## Verdict: {'passed' if verdict['passed'] else 'failed'}",
        "",
        "|criterion|measured|limit|passed|",
        "|---|---|---|---|",
        *(
            f"|{entry['name']}|{entry['value']:.4g}|{'≥' if entry['at_least'] else '≤'} {entry['limit']:g}"
            f"|{'yes' if entry['passed'] else 'no'}|"
            for entry in verdict["criteria"]
        ),
        "",
        "## Lungs",
        "",
        (
            f"Median over films (5th to 95th percentile); {masks['films_with_masks']} films with masks,"
            f" {masks['films_with_boxes']} with boxes, all of ieee8023 (adults). No mask of a child or of an NIH film"
            " was at hand: there the outlines were looked at, not measured."
        ),
        "",
        "|lung|Dice|IoU of the boxes|",
        "|---|---|---|",
        *(f"|{side}|{_spread(masks['dice'][side])}|{_spread(masks['box_iou'][side])}|" for side in ("right", "left")),
        f"|both|{_spread(masks['dice']['both'])}||",
        "",
        "## What it flags",
        "",
        "Inverted and turned films are copies of the part's films, inverted and turned by 90, 180 and 270 degrees.",
        "",
        "|fact|threshold|flagged among those that are|flagged among those that are not|",
        "|---|---|---|---|",
        *(
            f"|{name}|{fact['threshold']:.3f}|{_rate(fact['flagged_with'])} of {fact['films_with']}"
            f"|{_rate(fact['flagged_without'])} of {fact['films_without']}|"
            for name, fact in facts.items()
        ),
        "",
        "Nearly all children here are of one hospital and 1 to 5 years old; older ones look like adults to it.",
        "",
        "## What the gate refuses",
        "",
        "|pictures|refused|",
        "|---|---|",
        *(f"|films of {source}|{_percent(*counts)}|" for source, counts in held["refused_by_source"].items()),
        f"|non-films it never saw|{_percent(held['refused_non_films'], held['non_films'])}|",
        f"|non-films its thresholds were set with|{_percent(tuning['refused_non_films'], tuning['non_films'])}|",
        "",
        (
            f"Codes of the refused non-films: {_counts(held['non_film_codes'])}. Not refused:"
            f" {', '.join(held['missed_non_films']) or 'none'}."
        ),
        f"Flags of the accepted films: {_counts(held['flags'])}.",
        "",
        (
            "Non-films: CT and MR slices, limbs, knees, lateral chest films, photographs, documents, graphics,"
            " textures. What looks like a chest film and is none (a phantom drawn well enough) can pass."
        ),
        "",
        "## Limits of the gate",
        "",
        (
            "Frontal: midway (in logits) between the lowest validation film and the highest tuning picture. Geometry:"
            " the range of the validation films and half of it beyond."
        ),
        "",
        "|limit|value|",
        "|---|---|",
        *(f"|{name}|{value:.3f}|" for name, value in manifest.gate.items()),
        "",
        "## Licences",
        "",
        *(f"- {licence}" for licence in manifest.licences),
        "",
    ]
    return "\n".join(lines)


def _rate(value: float | None) -> str:
    return "not measured" if value is None else f"{100 * value:.1f} %"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"
