"""Which films train, which choose, which are only measured: by patient, the classes in equal shares."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np

from training.multiclass.films import FilmSet, LabelledFilm
from training.splits import SplitError

HeldOut: TypeAlias = Literal["split", "val", "test"]
SHARES: Final = {"text": (0.70, 0.15, 0.15), "code": (0.7225, 0.1275, 0.15)}
"""Train, validation and test: what papers/3 writes, and what its released code does (SPEC 3.1)."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Films of a run: ``train`` is learned from, ``validation`` chooses, ``held_out`` is only measured."""

    train: tuple[LabelledFilm, ...]
    validation: tuple[LabelledFilm, ...]
    held_out: tuple[LabelledFilm, ...]


def divided(films: FilmSet, held_out: HeldOut, shares: tuple[float, float, float], seed: int) -> Parts:
    """Divide the films of a run.

    Parameters
    ----------
    films
        All of them.
    held_out
        ``test`` and ``val`` name the part of the lists that is only measured: the other films of the lists train, and
        those of their part ``val`` choose (where they have one that is not held out; otherwise it is split from those
        that train). With ``val`` the lists' part ``test`` is left alone. ``split`` takes no notice of the lists' parts
        and splits all films.
    shares
        Of training, validation and held-out films, where something is split.
    seed
        Of the split.

    Returns
    -------
    Parts
        With every class in training and validation.

    Raises
    ------
    SplitError
        If a patient stands in two parts of the lists, a part that is needed is not there, or a class is missing.
    """
    if held_out == "split":
        train, validation, measured = stratified(films.films, shares, seed)
    else:
        _check_groups(films.films)
        by_part = {part: [film for film in films.films if film.part == part] for part in ("train", "val", "test")}
        loose = sum(not film.part for film in films.films)
        if loose:
            raise SplitError(f"{loose} films are in no part; held out by the lists' own parts, every film needs one")
        measured = by_part[held_out]
        if not measured:
            raise SplitError(f"the lists have no film in part {held_out!r}")
        train, validation = by_part["train"], by_part["val"] if held_out == "test" else []
        if not validation:
            total = shares[0] + shares[1]
            train, validation, _ = stratified(train, (shares[0] / total, shares[1] / total, 0.0), seed)
    for name, part in (("training", train), ("validation", validation)):
        missing = [each for index, each in enumerate(films.classes) if all(film.label != index for film in part)]
        if missing:
            raise SplitError(f"the {name} part has no film of {', '.join(missing)}")
    return Parts(tuple(train), tuple(validation), tuple(measured))


def stratified(
    films: Sequence[LabelledFilm], shares: tuple[float, float, float], seed: int
) -> tuple[list[LabelledFilm], list[LabelledFilm], list[LabelledFilm]]:
    """Split films into three parts so that no group is parted and every class has the same shares.

    Groups of a class (of several: its rarest) come in random order, each to the part that lacks most films of its share
    of that class.

    Raises
    ------
    ValueError
        If the shares are negative or do not sum to one.
    """
    if min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
        raise ValueError(f"shares {shares}; three of at least 0 that sum to 1 expected")
    groups: dict[str, list[LabelledFilm]] = defaultdict(list)
    for film in films:
        groups[film.group].append(film)
    sizes = Counter(film.label for film in films)
    strata: dict[int, list[str]] = defaultdict(list)
    for name, members in groups.items():
        strata[min({film.label for film in members}, key=lambda label: (sizes[label], label))].append(name)
    random = np.random.default_rng(seed)
    parts: tuple[list[LabelledFilm], ...] = ([], [], [])
    for label in sorted(strata):
        names = sorted(strata[label])
        total = sum(len(groups[name]) for name in names)
        taken = [0, 0, 0]
        for k in random.permutation(len(names)):
            lacking = [share * total - count for share, count in zip(shares, taken, strict=True)]
            chosen = max((part for part in range(3) if shares[part] > 0), key=lambda part: lacking[part])
            parts[chosen].extend(groups[names[k]])
            taken[chosen] += len(groups[names[k]])
    return parts[0], parts[1], parts[2]


def _check_groups(films: Sequence[LabelledFilm]) -> None:
    parts: dict[str, set[str]] = defaultdict(set)
    for film in films:
        parts[film.group].add(film.part)
    crossing = sorted(group for group, where in parts.items() if len(where) > 1)
    if crossing:
        raise SplitError(f"{len(crossing)} patients are in more than one part: {', '.join(crossing[:5])}")
