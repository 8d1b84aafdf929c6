"""Verbs of ``python -m training`` for networks that also predict a region: ``regions`` and ``region-tables``."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from training.recipe_changes import add_set_argument, read_changes, with_changes
from training.regions.recipe import RegionRecipe, load_region_recipe, region_recipe_names

if TYPE_CHECKING:
    from training.regions.sources import PictureFolder

ROWS: Final = tuple(f"{loss}:{ratio}" for loss in ("cross-entropy", "l1", "l2") for ratio in ("1", "0.25"))
"""Localisation loss and label ratio of the paper's tables."""


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verbs to the command line."""
    regions = verbs.add_parser("regions", help="train a network that classifies and predicts a region (papers/4)")
    _add_common(regions)
    regions.add_argument("--seed", type=int)
    regions.add_argument("--dry-run", action="store_true", help="say what would be done and how long, write nothing")
    regions.add_argument("--out", type=Path, required=True, help="directory of the run; resumes what is there")
    regions.set_defaults(run=_regions)
    tables = verbs.add_parser(
        "region-tables", help="train and measure losses by label ratios by seeds (papers/4, tables)"
    )
    _add_common(tables)
    tables.add_argument("--rows", default=",".join(ROWS), help=f"LOSS:RATIO, comma-separated; default {','.join(ROWS)}")
    tables.add_argument("--seeds", default="1,2,3", help="comma-separated; default 1,2,3")
    tables.add_argument("--architecture", action="append", default=[], help="of the features; repeatable")
    tables.add_argument("--out", type=Path, required=True, help="a directory a network, table.json and table.md")
    tables.set_defaults(run=_tables)


def _add_common(verb: argparse.ArgumentParser) -> None:
    names = ", ".join(region_recipe_names())
    verb.add_argument("--recipe", required=True, help=f"a YAML file or one of: {names}")
    verb.add_argument(
        "--manifest",
        type=Path,
        action="append",
        default=[],
        help="CSV of films, masks.csv and boxes.csv beside it; repeatable; none for pictures and for the drawn birds",
    )
    verb.add_argument("--pictures", type=Path, metavar="DIR", help="pictures of outlined objects, one folder a class")
    verb.add_argument("--masks", type=Path, metavar="DIR", help="their masks, where they are not beside the pictures")
    verb.add_argument("--class", action="append", default=[], dest="classes", help="only this class; repeatable")
    verb.add_argument("--lungs", type=Path, help="artefact of the lung network, for recipes that crop to the lungs")
    verb.add_argument("--initial-weights", help="scratch, imagenet, or a checkpoint file")
    add_set_argument(verb)
    verb.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU where one is")


def _recipe(arguments: argparse.Namespace, *names: str) -> RegionRecipe:
    """Read the recipe and change what was asked for."""
    changes: dict[str, Any] = {  # Any: values of settings
        name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None
    }
    return with_changes(load_region_recipe(arguments.recipe), {**changes, **read_changes(arguments.changes)})


def _pictures(arguments: argparse.Namespace) -> "PictureFolder | None":
    from training.regions.sources import PictureFolder

    if arguments.pictures is None:
        return None
    return PictureFolder(arguments.pictures, arguments.masks, tuple(arguments.classes))


def _regions(arguments: argparse.Namespace) -> int:
    """Train one network."""
    from training.regions.run import RegionRun, dry_run
    from training.regions.sources import load_data

    recipe = _recipe(arguments, "initial_weights", "seed")
    data, manifests = load_data(recipe, arguments.manifest, arguments.lungs, _pictures(arguments))
    if arguments.dry_run:
        print(dry_run(recipe, data))
        return 0
    RegionRun(recipe, data, arguments.out, manifests, arguments.device).train()
    return 0


def _tables(arguments: argparse.Namespace) -> int:
    """Train and measure an experiment."""
    from training.regions.experiment import planned, run_experiment
    from training.regions.sources import load_data
    from training.regions.tables_text import table_markdown

    recipe = _recipe(arguments, "initial_weights")
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    plan = planned(recipe, arguments.rows.split(","), seeds, arguments.architecture)
    data, _ = load_data(recipe, arguments.manifest, arguments.lungs, _pictures(arguments))
    table = run_experiment(Path(arguments.recipe).stem, plan, data, arguments.out, arguments.device)
    text = table_markdown(table)
    (arguments.out / "table.md").write_text(text, encoding="utf-8")
    print(text)
    return 0
