"""Verbs of ``python -m training`` for the lung network: ``lungs`` and ``release-lungs``."""

import argparse
from pathlib import Path


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verbs to the command line."""
    lungs = verbs.add_parser("lungs", help="train the network that finds the lungs and tells frontal films")
    lungs.add_argument("--manifest", type=Path, required=True, help="CSV of films; masks.csv and boxes.csv beside it")
    lungs.add_argument(
        "--non-films",
        action="append",
        default=[],
        metavar="DIR[=WEIGHT]",
        help="folder of pictures that are no frontal films, and how often each is drawn against 1; repeatable",
    )
    lungs.add_argument("--recipe", type=Path, help="YAML of the fields of LungRecipe; the defaults otherwise")
    lungs.add_argument("--out", type=Path, required=True, help="directory of the run; resumes what is there")
    lungs.set_defaults(run=_lungs)
    released = verbs.add_parser("release-lungs", help="export the lung network, set the input gate, measure both")
    released.add_argument("run_dir", type=Path, help="directory of a finished run")
    released.add_argument("--version", required=True, help="e.g. 1.0.0")
    released.add_argument("--models", type=Path, default=Path("models"), help="the models directory")
    released.add_argument("--manifest", type=Path, required=True, help="CSV of films; masks.csv, boxes.csv beside it")
    released.add_argument("--tuning-non-films", type=Path, required=True, help="folder that thresholds are set with")
    released.add_argument("--held-out-non-films", type=Path, required=True, help="folder that is only measured")
    released.add_argument("--part", choices=("val", "test"), default="val")
    released.add_argument("--release", action="store_true", help="this is a release: part test may be read")
    released.set_defaults(run=_release_lungs)


def _lungs(arguments: argparse.Namespace) -> int:
    """Train the lung network."""
    import yaml

    from training.lung_films import read_pictures, read_references
    from training.lung_train import LungRecipe, LungRun, load_examples
    from training.released_manifest import read_data

    recipe = LungRecipe()
    if arguments.recipe is not None:
        recipe = LungRecipe.model_validate(yaml.safe_load(arguments.recipe.read_text(encoding="utf-8")))
    films = read_data([arguments.manifest]).part("train")
    folders = [_weighted(text) for text in arguments.non_films]
    pictures = [(picture, weight) for folder, weight in folders for picture in read_pictures(folder)]
    examples = load_examples(films, read_references(arguments.manifest.parent, films), pictures)
    LungRun(recipe, examples, arguments.out).train()
    return 0


def _weighted(text: str) -> tuple[Path, float]:
    """Read ``DIR`` or ``DIR=WEIGHT``."""
    folder, _, weight = text.partition("=")
    try:
        return Path(folder), float(weight or 1.0)
    except ValueError:
        raise SystemExit(f"--non-films {text!r}; DIR or DIR=WEIGHT expected, e.g. laterals=25") from None


def _release_lungs(arguments: argparse.Namespace) -> int:
    """Release the lung network."""
    from training.lung_release import NonFilms, release_lungs

    artifact = release_lungs(
        arguments.run_dir,
        arguments.version,
        arguments.models,
        arguments.manifest,
        NonFilms(arguments.tuning_non_films, arguments.held_out_non_films),
        arguments.part,
        is_release=arguments.release,
    )
    verdict = artifact.manifest.evaluation["verdict"]
    for entry in verdict["criteria"]:
        print(f"{entry['name']}: {entry['value']:.4g} ({'passed' if entry['passed'] else 'failed'})")
    print(f"{artifact.directory}: {'passed' if verdict['passed'] else 'failed'}")
    return 0 if verdict["passed"] else 1
