"""``discern pacs export`` and ``discern pacs audit``: films without their patients, and who did what."""

import argparse
import hashlib
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.exit_codes import OK, SOME_FAILED
from app.domain.errors import ScreeningError

if TYPE_CHECKING:
    from app.bootstrap.hospital import HospitalSide
    from app.cli.verbs import Verbs
    from app.pacs.deidentify import ExportOptions


def add_parsers(actions: "Verbs") -> None:
    """Describe both actions."""
    export = actions.add_parser("export", help="write de-identified copies of films (PS3.15 Basic Profile)")
    export.add_argument("job", nargs="+", help="names of jobs")
    export.add_argument("--out", type=Path, required=True, help="folder, made where it is not there")
    export.add_argument("--recipient", required=True, help="whom they are for; one recipient's films belong together")
    export.add_argument("--modified-dates", action="store_true", help="shift dates and keep times instead of neither")
    export.add_argument("--characteristics", action="store_true", help="keep sex, and age up to 89 years")
    export.add_argument(
        "--blank", action="append", default=[], metavar="X0,Y0,X1,Y1", help="blank a box of pixels; may be repeated"
    )
    export.add_argument("--inspected", action="store_true", help="somebody looked: the pixels name nobody")
    export.add_argument(
        "--even-if-identifying",
        action="store_true",
        help="take what pixels may identify, marked as not de-identified",
    )
    audit = actions.add_parser("audit", help="check the audit trail and how it is sent on; exit code 1 if it is broken")
    audit.add_argument("--json", action="store_true", help="as JSON")


def run_export(side: "HospitalSide", parsed: argparse.Namespace, user: str) -> int:
    """Export every named film; one that is refused stops no other."""
    from app.pacs.deidentify import deidentified

    deidentify = partial(deidentified, options=_options(parsed))
    parsed.out.mkdir(parents=True, exist_ok=True)
    failed = 0
    for job in parsed.job:
        try:
            content = side.exporter.export(job, user, parsed.recipient, deidentify)
        except ScreeningError as error:
            print(f"discern: {job}: {error.detail} ({error.problem_code})", file=sys.stderr)
            failed += 1
            continue
        path = parsed.out / f"{hashlib.sha256(content).hexdigest()[:24]}.dcm"
        path.write_bytes(content)
        print(f"{job} {path}")
    return SOME_FAILED if failed else OK


def run_audit(side: "HospitalSide", parsed: argparse.Namespace, user: str) -> int:
    """Verify the trail, and say how far every receiver is."""
    side.audit.record("audit_used", user=user)
    check = side.audit.verify()
    forwarding = side.audit.forwarding()
    if parsed.json:
        receivers = {
            name: {
                "sent_number": state.sent_number,
                "oldest_waiting": state.oldest_waiting.isoformat() if state.oldest_waiting else None,
                "waiting": state.waiting,
                "error": state.error,
            }
            for name, state in forwarding.items()
        }
        found = {"records": check.records, "first": check.first, "last": check.last, "problems": check.problems}
        print(json.dumps(found | {"receivers": receivers}))
    else:
        print(f"records     {check.records}, numbers {check.first} to {check.last}")
        for problem in check.problems:
            print(f"problem     {problem}")
        for name, state in forwarding.items():
            waiting = f"waiting since {state.oldest_waiting:%Y-%m-%d %H:%M:%S}Z" if state.oldest_waiting else "all sent"
            print(f"{name:11} sent up to {state.sent_number}, {waiting}{f'; {state.error}' if state.error else ''}")
    return SOME_FAILED if check.problems else OK


def _options(parsed: argparse.Namespace) -> "ExportOptions":
    from app.pacs.deidentify import ExportOptions

    return ExportOptions(
        modified_dates=parsed.modified_dates,
        patient_characteristics=parsed.characteristics,
        blank_boxes=tuple(_box(text) for text in parsed.blank),
        pixels_inspected=parsed.inspected,
        even_if_pixels_may_identify=parsed.even_if_identifying,
    )


def _box(text: str) -> tuple[int, int, int, int]:
    numbers = [int(part) for part in text.split(",")] if text.replace(",", "").isdecimal() else []
    if len(numbers) != 4:
        raise SystemExit("discern: --blank takes four numbers of pixels: X0,Y0,X1,Y1")
    return numbers[0], numbers[1], numbers[2], numbers[3]
