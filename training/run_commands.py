"""Verbs of ``python -m training`` around a run: ``experts``, ``average``, ``report`` and ``recipes``."""

import argparse
from pathlib import Path
from typing import Any

from training.recipe import described_recipes, load_recipe, recipe_names, recipe_text
from training.recipe_changes import add_set_argument, read_changes, with_changes


def add_run_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verbs to the command line."""
    experts = verbs.add_parser("experts", help="train an expert (or, with --recipe member, a multi-label member)")
    add_film_arguments(experts)
    experts.add_argument("--recipe", default="default", help=f"a YAML file or one of: {', '.join(recipe_names())}")
    experts.add_argument("--target", help="the expert's positive class, e.g. covid19")
    experts.add_argument("--architecture")
    experts.add_argument("--initial-weights", help="scratch, imagenet, a checkpoint file, or grow:CHECKPOINT")
    experts.add_argument("--exclude-source", action="append", help="leave a source out; repeatable")
    experts.add_argument("--source-weight", action="append", metavar="SOURCE=WEIGHT", help="draw a source more often")
    experts.add_argument("--seed", type=int)
    add_set_argument(experts)
    experts.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU where one is")
    experts.add_argument("--dry-run", action="store_true", help="say what would be done and how long, write nothing")
    experts.add_argument("--out", type=Path, required=True, help="directory of the run; resumes what is there")
    experts.set_defaults(run=_experts)
    average = verbs.add_parser("average", help="average the weights of runs that differ in nothing but the seed")
    average.add_argument("runs", type=Path, nargs="+", help="directories of finished runs")
    add_film_arguments(average)
    average.add_argument("--out", type=Path, required=True, help="directory of the new run")
    average.set_defaults(run=_average)
    report = verbs.add_parser("report", help="write a run's report: curves, recipe, maps of validation films")
    report.add_argument("run_dir", type=Path, help="directory of a finished run")
    add_film_arguments(report)
    report.add_argument("--films", type=int, default=8, help="films to show maps of")
    report.set_defaults(run=_report)
    recipes = verbs.add_parser("recipes", help="list the shipped recipes, or print one")
    recipes.add_argument("name", nargs="?", help="print this one, to start one's own from")
    recipes.set_defaults(run=_recipes)


def add_film_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the manifests and the lung network."""
    parser.add_argument("--manifest", type=Path, action="append", required=True, help="CSV of films; repeatable")
    parser.add_argument("--lungs", type=Path, help="artefact of the lung network, for recipes that need it")


def _experts(arguments: argparse.Namespace) -> int:
    """Train one network by a recipe."""
    from training.lung_finder import LungFinder
    from training.plan import measured_step, plan_text
    from training.run_report import write_run_report
    from training.train import Run, select_films

    changes: dict[str, Any] = {}  # Any: values of settings
    for name in ("target", "architecture", "initial_weights", "seed"):
        if getattr(arguments, name) is not None:
            changes[name] = getattr(arguments, name)
    if arguments.exclude_source:
        changes["exclude_sources"] = tuple(arguments.exclude_source)
    if arguments.source_weight:
        changes["source_weights"] = dict(_source_weight(text) for text in arguments.source_weight)
    recipe = with_changes(load_recipe(arguments.recipe), {**changes, **read_changes(arguments.changes)})
    if recipe.kind == "expert" and recipe.target is None:
        raise SystemExit("an expert needs --target")
    films = select_films(recipe, arguments.manifest)
    finder = LungFinder(arguments.lungs) if arguments.lungs is not None else None
    if arguments.dry_run:
        print(plan_text(recipe, films, measured_step(recipe, films, finder)))
        return 0
    Run(recipe, films, arguments.out, finder, arguments.device).train()
    print(f"report: {write_run_report(arguments.out, films.val, finder)}")
    return 0


def _average(arguments: argparse.Namespace) -> int:
    """Average the weights of several runs of one recipe."""
    from training.export import load_run
    from training.lung_finder import LungFinder
    from training.train import select_films
    from training.weight_average import average_runs

    films = select_films(load_run(arguments.runs[0]).recipe, arguments.manifest)
    finder = LungFinder(arguments.lungs) if arguments.lungs is not None else None
    average_runs(arguments.runs, films, arguments.out, finder)
    print(f"{len(arguments.runs)} runs averaged in {arguments.out}")
    return 0


def _report(arguments: argparse.Namespace) -> int:
    """Write the report of a finished run."""
    from training.export import load_run
    from training.lung_finder import LungFinder
    from training.run_report import write_run_report
    from training.train import select_films

    films = select_films(load_run(arguments.run_dir).recipe, arguments.manifest)
    finder = LungFinder(arguments.lungs) if arguments.lungs is not None else None
    print(write_run_report(arguments.run_dir, films.val, finder, shown=arguments.films))
    return 0


def _source_weight(text: str) -> tuple[str, float]:
    """Read ``SOURCE=WEIGHT``."""
    source, _, weight = text.partition("=")
    try:
        return source, float(weight)
    except ValueError:
        raise SystemExit(f"--source-weight {text!r}; SOURCE=WEIGHT expected, e.g. nih=2") from None


def _recipes(arguments: argparse.Namespace) -> int:
    """List the shipped recipes, or print one."""
    if arguments.name is not None:
        print(recipe_text(arguments.name), end="")
        return 0
    described = described_recipes()
    width = max(map(len, described))
    print("\n".join(f"{name:<{width}}  {what}" for name, what in described.items()))
    return 0
