"""Verbs of ``python -m training`` for several exclusive classes: ``multiclass``, its evaluation and its release."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.multiclass.recipe import load_multiclass_recipe, multiclass_recipe_names, settings_of
from training.recipe_changes import add_set_argument, read_changes, with_changes

if TYPE_CHECKING:
    from training.multiclass.films import FilmSet
    from training.multiclass.run import RunData

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
    measure = verbs.add_parser(
        "evaluate-multiclass",
        help="measure a run of several classes on its held-out films: tables, ROC, confusion matrix",
    )
    _add_finished(measure)
    measure.add_argument("--out", type=Path, required=True, help="folder for evaluation.json, evaluation.md and plots")
    measure.set_defaults(run=_measure)
    release = verbs.add_parser(
        "release-multiclass", help="export a run of several classes, calibrate, measure and write the artefact"
    )
    _add_finished(release)
    release.add_argument("--name", required=True, help="of the artefact, e.g. resnet50v2")
    release.add_argument("--version", required=True, help="of the artefact, e.g. 1.0.0")
    release.add_argument("--models", type=Path, default=Path("models"), help="models directory")
    release.add_argument("--accept-failed", action="store_true", help="keep a version whose verdict fails")
    release.set_defaults(run=_release)


def _add_finished(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("run_dir", type=Path, help="directory of a finished run")
    _add_lists(verb)
    verb.add_argument("--stage", help="whose best epoch; the one that validation liked best otherwise")
    verb.add_argument("--positive", help="the class whose ROC is drawn; covid19 if there is one, else the first")
    verb.add_argument("--release", action="store_true", help="this is a release: part test may be read")


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
    from training.multiclass.plan import plan_text
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
    if arguments.dry_run:
        print(plan_text(run))
        return 0
    record = run.train()
    for stage in record["stages"]:
        print(f"{stage['name']}: epoch {stage['best_epoch']} of {stage['epochs']}, macro F1 {stage['best_validation']}")
    return 0


def _measure(arguments: argparse.Namespace) -> int:
    """Measure a run on its held-out films."""
    from training.multiclass.finished import load_multiclass_run
    from training.multiclass.measure import TEXT_FILE, measure_run

    run = load_multiclass_run(arguments.run_dir, arguments.stage)
    measure_run(run, _data_of(arguments), arguments.out, arguments.positive)
    print((arguments.out / TEXT_FILE).read_text(encoding="utf-8"))
    print(f"written to {arguments.out}")
    return 0


def _release(arguments: argparse.Namespace) -> int:
    """Release a run."""
    from training.multiclass.release import ClassesAsked, release_classes

    asked = ClassesAsked(
        arguments.run_dir, arguments.name, arguments.version, arguments.stage, arguments.positive,
        arguments.accept_failed,
    )  # fmt: skip
    artifact = release_classes(asked, _data_of(arguments), arguments.models)
    manifest, size = artifact.manifest, artifact.model_path.stat().st_size
    print(f"{artifact.directory}: {manifest.title}, {size / 1e6:.1f} MB, weights in {manifest.precision.storage}")
    return 0


def _data_of(arguments: argparse.Namespace) -> "RunData":
    """Divide the films that a command line names as the run divided them."""
    from training.multiclass.finished import load_multiclass_run
    from training.multiclass.run import select_parts
    from training.release import require_release

    require_release(arguments.held_out, arguments.release)
    return select_parts(load_multiclass_run(arguments.run_dir).recipe, films_of(arguments), arguments.held_out)
