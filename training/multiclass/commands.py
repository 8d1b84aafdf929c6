"""Verbs of ``python -m training`` for several exclusive classes: ``multiclass``, its evaluation and its release."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.multiclass.recipe import load_multiclass_recipe, multiclass_recipe_names, settings_of
from training.recipe_changes import add_set_argument, read_changes, with_changes

if TYPE_CHECKING:
    from training.multiclass.films import FilmSet

_HELD_OUT = ("split", "val", "test")


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verbs to the command line."""
    train = verbs.add_parser(
        "multiclass",
        help="train ResNet50V2 or COVID-Net on COVID-19, normal, pneumonia, or on the classes of folders",
        description="Recipes and their settings: "
        + "; ".join(f"{name} ({', '.join(settings_of(name)) or 'no settings'})" for name in multiclass_recipe_names()),
    )
    _add_lists(train)
    train.add_argument("--recipe", default="paper-resnet50v2", help="a YAML file or one of the shipped ones")
    train.add_argument("--setting", help="one of the recipe's settings, e.g. RN4; its base otherwise")
    train.add_argument("--architecture", help="another network of the same recipe, e.g. covidnet-paper")
    train.add_argument("--initial-weights", help="scratch, imagenet, a checkpoint, or Keras's weights as .npz")
    train.add_argument("--size-px", type=int, help="side of the input")
    train.add_argument("--seed", type=int)
    add_set_argument(train)
    train.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU where one is")
    train.add_argument("--dry-run", action="store_true", help="check everything, say what would be done, train nothing")
    train.add_argument("--out", type=Path, required=True, help="directory of the run; resumes what is there")
    train.set_defaults(run=_train)


def _add_lists(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--manifest", type=Path, action="append", default=[], help="CSV of films; repeatable")
    verb.add_argument(
        "--covidx", action="append", default=[], metavar="LIST[=IMAGES]",
        help="label list of COVIDx, with the folder of its files if it is not the list's own; repeatable",
    )  # fmt: skip
    verb.add_argument("--folders", type=Path, help="data set of a folder per class (HAM10000 by diagnosis)")
    verb.add_argument("--folders-metadata", type=Path, help="CSV that says which files of --folders are one patient's")
    verb.add_argument(
        "--held-out", choices=_HELD_OUT, default="split",
        help="the lists' part that is only measured; split (default) divides all films by patient, 70/15/15",
    )  # fmt: skip


def films_of(arguments: argparse.Namespace) -> "FilmSet":
    """Read the lists that a command line names."""
    from training.multiclass.covidx import from_covidx
    from training.multiclass.films import from_manifest, joined
    from training.multiclass.folders import from_folders

    sets = [from_manifest(path) for path in arguments.manifest]
    for text in arguments.covidx:
        labels, _, images = text.partition("=")
        sets.append(from_covidx(Path(labels), Path(images) if images else None))
    if arguments.folders is not None:
        sets.append(from_folders(arguments.folders, arguments.folders_metadata))
    if not sets:
        raise ValueError("no films: --manifest, --covidx or --folders")
    return joined(sets)


def _train(arguments: argparse.Namespace) -> int:
    """Train one network by a recipe."""
    from training.multiclass.run import MulticlassRun, select_parts

    changes: dict[str, Any] = {  # Any: values of settings
        name: value
        for name in ("architecture", "initial_weights", "size_px", "seed")
        if (value := getattr(arguments, name)) is not None
    }
    recipe = load_multiclass_recipe(arguments.recipe, arguments.setting)
    recipe = with_changes(recipe, {**changes, **read_changes(arguments.changes)})
    data = select_parts(recipe, films_of(arguments), arguments.held_out)
    run = MulticlassRun(recipe, data, arguments.out, arguments.device)
    print(run.plan())
    if arguments.dry_run:
        return 0
    record = run.train()
    for stage in record["stages"]:
        print(f"{stage['name']}: epoch {stage['best_epoch']} of {stage['epochs']}, macro F1 {stage['best_validation']}")
    return 0
