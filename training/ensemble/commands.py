"""The verb ``ensemble`` of ``python -m training``."""

import argparse
import sys
from pathlib import Path


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser("ensemble", help="calibrate the mean of released members on validation, and measure it")
    parser.add_argument("--models", type=Path, default=Path("models"), help="the models directory")
    parser.add_argument("--member", action="append", required=True, help="name of a released member; repeatable")
    parser.add_argument("--manifest", type=Path, action="append", required=True, help="CSV of films; repeatable")
    parser.add_argument("--part", choices=("val", "test"), default="val", help="the films that the report is of")
    parser.add_argument(
        "--release", action="store_true", help="this is a release: part test may be read, and it is recorded"
    )
    parser.add_argument("--lungs", type=Path, help="artefact of the lung network, for members that need it")
    parser.add_argument("--out", type=Path, help="where ensemble.json and ensemble/ go; default the models")
    parser.set_defaults(run=_ensemble)


def _ensemble(arguments: argparse.Namespace) -> int:
    """Fit, measure and write an ensemble."""
    from app.domain.subgroups import POOLED
    from training.card_tables import significant
    from training.ensemble.card import averages_table
    from training.ensemble.fitting import Asked, fit_ensemble, served_members

    asked = Asked(arguments.models, tuple(arguments.member), tuple(arguments.manifest), arguments.part, arguments.lungs)
    out: Path = arguments.out or arguments.models
    report = fit_ensemble(asked, out, is_release=arguments.release)
    print(averages_table(report.answerers[POOLED], at_half=False), end="")
    print(f"mean map plus mean bias is the mean logit within {significant(report.law_error)}, {report.law_films} films")
    print(f"written to {out / 'ensemble.json'} and {out / 'ensemble'}")
    if out == arguments.models and tuple(served_members(out)) != asked.members:
        print(f"  name the members {', '.join(asked.members)}, in this order, in catalogue.json", file=sys.stderr)
    return 0
