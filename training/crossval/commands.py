"""The verb of ``python -m training`` that cross-validates the multi-label networks: ``cross-validate``."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.crossval.cross_validation import Plan
    from training.recipe import Recipe


def add_crossval_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "cross-validate", help="train multi-label networks fold by fold, by patient, and write the table of papers/2"
    )
    verb.add_argument("--manifest", type=Path, action="append", required=True, help="CSV of films; repeatable")
    verb.add_argument("--recipe", default="paper-ensemble", help="a YAML file or a shipped recipe of kind multilabel")
    verb.add_argument(
        "--architecture",
        action="append",
        help="a network to train; repeatable; the mean of several is a row of its own",
    )
    verb.add_argument(
        "--folds", type=int, default=5, help="how many; default 5: three train, one validates, one is tested"
    )
    verb.add_argument("--fold", type=int, action="append", default=[], help="train only this one, from 1; repeatable")
    verb.add_argument("--size-px", type=int, help="side of the input, in place of the recipe's")
    verb.add_argument("--epochs", type=int, help="in place of the recipe's")
    verb.add_argument("--draws", type=int, help="films drawn an epoch, in place of the recipe's")
    verb.add_argument(
        "--initial-weights", help="scratch, imagenet, or a checkpoint file that has seen none of the films"
    )
    verb.add_argument("--seed", type=int, help="of the folds and the training, in place of the recipe's")
    verb.add_argument("--lungs", type=Path, help="artefact of the lung network, for recipes that need it")
    verb.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    verb.add_argument("--dry-run", action="store_true", help="print the folds and what would be trained, and stop")
    verb.add_argument(
        "--out", type=Path, required=True, help="directory of the runs and tables; carries on what is there"
    )
    verb.set_defaults(run=_cross_validate)


def _cross_validate(arguments: argparse.Namespace) -> int:
    """Train fold by fold and print the first table."""
    from training.crossval.cross_validation import TABLE_FILE, Plan, cross_validate
    from training.crossval.folds import make_folds, read_pool
    from training.crossval.tables import over_folds
    from training.lung_finder import LungFinder

    recipe = _changed(arguments)
    pool = read_pool(recipe, arguments.manifest)
    folds = make_folds(pool, arguments.folds, recipe.seed)
    unknown = [number for number in arguments.fold if not 1 <= number <= len(folds)]
    if unknown:
        raise ValueError(f"--fold {unknown[0]}; 1 to {len(folds)} expected")
    architectures = tuple(arguments.architecture or [recipe.architecture])
    plan = Plan(recipe, architectures, tuple(folds), pool.manifests)
    if arguments.dry_run:
        print(_described(plan))
        return 0
    lungs = LungFinder(arguments.lungs) if arguments.lungs is not None else None
    result = cross_validate(plan, arguments.out, arguments.fold, lungs, arguments.device)
    print(over_folds(result.models))
    print(f"everything: {arguments.out / TABLE_FILE}")
    return 0


def _changed(arguments: argparse.Namespace) -> "Recipe":
    """Read the recipe and what the command line changes of it."""
    from training.recipe import load_recipe

    recipe = load_recipe(arguments.recipe)
    changes: dict[str, object] = {}
    if arguments.size_px is not None or arguments.epochs is not None:
        size_px = arguments.size_px if arguments.size_px is not None else recipe.size_px
        epochs = arguments.epochs if arguments.epochs is not None else recipe.epochs
        changes["stages"] = [{"epochs": epochs, "size_px": size_px}]
    named = {"draws_per_epoch": arguments.draws, "initial_weights": arguments.initial_weights, "seed": arguments.seed}
    changes |= {name: value for name, value in named.items() if value is not None}
    return type(recipe).model_validate({**recipe.model_dump(), **changes})


def _described(plan: "Plan") -> str:
    """Write the folds, and how much there is to compute."""
    from training.card_tables import table
    from training.crossval.results import facts_of

    recipe = plan.recipe
    rows = []
    for facts in map(facts_of, plan.folds):
        sizes = [f"{facts.films[part]} films of {facts.patients[part]}" for part in ("train", "val", "test")]
        there = ", ".join(f"{label} {count}" for label, count in facts.positives.items() if count)
        rows.append((facts.fold, *sizes, there))
    drawn = recipe.draws_per_epoch or max(len(fold.train) for fold in plan.folds)
    return (
        table(("Fold", "Train", "Validate", "Test", "Positives tested"), rows)
        + f"\n{', '.join(plan.architectures)}: {len(plan.folds)} folds of at most {recipe.epochs} epochs of {drawn} "
        f"films at {recipe.size_px} px"
    )
