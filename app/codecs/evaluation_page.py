"""An evaluation as one HTML file: tables, plots, and how to read them. Nothing in it is fetched from anywhere."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Final

from app.codecs.plots import Line, Mark, unit_square
from app.domain.calibration import ECE_BINS
from app.domain.patient_bootstrap import ROUNDS
from app.domain.subgroups import POOLED
from app.services.evaluation.report import (
    Decisions,
    EvaluationReport,
    ExpertResult,
    FilmsOfCode,
    Measured,
    SubgroupResult,
)

UNDEFINED: Final = "undefined"
FEW: Final = 30
CHANCE: Final = 0.5
_FILMS_A_BIN: Final = 5
_LISTED: Final = 200

_STYLE: Final = """
body { font: 14px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff; margin: 2rem auto; max-width: 1500px;
  padding: 0 1.2rem }
h1 { font-size: 1.45rem; margin: 0 }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; border-bottom: 1px solid #ccc; padding-bottom: .2rem }
h3 { font-size: 1rem; margin: 1.3rem 0 .4rem }
.notice { color: #8a3b00; font-weight: 600 }
.plots { display: flex; flex-wrap: wrap; gap: 1.5rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .55rem; border-bottom: 1px solid #e2e2e2; text-align: right; white-space: nowrap }
th { vertical-align: bottom; color: #444; font-weight: 600; white-space: normal }
th:first-child, td:first-child, td.words { text-align: left }
tr.pooled td { font-weight: 600 }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem }
dt { color: #555 }
dd { margin: 0 }
@media print { body { margin: 0; max-width: none } table { font-size: .7rem } }
"""

_READING: Final = f"""
AUROC: the chance that a positive film gets a higher probability than a negative one; 0.5 is guessing. Intervals are of
95 % and draw patients, not films, with replacement ({ROUNDS} rounds); a share of 0 or 1 has Wilson's interval.

A pooled number says little where sources differ in more than the disease: an expert that knows the source from the
film's looks scores well on all of them together. Read the rows within one source first.

Sensitivity and specificity are of the answered films at each stored operating point: positive at and above its
threshold. "Missed if unanswered" counts every positive film without an answer as missed.

The table of decisions says what the service answered at its default operating point: indeterminate where the
probability lies in the point's band or the film is outside what the expert was measured on.

ECE: the mean gap between probability and frequency over {ECE_BINS} bins of equal mass; Brier: the mean squared
difference. Both depend on how common the disease is among these films.
"""


def evaluation_page(report: EvaluationReport) -> str:
    """Write a report as HTML.

    Parameters
    ----------
    report
        The evaluation.

    Returns
    -------
    str
        A whole document.
    """
    title = f"Evaluation on {report.manifest}, part {report.part}"
    body = [f"<h1>{escape(title)}</h1>", f'<p class="notice">{escape(report.notice)}</p>', _summary(report)]
    for expert in report.experts:
        body += _expert(expert, has_unanswered=report.answered < report.films)
    body += _films(report)
    paragraphs = (f"<p>{escape(words)}</p>" for words in _READING.strip().split("\n\n"))
    body += ["<h2>How to read this</h2>", *paragraphs]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def with_bounds(estimate: Measured) -> str:
    """Write a value and its interval."""
    if estimate.value is None:
        return UNDEFINED
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ({estimate.low:.3f}-{estimate.high:.3f})"


def remark(result: SubgroupResult) -> str:
    """Say in a word what is doubtful or disappointing about a row."""
    if result.auroc.value is None:
        return "one class is absent"
    words = []
    if min(result.positives, result.negatives) < FEW:
        words.append("few films of a class")
    if result.auroc.low is not None and result.auroc.low <= CHANCE:
        words.append("the interval holds chance")
    return "; ".join(words)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]], words: int | None = None) -> str:
    """Write a table; the column ``words`` is set to the left, as the first one is."""
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    for row in rows:
        cells = (f"<td{' class=words' * (k == words)}>{escape(str(cell))}</td>" for k, cell in enumerate(row))
        lines.append(f"<tr{' class=pooled' * (row[0] == POOLED)}>{''.join(cells)}</tr>")
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def _summary(report: EvaluationReport) -> str:
    share = report.answered / report.films
    sources = ", ".join(f"{source} {films}" for source, films in report.sources.items())
    models = "; ".join(f"{each.name} {each.version} (SHA-256 {each.model_sha256[:12]}…)" for each in report.experts)
    timing = report.timing
    spent = [f"{timing.films_per_s:.1f} films/s with {timing.workers} workers"]
    if timing.median_ms is not None and timing.p95_ms is not None:
        stages = ", ".join(f"{stage} {value:.1f}" for stage, value in timing.stages_ms.items())
        spent.append(f"median {timing.median_ms:.0f} ms a film, 95 % below {timing.p95_ms:.0f} ms (mean: {stages})")
    facts = (
        ("Films", f"{report.films}, {report.answered} of them answered ({100 * share:.1f} %)"),
        ("Sources", sources),
        ("Experts", models),
        ("Manifest", f"{report.manifest}, SHA-256 {report.manifest_sha256[:12]}…"),
        ("Made", report.created.strftime("%Y-%m-%d %H:%M UTC")),
        ("Speed", "; ".join(spent)),
    )
    return "<dl>" + "".join(f"<dt>{escape(term)}</dt><dd>{escape(words)}</dd>" for term, words in facts) + "</dl>"


def _expert(expert: ExpertResult, *, has_unanswered: bool) -> list[str]:
    parts = [f"<h2>{escape(expert.title)}: {escape(expert.name)} {escape(expert.version)}</h2>"]
    if not expert.subgroups:
        return [*parts, f"<p>No film of this evaluation has a label {escape(expert.label)}.</p>"]
    if expert.roc or expert.reliability:
        parts += ['<div class="plots">', *_plots(expert), "</div>"]
    parts += ["<h3>By subgroup</h3>", _subgroups(expert, has_unanswered)]
    parts += ["<h3>Decisions as served</h3>", _decisions(expert)]
    if expert.outside_lungs:
        rows = [
            (name, q.films, *(f"{value:.2f}" for value in (q.q05, q.q25, q.median, q.q75, q.q95)))
            for name, q in expert.outside_lungs.items()
        ]
        parts.append("<h3>Share of the map's evidence outside the lungs</h3>")
        parts.append(_table(("films", "n", "5 %", "25 %", "median", "75 %", "95 %"), rows))
    if expert.map_flags:
        parts += ["<h3>Flags of its maps</h3>", _table(("flag", "films"), expert.map_flags.items())]
    return parts


def _plots(expert: ExpertResult) -> Iterator[str]:
    colours = {name: number for number, name in enumerate(expert.subgroups)}
    if expert.roc:
        yield _roc(expert, colours)
    if expert.reliability:
        yield _reliability(expert, colours)


def _roc(expert: ExpertResult, colours: Mapping[str, int]) -> str:
    lines = [
        Line(
            f"{name}: AUROC {with_bounds(expert.subgroups[name].auroc)}",
            curve.false_positive_share,
            curve.sensitivity,
            colours[name],
            strong=name == POOLED,
        )
        for name, curve in expert.roc.items()
    ]
    marks = [
        Mark(point.name, 1.0 - point.specificity.value, point.sensitivity.value)
        for point in expert.subgroups[POOLED].points
        if point.specificity.value is not None and point.sensitivity.value is not None
    ]
    return unit_square(f"ROC: {expert.name}", "1 - specificity", "sensitivity", lines, marks)


def _reliability(expert: ExpertResult, colours: Mapping[str, int]) -> str:
    lines = []
    for name, points in expert.reliability.items():
        if name == POOLED or min(point.films for point in points) >= _FILMS_A_BIN:
            error = expert.subgroups[name].calibration_error
            words = f"{name}: ECE {error:.3f}" if error is not None else name
            spans = [(point.low, point.high) for point in points] if name == POOLED else []
            x, y = [point.probability for point in points], [point.frequency for point in points]
            lines.append(Line(words, x, y, colours[name], strong=name == POOLED, dots=True, spans=spans))
    return unit_square(f"Reliability: {expert.name}", "probability that was given", "share that was positive", lines)


def _subgroups(expert: ExpertResult, has_unanswered: bool) -> str:
    points = expert.subgroups[POOLED].points
    head = ["films", "n", "patients", "+ / -", "AUROC (95 %)"]
    for point in points:
        head += [f"sensitivity @ {point.name}", f"specificity @ {point.name}"]
        head += ["… missed if unanswered"] * has_unanswered
    rows = []
    for name, result in expert.subgroups.items():
        cells: list[object] = [name, result.films, result.patients, f"{result.positives} / {result.negatives}"]
        cells.append(with_bounds(result.auroc))
        for found in result.points:
            cells += [with_bounds(found.sensitivity), with_bounds(found.specificity)]
            cells += [with_bounds(found.sensitivity_with_misses)] * has_unanswered
        cells += [_number(result.calibration_error), _number(result.brier), remark(result)]
        rows.append(cells)
    head += ["ECE", "Brier", "remark"]
    return _table(head, rows, words=len(head) - 1)


def _decisions(expert: ExpertResult) -> str:
    def cells(said: Decisions) -> list[int]:
        return [said.positive, said.indeterminate, said.negative, said.unanswered]

    kinds = ("positive", "indeterminate", "negative", "no answer")
    head = ["films", *(f"+ {kind}" for kind in kinds), *(f"- {kind}" for kind in kinds)]
    rows = [(name, *cells(each.of_positives), *cells(each.of_negatives)) for name, each in expert.subgroups.items()]
    return _table(head, rows)


def _films(report: EvaluationReport) -> list[str]:
    parts = ["<h2>Films without an answer, and flags</h2>"]
    if not report.unanswered:
        parts.append("<p>Every film was answered.</p>")
    else:
        labels = list(report.unanswered[0].labels)
        counts = ", ".join(
            f"{sum(film.labels[label] == 1 for film in report.unanswered)} positive for {label}" for label in labels
        )
        parts.append(f"<p>{len(report.unanswered)} films have no answer: {escape(counts)}.</p>")
        parts.append(_codes("reason", report.unanswered_codes))
        shown = report.unanswered[:_LISTED]
        rows = [(film.path, film.code, *(_label(film.labels[label]) for label in labels)) for film in shown]
        parts.append(f"<details><summary>The films ({len(shown)} of {len(report.unanswered)})</summary>")
        parts += [_table(("film", "reason", *labels), rows), "</details>"]
    parts.append("<h3>Flags of answered films</h3>")
    parts.append(_codes("flag", report.flags) if report.flags else "<p>No film was flagged.</p>")
    return parts


def _codes(what: str, found: Sequence[FilmsOfCode]) -> str:
    rows = [
        (
            each.code,
            each.films,
            f"{100 * each.share:.1f} %",
            ", ".join(f"{source} {films}" for source, films in each.by_source.items()),
        )
        for each in found
    ]
    return _table((what, "films", "of all films", "by source"), rows, words=3)


def _label(value: int | None) -> str:
    return "unknown" if value is None else str(value)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
