"""Verbs of ``python -m training`` around a release: ``export``, ``release``, ``evaluate`` and ``compare``."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.inference.artifact import Artifact
    from training.audit.report import Report
    from training.release import Asked


def add_release_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verbs to the command line."""
    export = verbs.add_parser("export", help="write an artefact of a run, without auditing it")
    _add_artifact_arguments(export)
    export.add_argument(
        "--manifest", type=Path, action="append", default=[], help="films for gates, calibration and operating points"
    )
    _add_lungs_argument(export)
    export.set_defaults(run=_export)
    released = verbs.add_parser("release", help="export, calibrate on validation, audit, and write report and card")
    _add_artifact_arguments(released)
    _add_audit_arguments(released)
    released.add_argument(
        "--accept-failed", action="store_true", help="keep a version whose verdict fails; its report says so"
    )
    released.set_defaults(run=_release)
    evaluated = verbs.add_parser("evaluate", help="audit an artefact, or a run that is exported on the way")
    evaluated.add_argument("network", type=Path, help="e.g. models/covid19/1.0.0, or the directory of a run")
    _add_audit_arguments(evaluated)
    evaluated.add_argument("--out", type=Path, help="folder to write; default out/<name>-<version>-<part>")
    evaluated.set_defaults(run=_evaluate)
    compared = verbs.add_parser("compare", help="audit several runs or artefacts on validation, in one table")
    compared.add_argument("networks", type=Path, nargs="+", help="directories of finished runs, or of artefacts")
    compared.add_argument("--manifest", type=Path, action="append", required=True, help="CSV of films; repeatable")
    _add_lungs_argument(compared)
    compared.add_argument(
        "--partner", action="append", default=[], metavar="LABEL=DIR", help="whom an expert's divergence is taken from"
    )
    _add_threads_argument(compared)
    compared.add_argument("--out", type=Path, default=Path("out/compare"), help="writes OUT.md and OUT.json")
    compared.set_defaults(run=_compare)


def _add_artifact_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_dir", type=Path, help="directory of a finished run")
    parser.add_argument("--name", required=True, help="name of the artefact, e.g. covid19")
    parser.add_argument("--version", required=True, help="its version, e.g. 1.0.0")
    parser.add_argument("--models", type=Path, default=Path("models"), help="the models directory")


def _add_audit_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--manifest", type=Path, action="append", required=True, help="CSV of films; repeatable")
    parser.add_argument("--part", choices=("val", "test"), default="val")
    parser.add_argument(
        "--release", action="store_true", help="this is a release: part test may be read, and it is recorded"
    )
    _add_lungs_argument(parser)
    parser.add_argument("--partner", type=Path, help="artefact or run of the expert of the overlapping class")
    parser.add_argument("--twin", type=Path, help="artefact or run of the same recipe with another seed")
    parser.add_argument(
        "--non-films", type=Path, help="folder of pictures that are no films, for a lung network's gate"
    )
    parser.add_argument("--quick", action="store_true", help="leave out sanity, faithfulness and localisation")
    _add_threads_argument(parser)


def _add_lungs_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lungs", type=Path, help="artefact (or ONNX file) of the lung network")


def _add_threads_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=0, help="threads to compute with; 0 leaves it to the engine")


def _asked(arguments: argparse.Namespace) -> "Asked":
    from training.release import Asked

    return Asked(
        tuple(arguments.manifest),
        arguments.part,
        arguments.lungs,
        arguments.partner,
        arguments.twin,
        arguments.threads,
        arguments.quick,
        arguments.non_films,
    )


def _export(arguments: argparse.Namespace) -> int:
    """Export a run without auditing it."""
    from training.release import Asked, release

    asked = Asked(tuple(arguments.manifest), lungs=arguments.lungs)
    return _say(release(arguments.run_dir, arguments.name, arguments.version, arguments.models, asked))


def _release(arguments: argparse.Namespace) -> int:
    """Export, calibrate, audit and describe a run."""
    from training.release import release

    artifact = release(
        arguments.run_dir,
        arguments.name,
        arguments.version,
        arguments.models,
        _asked(arguments),
        is_release=arguments.release,
        accept_failed=arguments.accept_failed,
    )
    return _say(artifact)


def _say(artifact: "Artifact") -> int:
    """Say what was written."""
    from app.inference.manifest import REPORT_FILE
    from training.audit.report import Report
    from training.release import GIT_LIMIT_BYTES

    manifest, size = artifact.manifest, artifact.model_path.stat().st_size
    print(f"{artifact.directory}: {manifest.title}, {size / 1e6:.1f} MB, weights in {manifest.precision.storage}")
    if REPORT_FILE in manifest.files:
        _print_report(Report.model_validate_json((artifact.directory / REPORT_FILE).read_bytes()))
    if size > GIT_LIMIT_BYTES:
        print(f"  larger than {GIT_LIMIT_BYTES / 1e6:.0f} MB: do not put it into git", file=sys.stderr)
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    """Audit a network on one part."""
    from training.release import evaluate_network

    directory: Path = arguments.network.resolve()
    is_run = (directory / "run.json").is_file()
    name = directory.name if is_run else f"{directory.parent.name}-{directory.name}"
    out = arguments.out or Path("out") / f"{name}-{arguments.part}"
    _print_report(evaluate_network(directory, _asked(arguments), out, is_release=arguments.release))
    print(f"written to {out}")
    return 0


def _print_report(report: "Report") -> None:
    """Print AUROC by subgroup, with and without lungs, and every criterion."""
    from training.card_tables import number, significant, with_bounds

    for label, rows in report.discrimination.labels.items() if report.discrimination is not None else ():
        entry = report.shortcuts.labels.get(label) if report.shortcuts is not None else None
        blackout = (entry.blackout if entry is not None else None) or {}
        for name, result in rows.items():
            if result.auroc.value is None:
                continue
            lungs = blackout.get(name)
            rest = (
                f"  only lungs {number(lungs.only_lungs.value)}, without {number(lungs.lungs_blacked_out.value)}"
                if lungs is not None
                else ""
            )
            print(f"{label:>14}  {name:<28} {with_bounds(result.auroc)}  +{result.positives} -{result.negatives}{rest}")
    _print_gate(report)
    for criterion in report.verdict.criteria:
        kept = "kept    " if criterion.passed else "NOT KEPT"
        bound = f"{criterion.sense} {criterion.limit:.4g}"
        print(f"  {kept}  {criterion.name:<38} {significant(criterion.measured):>9}  {bound:<16} {criterion.remark}")
    print(f"verdict: {'passed' if report.verdict.passed else 'failed'}")


def _print_gate(report: "Report") -> None:
    """Print what a lung network's gate refuses."""
    from training.audit.out_of_distribution import OutOfDistribution
    from training.card_tables import with_bounds

    gate = report.out_of_distribution
    if not isinstance(gate, OutOfDistribution):
        return
    refusals = {"no films": gate.non_films} if gate.non_films is not None else {}
    for name, refused in {**refusals, **gate.true_films}.items():
        codes = ", ".join(f"{code} {count}" for code, count in refused.reasons.items())
        print(f"{name:>24}  {refused.pictures:>5}  refused {with_bounds(refused.refused)}  {codes}")


def _compare(arguments: argparse.Namespace) -> int:
    """Audit several runs or artefacts over validation films and put them into one table."""
    from training.audit.comparison import Conditions, compare, comparison_markdown
    from training.released_manifest import read_data

    partners = dict(_partner(text) for text in arguments.partner)
    conditions = Conditions(read_data(arguments.manifest), "val", arguments.lungs, partners, arguments.threads)
    comparison = compare(arguments.networks, conditions, arguments.out)
    print(comparison_markdown(comparison, intervals=False))
    print(f"written to {arguments.out.with_suffix('.md')} and {arguments.out.with_suffix('.json')}")
    return 0


def _partner(text: str) -> tuple[str, Path]:
    """Read ``LABEL=DIRECTORY``."""
    label, equals, directory = text.partition("=")
    if not equals:
        raise SystemExit(f"--partner {text!r}; LABEL=DIRECTORY expected, e.g. covid19=models/pneumonia/1.0.0")
    return label, Path(directory)
