"""``discern evaluate``: the shipped experts on films whose labels are known, through the serving path."""

import argparse
import hashlib
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tqdm import tqdm

from app.bootstrap import open_services
from app.cli.exit_codes import OK, SOME_FAILED
from app.codecs.evaluation_page import evaluation_page, with_bounds
from app.services.evaluation.answers import ask, passes, paths_of
from app.services.evaluation.cases import ALL_PARTS, read_cases
from app.services.evaluation.measuring import Setting, measure
from app.services.evaluation.report import EvaluationReport, ExpertResult
from app.services.evaluation.subjects import ensemble_subjects, subject_of
from app.settings import Settings

if TYPE_CHECKING:
    from app.cli.verbs import Verbs

REPORT_FILE, PAGE_FILE = "report.json", "report.html"
_NAMED: Final = 20


def add_parser(verbs: "Verbs") -> None:
    """Describe the verb."""
    parser = verbs.add_parser("evaluate", help="measure the shipped experts on films with known labels")
    parser.add_argument(
        "manifest",
        type=Path,
        help="CSV: path (relative to it), a column of 1, 0 or -1 (unknown) for every expert's class; optional: dataset"
        " or source, group or patient_id, age_group or age, view, sex, split (docs/evaluate.md)",
    )
    parser.add_argument(
        "--models", type=Path, dest="models_dir", default=argparse.SUPPRESS, help="released models, as --models-dir"
    )
    parser.add_argument("--part", default=ALL_PARTS, help="only rows whose split is this: val, test, …; default all")
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"folder of {REPORT_FILE} and {PAGE_FILE}")
    parser.add_argument("--json", action="store_true", help="print the report as JSON instead of tables")
    parser.add_argument("--limit", type=_count, metavar="N", help="no more than N films, spread over the manifest")
    parser.add_argument("--ensemble", action="store_true", help="measure the ensemble's evaluated labels too")
    parser.add_argument("--workers", type=_count, metavar="N", help="films at once (DISCERN_QUEUE__WORKERS)")
    parser.set_defaults(run=run)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 1 or more")
    return int(text)


def run(parsed: argparse.Namespace, settings: Settings) -> int:
    """Screen every film of the manifest; print, and write, what was measured."""
    if parsed.workers:
        settings = settings.model_copy(update={"queue": settings.queue.model_copy(update={"workers": parsed.workers})})
    if parsed.out:
        parsed.out.mkdir(parents=True, exist_ok=True)  # a folder that cannot be made is no reason to lose the work
    with open_services(settings) as services:
        catalogue = services.catalogue
        subjects = {name: subject_of(catalogue.expert(name).manifest) for pair in passes(catalogue) for name in pair}
        ensemble = ensemble_subjects(catalogue) if parsed.ensemble else {}
        subjects |= {subject.name: subject for subject in ensemble.values()}
        labels = tuple(dict.fromkeys(subject.label for subject in subjects.values()))
        cases = read_cases(parsed.manifest, labels, parsed.part, parsed.limit)
        with tqdm(total=len(cases) * len(passes(catalogue)), unit="film", disable=None) as progress:
            answers = ask(
                services.screening, catalogue, cases, settings.workers, progress.update, ensemble=list(ensemble)
            )
    setting = Setting(
        manifest=parsed.manifest.name,
        manifest_sha256=hashlib.sha256(parsed.manifest.read_bytes()).hexdigest(),
        part=parsed.part,
        workers=settings.workers,
        created=datetime.now(UTC).replace(microsecond=0),
    )
    report = measure(cases, paths_of(cases, parsed.manifest), answers, labels, subjects, setting)
    if parsed.out:
        (parsed.out / REPORT_FILE).write_text(_json(report), encoding="utf-8")
        (parsed.out / PAGE_FILE).write_text(evaluation_page(report), encoding="utf-8")
    print(_json(report) if parsed.json else _text(report), end="")
    for film in report.unanswered[:_NAMED]:
        print(f"{film.path}: {film.code}", file=sys.stderr)
    if len(report.unanswered) > _NAMED:
        print(f"and {len(report.unanswered) - _NAMED} more without an answer", file=sys.stderr)
    return SOME_FAILED if report.unanswered else OK


def _json(report: EvaluationReport) -> str:
    return report.model_dump_json(indent=1, by_alias=True) + "\n"


def _text(report: EvaluationReport) -> str:
    lines = [line for expert in report.experts for line in _table(expert)]
    lines += [
        f"{found.kind:8} {found.code:28} {found.films:6d} films {100 * found.share:6.1f} %"
        for found in (*report.unanswered_codes, *report.flags)
    ]
    timing = report.timing
    if timing.median_ms is not None:
        lines.append(
            f"{timing.median_ms:.0f} ms a film (median), {timing.films_per_s:.1f} films/s with {timing.workers} workers"
        )
    lines.append(f"{report.films} films, {report.films - report.answered} without an answer. {report.notice}")
    return "\n".join(lines) + "\n"


def _table(expert: ExpertResult) -> list[str]:
    points = next((result.points for result in expert.subgroups.values()), ())
    head = f"{'films':26} {'+':>5} {'-':>5}  {'AUROC (95 %)':20} {'ECE':>6}"
    named = "".join(f"  {f'sens @ {point.name}':24} {f'spec @ {point.name}':24}" for point in points)
    lines = [f"{expert.name} {expert.version}: {expert.title}", head + named]
    for name, result in expert.subgroups.items():
        error = "-" if result.calibration_error is None else f"{result.calibration_error:.3f}"
        row = f"{name[:26]:26} {result.positives:5d} {result.negatives:5d}  {with_bounds(result.auroc):20} {error:>6}"
        for point in result.points:
            row += f"  {with_bounds(point.sensitivity):24} {with_bounds(point.specificity):24}"
        lines.append(row.rstrip())
    return [*lines, ""]
