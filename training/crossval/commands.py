"""The verb of ``python -m training`` that cross-validates the multi-label networks: ``cross-validate``."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.recipe_changes import add_set_argument, read_changes, with_changes
from training.run_commands import add_film_arguments

if TYPE_CHECKING:
    from training.recipe import Recipe


def add_crossval_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "cross-validate", help="train multi-label networks fold by fold, by patient, and write the table of papers/2"
    )
    add_film_arguments(verb)
    verb.add_argument("--recipe", default="paper-ensemble", help="a YAML file or a shipped recipe of kind multilabel")
    verb.add_argument("--architecture", action="append", help="repeatable; the mean of several is a row of its own")
    verb.add_argument("--folds", type=int, default=5, help="one is tested, one validates, the rest trains; default 5")
    verb.add_argument("--fold", type=int, action="append", default=[], help="train only this one, from 1; repeatable")
    verb.add_argument("--size-px", type=int, help="side of the input, in place of the recipe's")
    verb.add_argument("--epochs", type=int, help="in place of the recipe's")
    verb.add_argument("--draws", type=int, help="films drawn an epoch, in place of the recipe's")
    verb.add_argument("--initial-weights", help="scratch, imagenet, or a checkpoint that has seen none of the films")
    verb.add_argument("--seed", type=int, help="of the folds and the training, in place of the recipe's")
    add_set_argument(verb)
    verb.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU where one is")
    verb.add_argument("--dry-run", action="store_true", help="show the folds and how long it would take, write nothing")
    verb.add_argument("--out", type=Path, required=True, help="directory of runs and tables; carries on what is there")
    verb.set_defaults(run=_cross_validate)


def _cross_validate(arguments: argparse.Namespace) -> int:
    """Train fold by fold and print the first table."""
    from training.crossval.cross_validation import TABLE_FILE, Plan, cross_validate
    from training.crossval.dry_run import described
    from training.crossval.folds import make_folds, read_pool
    from training.crossval.tables import over_folds
    from training.lung_finder import LungFinder

    recipe = _changed(arguments)
    pool = read_pool(recipe, arguments.manifest)
    folds = make_folds(pool, arguments.folds, recipe.seed)
    unknown = [number for number in arguments.fold if not 1 <= number <= len(folds)]
    if unknown:
        raise ValueError(f"--fold {unknown[0]}; 1 to {len(folds)} expected")
    plan = Plan(recipe, tuple(arguments.architecture or [recipe.architecture]), tuple(folds), pool.manifests)
    lungs = LungFinder(arguments.lungs) if arguments.lungs is not None else None
    if arguments.dry_run:
        print(described(plan, lungs))
        return 0
    result = cross_validate(plan, arguments.out, arguments.fold, lungs, arguments.device)
    print(over_folds(result.models))
    print(f"everything: {arguments.out / TABLE_FILE}")
    return 0


def _changed(arguments: argparse.Namespace) -> "Recipe":
    """Read the recipe and what the command line changes of it."""
    from training.recipe import load_recipe

    recipe = load_recipe(arguments.recipe)
    changes: dict[str, Any] = {}  # Any: values of settings
    if arguments.size_px is not None or arguments.epochs is not None:
        size_px = arguments.size_px if arguments.size_px is not None else recipe.size_px
        epochs = arguments.epochs if arguments.epochs is not None else recipe.epochs
        changes["stages"] = [{"epochs": epochs, "size_px": size_px}]
    named = {"draws_per_epoch": arguments.draws, "initial_weights": arguments.initial_weights, "seed": arguments.seed}
    changes |= {name: value for name, value in named.items() if value is not None}
    return with_changes(recipe, {**changes, **read_changes(arguments.changes)})
