"""``discern pacs``: the hospital side's process, its queue, and what operators do about it."""

import argparse
import getpass
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from app.cli import pacs_export
from app.cli.exit_codes import OK, SOME_FAILED
from app.domain.jobs import JobState
from app.services.hospital.summary import Summary
from app.settings import Settings
from app.telemetry import configure_logging

if TYPE_CHECKING:
    from app.bootstrap.hospital import HospitalSide
    from app.cli.verbs import Verbs

ROLES = ("listen", "poll", "work")


def add_parser(verbs: "Verbs") -> None:
    """Describe the verb."""
    parser = verbs.add_parser("pacs", help="receive, answer and deliver films of a PACS; look after the queue")
    actions = parser.add_subparsers(dest="action", required=True)
    serving = actions.add_parser("serve", help="run the DICOM listener, the pollers of sources and a worker")
    serving.add_argument(
        "--roles", default=",".join(ROLES), help="comma list of listen, poll, work; default all in one process"
    )
    status = actions.add_parser("status", help="the queue in numbers; exit code 1 if something needs an operator")
    status.add_argument("--json", action="store_true", help="as JSON")
    replay = actions.add_parser("replay", help="try parked work again")
    replay.add_argument("job", nargs="*", help="names of jobs; none is all that is parked")
    replay.add_argument("--screen-again", action="store_true", help="answer the named films anew, with today's models")
    purge = actions.add_parser("purge", help="let go of what retention says, or of named jobs that have ended")
    purge.add_argument("job", nargs="*", help="names of jobs")
    pacs_export.add_parsers(actions)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace, settings: Settings) -> int:
    """Run one action."""
    if parsed.action == "serve":
        configure_logging(settings.log_format, settings.log_level)
        roles = [role.strip() for role in parsed.roles.split(",") if role.strip()]
        if unknown := sorted(set(roles) - set(ROLES)):
            print(f"discern: no such role: {', '.join(unknown)}; of {', '.join(ROLES)}", file=sys.stderr)
            return SOME_FAILED
        from app.cli.pacs_serve import serve

        return serve(settings, frozenset(roles))
    from app.bootstrap.hospital import open_hospital

    configure_logging(settings.log_format, "warning")
    with open_hospital(settings) as side:
        if parsed.action == "status":
            return _status(side.desk.summary(), as_json=parsed.json)
        if parsed.action == "replay":
            return _replay(side, parsed.job, screen_again=parsed.screen_again)
        if parsed.action == "export":
            return pacs_export.run_export(side, parsed, _user())
        if parsed.action == "audit":
            return pacs_export.run_audit(side, parsed, _user())
        return _purge(side, parsed.job)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "operator"


def _status(summary: Summary, *, as_json: bool) -> int:
    if as_json:
        document = asdict(summary) | {"at": summary.at.isoformat(), "idle": summary.idle, "alerts": summary.alerts}
        print(json.dumps(document))
    else:
        print(f"films       {', '.join(f'{count} {state}' for state, count in summary.jobs.items())}")
        print(f"arrivals    {', '.join(f'{count} {outcome}' for outcome, count in summary.arrivals.items())}")
        for destination, states in sorted(summary.deliveries.items()):
            print(f"{destination:11} {', '.join(f'{count} {state}' for state, count in states.items())}")
        age = "nothing is open" if summary.oldest_open_s is None else f"{summary.oldest_open_s:.0f} s"
        print(f"oldest      {age}; {summary.overdue} overdue")
        for name, seconds in sorted(summary.workers.items()):
            print(f"worker      {name}, seen {seconds:.0f} s ago")
        print(f"spool       {summary.spool_bytes / 2**20:.1f} of {summary.spool_max_bytes / 2**20:.0f} MiB")
        for name, why in [*summary.sources.items(), *summary.destinations.items()]:
            print(f"failing     {name}: {why}")
        for name, why in summary.audit.items():
            print(f"audit       {name}: {why}")
        for name, why in summary.certificates.items():
            print(f"certificate {name}: {why}")
        print(f"alerts      {', '.join(summary.alerts) or 'none'}")
    return SOME_FAILED if summary.alerts else OK


def _replay(side: "HospitalSide", jobs: list[str], *, screen_again: bool) -> int:
    if not jobs:
        if screen_again:
            print("discern: --screen-again needs the names of jobs", file=sys.stderr)
            return SOME_FAILED
        print(f"replayed {side.desk.replay_all(_user())}")
        return OK
    for job in jobs:
        made = side.desk.screen_again(job, _user()) if screen_again else side.desk.replay(job, _user())
        print(f"{made.id} {made.state}")
    return OK


def _purge(side: "HospitalSide", jobs: list[str]) -> int:
    if not jobs:
        side.desk.clean()
        print(f"{sum(side.desk.summary().jobs[state] for state in JobState)} jobs kept")
        return OK
    for job in jobs:
        side.desk.purge(job, _user())
        print(f"{job} purged")
    return OK
