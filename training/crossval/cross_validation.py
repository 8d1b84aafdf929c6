"""Every architecture on every fold, in a directory that can be carried on with, and the table of what came out."""

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from tqdm import tqdm

from training.crossval.answers import Answers, is_finished, mean_of, read_answers, source_alone, train_and_answer
from training.crossval.folds import Fold, folds_sha256
from training.crossval.results import CrossValidation, ModelResult, evaluate_model, facts_of
from training.crossval.tables import markdown_of
from training.lung_finder import LungFinder
from training.recipe import Recipe
from training.recipe_changes import with_changes

PLAN_FILE: Final = "plan.json"
RESULT_FILE: Final = "crossval.json"
TABLE_FILE: Final = "crossval.md"
ENSEMBLE: Final = "ensemble"
SOURCE_ALONE: Final = "source alone"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is cross-validated.

    Attributes
    ----------
    recipe
        Multi-label; its architecture is replaced by each of ``architectures``.
    architectures
        In the order of the table.
    folds
        All of them.
    manifests
        Hashes of the data.
    """

    recipe: Recipe
    architectures: tuple[str, ...]
    folds: tuple[Fold, ...]
    manifests: dict[str, str]

    def __post_init__(self) -> None:
        """Refuse what cannot be cross-validated here."""
        if self.recipe.kind != "multilabel":
            raise ValueError("an expert's recipe; a multi-label one expected (kind: multilabel)")
        if not self.architectures or len(set(self.architectures)) < len(self.architectures):
            raise ValueError("name every architecture once")

    def recipe_of(self, architecture: str) -> Recipe:
        """Give an architecture's recipe."""
        return with_changes(self.recipe, {"architecture": architecture})

    @property
    def identity(self) -> dict[str, Any]:  # Any: JSON
        """What a directory must have been made by to be carried on with; architectures may join later."""
        recipe = self.recipe.model_dump(mode="json")
        del recipe["architecture"]
        return {
            "recipe": recipe,
            "folds": len(self.folds),
            "folds_sha256": folds_sha256(self.folds),
            "manifests_sha256": self.manifests,
        }


def fold_directory(directory: Path, architecture: str, fold: Fold) -> Path:
    """Name the directory of one run."""
    return directory / architecture / f"fold-{fold.number + 1}"


def cross_validate(
    plan: Plan,
    directory: Path,
    only: Sequence[int] = (),
    lungs: LungFinder | None = None,
    device: str = "auto",
) -> CrossValidation:
    """Train what is not trained yet, then measure and write the tables.

    Parameters
    ----------
    plan
        What to do.
    directory
        Of the runs and tables. A finished fold is not trained again, a stopped one is carried on with.
    only
        Numbers of the folds to train, counted from 1; empty trains all. Folds that other calls finished are reported.
    lungs, device
        As for `training.train.Run`.

    Raises
    ------
    ValueError
        If the directory holds a cross-validation of another recipe or other films, or no fold is finished.
    """
    _claim(plan, directory)
    wanted = [fold for fold in plan.folds if not only or fold.number + 1 in only]
    steps = [(fold, architecture) for fold in wanted for architecture in plan.architectures]
    for fold, architecture in tqdm(steps, "cross-validation", unit="run"):
        tqdm.write(f"fold {fold.number + 1}/{len(plan.folds)}, {architecture}")
        target = fold_directory(directory, architecture, fold)
        train_and_answer(plan.recipe_of(architecture), fold, plan.manifests, target, lungs, device)
    result = evaluate(plan, directory)
    (directory / RESULT_FILE).write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (directory / TABLE_FILE).write_text(markdown_of(result), encoding="utf-8")
    return result


def evaluate(plan: Plan, directory: Path) -> CrossValidation:
    """Measure the folds that every architecture has finished."""
    done = [
        fold
        for fold in plan.folds
        if all(is_finished(fold_directory(directory, architecture, fold)) for architecture in plan.architectures)
    ]
    if not done:
        raise ValueError(f"{directory} holds no fold that {', '.join(plan.architectures)} have finished")
    answers: dict[str, list[Answers]] = {
        architecture: [read_answers(fold_directory(directory, architecture, fold), fold) for fold in done]
        for architecture in plan.architectures
    }
    models: list[ModelResult] = [evaluate_model(name, done, given) for name, given in answers.items()]
    if len(answers) > 1:
        means = [mean_of(list(members)) for members in zip(*answers.values(), strict=True)]
        models.append(evaluate_model(ENSEMBLE, done, means, plan.architectures))
    models.append(evaluate_model(SOURCE_ALONE, done, [source_alone(fold) for fold in done]))
    return CrossValidation(
        recipe=plan.identity["recipe"],
        seed=plan.recipe.seed,
        planned_folds=len(plan.folds),
        folds=tuple(facts_of(fold) for fold in done),
        models=tuple(models),
        manifests_sha256=plan.manifests,
        versions={"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()},
    )


def _claim(plan: Plan, directory: Path) -> None:
    """Take a new directory, or check that it holds this cross-validation."""
    path, identity = directory / PLAN_FILE, plan.identity
    if path.is_file():
        stored = json.loads(path.read_text(encoding="utf-8"))
        other = [name for name, value in identity.items() if stored.get(name) != value]
        if other:
            raise ValueError(
                f"{directory} holds a cross-validation of other {', '.join(other)}; choose another directory"
            )
        return
    directory.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(identity, indent=1) + "\n", encoding="utf-8")
