"""``python -m training <verb>``: train, evaluate and export networks."""

import argparse
import sys
from pathlib import Path

from app.domain.errors import ScreeningError
from training.audit.commands import add_verbs
from training.lung_commands import add_verbs as add_lung_verbs
from training.recipe import load_recipe, recipe_names
from training.release_commands import add_release_verbs


def _experts(arguments: argparse.Namespace) -> int:
    """Train one network by a recipe."""
    from training.train import Run, select_films

    changes: dict[str, object] = {}
    if arguments.target:
        changes["target"] = arguments.target
    if arguments.architecture:
        changes["architecture"] = arguments.architecture
    if arguments.initial_weights:
        changes["initial_weights"] = arguments.initial_weights
    if arguments.exclude_source:
        changes["exclude_sources"] = tuple(arguments.exclude_source)
    if arguments.source_weight:
        changes["source_weights"] = dict(_source_weight(text) for text in arguments.source_weight)
    if arguments.seed is not None:
        changes["seed"] = arguments.seed
    recipe = load_recipe(arguments.recipe)
    recipe = type(recipe).model_validate({**recipe.model_dump(), **changes})
    if recipe.kind == "expert" and recipe.target is None:
        raise SystemExit("an expert needs --target")
    films = select_films(recipe, arguments.manifest)
    finder = None
    if arguments.lungs is not None:
        from training.lung_finder import LungFinder

        finder = LungFinder(arguments.lungs)
    Run(recipe, films, arguments.out, finder).train()
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


def _source_weight(text: str) -> tuple[str, float]:
    """Read ``SOURCE=WEIGHT``."""
    source, _, weight = text.partition("=")
    try:
        return source, float(weight)
    except ValueError:
        raise SystemExit(f"--source-weight {text!r}; SOURCE=WEIGHT expected, e.g. nih=2") from None


def _recipes(_: argparse.Namespace) -> int:
    """List the shipped recipes."""
    print("\n".join(recipe_names()))
    return 0


def main(arguments_given: list[str] | None = None) -> int:
    """Parse the command line and run the verb; 1 if it failed for a reason the caller can act on."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    experts = verbs.add_parser("experts", help="train an expert (or, with --recipe member, a multi-label member)")
    experts.add_argument("--manifest", type=Path, action="append", required=True, help="CSV of films; repeatable")
    experts.add_argument("--recipe", default="default", help=f"a YAML file or one of: {', '.join(recipe_names())}")
    experts.add_argument("--target", help="the expert's positive class, e.g. covid19")
    experts.add_argument("--architecture")
    experts.add_argument("--initial-weights", help="scratch, imagenet, or a checkpoint file")
    experts.add_argument("--exclude-source", action="append", help="leave a source out; repeatable")
    experts.add_argument("--source-weight", action="append", metavar="SOURCE=WEIGHT", help="draw a source more often")
    experts.add_argument("--seed", type=int)
    experts.add_argument("--lungs", type=Path, help="artefact of the lung network, for recipes that need it")
    experts.add_argument("--out", type=Path, required=True, help="directory of the run; resumes what is there")
    experts.set_defaults(run=_experts)
    average = verbs.add_parser("average", help="average the weights of runs that differ in nothing but the seed")
    average.add_argument("runs", type=Path, nargs="+", help="directories of finished runs")
    average.add_argument("--manifest", type=Path, action="append", required=True, help="CSV of films; repeatable")
    average.add_argument("--lungs", type=Path, help="artefact of the lung network, for recipes that need it")
    average.add_argument("--out", type=Path, required=True, help="directory of the new run")
    average.set_defaults(run=_average)
    recipes = verbs.add_parser("recipes", help="list the shipped recipes")
    recipes.set_defaults(run=_recipes)
    add_release_verbs(verbs)
    add_verbs(verbs)
    add_lung_verbs(verbs)
    arguments = parser.parse_args(arguments_given)
    try:
        code: int = arguments.run(arguments)
    except (ValueError, FileNotFoundError, ScreeningError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return code


if __name__ == "__main__":
    raise SystemExit(main())
