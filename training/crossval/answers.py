"""What a network answers of the films it did not train on: trained, scored and stored, one fold at a time."""

import math
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from app.domain.calibration import sigmoid
from app.domain.label_hierarchy import ENSEMBLE_LABELS, corrected
from training.crossval.folds import Fold
from training.datasets import Film
from training.engine import BEST_FILE, LAST_FILE
from training.loading import load_inputs
from training.lung_finder import LungFinder
from training.recipe import Recipe
from training.train import Run, TrainingSet, scores_of

Values = NDArray[np.float64]
ANSWERS_FILE: Final = "answers.npz"
_PRIOR_FILMS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Answers:
    """Sigmoid probabilities, children not yet held to their parents.

    Attributes
    ----------
    val, test
        ``(N, 14)`` and ``(M, 14)`` of the fold's films, in their order.
    seconds
        It took to train.
    epoch
        That validation chose, counted from 1; 0 where nothing was trained.
    """

    val: Values
    test: Values
    seconds: float = math.nan
    epoch: int = 0


def is_finished(directory: Path) -> bool:
    """Whether a fold's answers are stored."""
    return (directory / ANSWERS_FILE).is_file()


def train_and_answer(
    recipe: Recipe,
    fold: Fold,
    manifests: dict[str, str],
    directory: Path,
    lungs: LungFinder | None = None,
    device: str = "auto",
) -> Answers:
    """Train one network on one fold and let it answer; carries on where it was stopped.

    Raises
    ------
    ValueError
        If the directory holds a run of another recipe.
    """
    if is_finished(directory):
        return read_answers(directory, fold)
    run = Run(recipe, TrainingSet(fold.train, fold.val, manifests), directory, lungs, device)
    run.train()
    stored = torch.load(directory / BEST_FILE, map_location="cpu", weights_only=True)
    run.task.network.load_state_dict(stored["network"])
    val, test = (
        sigmoid(scores_of(run.task.network, load_inputs(films, recipe.specification, run.task.lungs)))
        for films in (fold.val, fold.test)
    )
    answers = Answers(val, test, float(sum(run.loop.seconds)), int(stored["epoch"]))
    unfinished = directory / f"{ANSWERS_FILE}.part"
    with unfinished.open("wb") as handle:
        np.savez(handle, val=val, test=test, seconds=answers.seconds, epoch=answers.epoch)
    unfinished.replace(directory / ANSWERS_FILE)
    (directory / LAST_FILE).unlink()  # nothing is left to carry on with
    return answers


def read_answers(directory: Path, fold: Fold) -> Answers:
    """Read a finished fold.

    Raises
    ------
    ValueError
        If the file is damaged or holds other films' answers.
    """
    path = directory / ANSWERS_FILE
    try:
        with np.load(BytesIO(path.read_bytes())) as stored:
            answers = Answers(stored["val"], stored["test"], float(stored["seconds"]), int(stored["epoch"]))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read ({error}): delete it, and the fold is scored again") from error
    expected = ((len(fold.val), len(ENSEMBLE_LABELS)), (len(fold.test), len(ENSEMBLE_LABELS)))
    if (answers.val.shape, answers.test.shape) != expected:
        raise ValueError(
            f"{path} holds {answers.val.shape} and {answers.test.shape}; {expected[0]} and {expected[1]} expected"
        )
    return answers


def mean_of(members: list[Answers]) -> Answers:
    """Average the members' probabilities: the ensemble (SPEC 2.6)."""
    return Answers(
        np.mean([each.val for each in members], axis=0),
        np.mean([each.test for each in members], axis=0),
        float(sum(each.seconds for each in members)),
    )


def source_alone(fold: Fold) -> Answers:
    """Answer without looking: how frequent a label is among the training films of a film's source.

    Whatever a network does not add to this, it may owe to telling hospitals apart.
    """
    truth = targets(fold.train)
    overall = _frequency(truth, np.full(truth.shape[1], 0.5))
    sources = np.array([film.source for film in fold.train])
    known = {source: _frequency(truth[sources == source], overall) for source in np.unique(sources).tolist()}
    val, test = (np.stack([known.get(film.source, overall) for film in films]) for films in (fold.val, fold.test))
    return Answers(val, test)


def targets(films: list[Film]) -> Values:
    """Targets ``(N, 14)``; NaN is unknown."""
    return np.array([film.targets for film in films], np.float64)


def held_to_parents(probabilities: Values) -> Values:
    """Lower every label ``(N, 14)`` to its parent's probability, as the service does."""
    rows = (corrected(dict(zip(ENSEMBLE_LABELS, row, strict=True))) for row in probabilities.tolist())
    return np.array([[row[label] for label in ENSEMBLE_LABELS] for row in rows], np.float64)


def _frequency(truth: Values, prior: Values) -> Values:
    known = ~np.isnan(truth)
    positives = np.where(known, truth, 0.0).sum(axis=0)
    frequency: Values = (positives + _PRIOR_FILMS * prior) / (known.sum(axis=0) + _PRIOR_FILMS)
    return frequency
