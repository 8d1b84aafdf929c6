"""``discern evaluate``: the shipped experts on films whose labels are known, through the serving path."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from tqdm import tqdm

from app.bootstrap import open_services
from app.cli.exit_codes import OK, SOME_FAILED
from app.services.evaluation import evaluate_cases, read_cases
from app.settings import Settings

if TYPE_CHECKING:
    from app.cli.verbs import Verbs


def add_parser(verbs: "Verbs") -> None:
    """Describe the verb."""
    parser = verbs.add_parser("evaluate", help="measure the shipped experts on films with known labels")
    parser.add_argument(
        "manifest",
        type=Path,
        help="CSV: path (relative to it), a column of 1, 0 or -1 (unknown) for every expert by its name; optional:"
        " dataset, group (patient), age_group, split",
    )
    parser.add_argument("--part", help="only rows whose split has this value")
    parser.add_argument("--out", type=Path, help="write the report as JSON")
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace, settings: Settings) -> int:
    """Screen every film of the manifest and print discrimination per expert and subgroup."""
    with open_services(settings) as services:
        experts = tuple(n for n, network in services.catalogue.networks.items() if network.manifest.kind == "expert")
        cases = read_cases(parsed.manifest, experts, parsed.part)
        with tqdm(total=len(cases), unit="film", disable=None) as progress:
            report = evaluate_cases(services.screening, services.catalogue, cases, settings.workers, progress.update)
    print(report.table())
    for path, code in report.refused:
        print(f"{path}: {code}", file=sys.stderr)
    if parsed.out:
        parsed.out.write_bytes(orjson.dumps(report.payload(), option=orjson.OPT_INDENT_2) + b"\n")
    return SOME_FAILED if report.refused else OK
