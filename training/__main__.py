"""``python -m training <verb>``: train, evaluate and export networks."""

import argparse
import sys

from app.domain.errors import ScreeningError
from training.audit.commands import add_verbs
from training.crossval.commands import add_crossval_verbs
from training.ensemble.commands import add_verbs as add_ensemble_verbs
from training.film_commands import add_film_verbs
from training.lung_commands import add_verbs as add_lung_verbs
from training.multiclass.commands import add_verbs as add_multiclass_verbs
from training.regions.commands import add_verbs as add_region_verbs
from training.release_commands import add_release_verbs
from training.run_commands import add_run_verbs


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    add_film_verbs(verbs)
    add_run_verbs(verbs)
    add_release_verbs(verbs)
    add_verbs(verbs)
    add_lung_verbs(verbs)
    add_crossval_verbs(verbs)
    add_region_verbs(verbs)
    add_multiclass_verbs(verbs)
    add_ensemble_verbs(verbs)
    return parser


def main(arguments_given: list[str] | None = None) -> int:
    """Parse the command line and run the verb; 1 if it failed for a reason the caller can act on."""
    arguments = build_parser().parse_args(arguments_given)
    try:
        code: int = arguments.run(arguments)
    except (ValueError, FileNotFoundError, ScreeningError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return code


if __name__ == "__main__":
    raise SystemExit(main())
