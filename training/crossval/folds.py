"""Folds by patient: one part is tested, the next validates, the rest trains.

The folds are made of the films that a manifest gives to training and validation; its part ``test`` stays unread. A
source's films are spread evenly over the folds, and so are its labels, as far as whole patients allow (scikit-learn's
stratified group k-fold).
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from app.domain.label_hierarchy import ENSEMBLE_LABELS
from training.datasets import Film, manifest_sha256, read_manifest
from training.recipe import Recipe
from training.splits import SplitError, check_groups

FEWEST_FOLDS: Final = 3
_READ: Final = ("train", "val")
_FINE: Final = ("pneumonia", "viral", "bacterial", "covid19", "no_finding")
_COARSE: Final = ("pneumonia",)


@dataclass(frozen=True, slots=True)
class Pool:
    """The films that folds are made of.

    Attributes
    ----------
    films
        Tested, each in one fold.
    extra
        Of lower quality (``train_extra``): only ever trained on, where no patient of theirs is tested or validates.
    manifests
        Hash by name.
    """

    films: list[Film]
    extra: list[Film]
    manifests: dict[str, str]


@dataclass(frozen=True, slots=True)
class Fold:
    """One fold, counted from 0; `train`, `val` and `test` share no patient."""

    number: int
    train: list[Film]
    val: list[Film]
    test: list[Film]

    def __post_init__(self) -> None:
        """Hold the parts apart.

        Raises
        ------
        SplitError
            If a patient group stands in two parts, or a part is empty.
        """
        parts = {"train": self.train, "val": self.val, "test": self.test}
        empty = [part for part, films in parts.items() if not films]
        if empty:
            raise SplitError(
                f"fold {self.number + 1} leaves no film in part {empty[0]}: give more patients, or fewer folds"
            )
        check_groups(replace(film, part=part) for part, films in parts.items() for film in films)


def read_pool(recipe: Recipe, manifests: Sequence[Path]) -> Pool:
    """Read the films of the parts ``train`` and ``val``; patients that several groups share become one group.

    Raises
    ------
    SplitError
        If a patient group stands in two parts of the manifests: what the part ``test`` holds back would be trained on.
    ManifestError
        If a manifest cannot be read.
    ValueError
        If the recipe leaves no film.
    """
    films = _joined([film for manifest in manifests for film in read_manifest(manifest)])
    check_groups(films)
    kept = [film for film in films if film.part in _READ and film.source not in recipe.exclude_sources]
    hashes = {f"{m.resolve().parent.name}/{m.name}": manifest_sha256(m) for m in manifests}
    pool = Pool([film for film in kept if not film.squashed], [film for film in kept if film.squashed], hashes)
    if not pool.films:
        raise ValueError("the recipe leaves no film to make folds of")
    return pool


def make_folds(pool: Pool, folds: int, seed: int) -> list[Fold]:
    """Cut a pool into folds; the same ones for the same pool and seed.

    Parameters
    ----------
    pool
        From `read_pool`.
    folds
        At least `FEWEST_FOLDS`: fold ``i`` is tested, fold ``i + 1`` validates, the others train.
    seed
        Of the shuffle.

    Raises
    ------
    SplitError
        If there are too few folds or patients.
    """
    patients = len({film.group for film in pool.films})
    if folds < FEWEST_FOLDS or folds > patients:
        raise SplitError(
            f"{folds} folds; {FEWEST_FOLDS} (tested, validating, training) to {patients} patients expected"
        )
    assigned = _assigned(pool.films, folds, seed)
    made = []
    for number in range(folds):
        held_out = {number: "test", (number + 1) % folds: "val"}
        parts: dict[str, list[Film]] = {"train": [], "val": [], "test": []}
        for film, fold in zip(pool.films, assigned, strict=True):
            parts[held_out.get(int(fold), "train")].append(film)
        taken = {film.group for part in ("val", "test") for film in parts[part]}
        parts["train"] += [film for film in pool.extra if film.group not in taken]
        made.append(Fold(number, **parts))
    return made


def folds_sha256(folds: Sequence[Fold]) -> str:
    """Hash which films are tested, validate and train in which fold."""
    digest = hashlib.sha256()
    for fold in folds:
        for part in (fold.train, fold.val, fold.test):
            digest.update(" ".join(sorted(f"{film.source}/{film.path.name}" for film in part)).encode() + b"\n")
    return digest.hexdigest()


def _joined(films: Sequence[Film]) -> list[Film]:
    """Give films of one patient one group: a second manifest may name the patient and not the group."""
    leader: dict[str, str] = {}

    def lead(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    for film in films:
        if film.patient:
            leader[lead(f"patient {film.patient}")] = lead(film.group)
    return [replace(film, group=lead(film.group)) for film in films]


def _assigned(films: Sequence[Film], folds: int, seed: int) -> NDArray[np.int64]:
    """Give every film's fold, ``(N,)``."""
    strata = _strata(films, folds)
    groups = np.array([film.group for film in films])
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    assigned = np.full(len(films), -1, np.int64)
    for fold, (_, tested) in enumerate(splitter.split(strata, strata, groups)):
        assigned[tested] = fold
    return assigned


def _strata(films: Sequence[Film], fewest: int) -> NDArray[np.str_]:
    """Name the films' (source, labels) cells ``(N,)``; one with too few films takes a coarser name."""
    names = [_cell(film, _FINE) for film in films]
    for coarser in (_COARSE, ()):
        sizes = Counter(names)
        names = [
            name if sizes[name] >= fewest else _cell(film, coarser) for film, name in zip(films, names, strict=True)
        ]
    sizes = Counter(names)
    rare = sum(size for size in sizes.values() if size < fewest)
    common = sizes.most_common(1)[0][0]
    stand_in = "rare" if rare >= fewest or sizes[common] < fewest else common
    return np.array([name if sizes[name] >= fewest else stand_in for name in names])


def _cell(film: Film, labels: tuple[str, ...]) -> str:
    values = (film.targets[ENSEMBLE_LABELS.index(label)] for label in labels)
    return " ".join([film.source, *("?" if np.isnan(value) else str(int(value)) for value in values)])
