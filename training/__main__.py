"""``python -m training <verb>``: train, evaluate and export networks."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from app.domain.errors import ScreeningError
from training.recipe import load_recipe, recipe_names

if TYPE_CHECKING:
    from app.inference.artifact import Artifact


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
    Run(recipe, films, arguments.out).train()
    return 0


def _source_weight(text: str) -> tuple[str, float]:
    """Read ``SOURCE=WEIGHT``."""
    source, _, weight = text.partition("=")
    try:
        return source, float(weight)
    except ValueError:
        raise SystemExit(f"--source-weight {text!r}; SOURCE=WEIGHT expected, e.g. nih=2") from None


def _export(arguments: argparse.Namespace) -> int:
    """Export a run without evaluating it."""
    from training.release import release

    return _report(release(arguments.run_dir, arguments.name, arguments.version, arguments.models, arguments.manifest))


def _release(arguments: argparse.Namespace) -> int:
    """Export, calibrate, evaluate and describe a run."""
    from training.release import release

    artifact = release(
        arguments.run_dir,
        arguments.name,
        arguments.version,
        arguments.models,
        arguments.manifest,
        arguments.part,
        is_release=arguments.release,
    )
    return _report(artifact)


def _report(artifact: "Artifact") -> int:
    """Say what was written."""
    from training.release import GIT_LIMIT_BYTES

    manifest, size = artifact.manifest, artifact.model_path.stat().st_size
    print(f"{artifact.directory}: {manifest.title}, {size / 1e6:.1f} MB, weights in {manifest.precision.storage}")
    for entry in manifest.evaluation.get("first_trial", []):
        value = entry["auroc"]["value"]
        here = "undefined" if value is None else f"{value:.3f}"
        print(f"  {entry['label']}, {entry['subgroup']}: AUROC {here} (first trial {entry['first_trial']})")
    if size > GIT_LIMIT_BYTES:
        print(f"  larger than {GIT_LIMIT_BYTES / 1e6:.0f} MB: do not put it into git", file=sys.stderr)
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    """Evaluate a released model on one part."""
    from training.card import with_bounds
    from training.release import evaluate_artifact

    directory: Path = arguments.artifact.resolve()
    out = arguments.out or Path("out") / f"{directory.parent.name}-{directory.name}-{arguments.part}.json"
    evaluation = evaluate_artifact(directory, arguments.manifest, arguments.part, arguments.release, out)
    for label, rows in evaluation.labels.items():
        for name, result in rows.items():
            if result.auroc.value is not None:
                print(f"{label:>14}  {name:<28} {with_bounds(result.auroc)}  +{result.positives} -{result.negatives}")
    print(f"written to {out}")
    return 0


def _recipes(_: argparse.Namespace) -> int:
    """List the shipped recipes."""
    print("\n".join(recipe_names()))
    return 0


def _add_artifact_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_dir", type=Path, help="directory of a finished run")
    parser.add_argument("--name", required=True, help="name of the artefact, e.g. covid19")
    parser.add_argument("--version", required=True, help="its version, e.g. 1.0.0")
    parser.add_argument("--models", type=Path, default=Path("models"), help="the models directory")


def _add_part_arguments(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("--manifest", type=Path, action="append", required=True, help="CSV of films; repeatable")
    parser.add_argument("--part", choices=("val", "test"), default=default)
    parser.add_argument(
        "--release", action="store_true", help="this is a release: part test may be read, and it is recorded"
    )


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
    experts.add_argument("--out", type=Path, required=True, help="directory of the run; resumes what is there")
    experts.set_defaults(run=_experts)
    export = verbs.add_parser("export", help="write an artefact of a run, without evaluating it")
    _add_artifact_arguments(export)
    export.add_argument(
        "--manifest", type=Path, action="append", default=[], help="films for gates, calibration and operating points"
    )
    export.set_defaults(run=_export)
    released = verbs.add_parser("release", help="export, calibrate on validation, evaluate, and write the card")
    _add_artifact_arguments(released)
    _add_part_arguments(released, default="val")
    released.set_defaults(run=_release)
    evaluated = verbs.add_parser("evaluate", help="evaluate a released model through its ONNX file")
    evaluated.add_argument("artifact", type=Path, help="e.g. models/covid19/1.0.0")
    _add_part_arguments(evaluated, default="val")
    evaluated.add_argument("--out", type=Path, help="JSON to write; default out/<name>-<version>-<part>.json")
    evaluated.set_defaults(run=_evaluate)
    recipes = verbs.add_parser("recipes", help="list the shipped recipes")
    recipes.set_defaults(run=_recipes)
    arguments = parser.parse_args(arguments_given)
    try:
        code: int = arguments.run(arguments)
    except (ValueError, FileNotFoundError, ScreeningError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return code


if __name__ == "__main__":
    raise SystemExit(main())
