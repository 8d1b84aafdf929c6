"""Folds by patient: nobody stands on two sides, everybody is tested once, the test part stays unread."""

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.training.phantom_data import Row, rows, tiny_recipe, write_data
from training.crossval.folds import Fold, Pool, folds_sha256, make_folds, read_pool
from training.datasets import Film
from training.recipe import Recipe
from training.splits import SplitError


def _recipe(**changes: object) -> Recipe:
    return tiny_recipe(kind="multilabel", target=None, **changes)


def _film(number: int, group: str, source: str = "alpha", covid: float = 0.0, squashed: bool = False) -> Film:
    targets = tuple([1.0, covid, covid] + [0.0] * 11)
    return Film(Path(f"{number}.png"), "train", source, group, False, "", "", targets, False, squashed)


def _pool(films: int = 120) -> Pool:
    """Three films a patient; a source of a quarter, a label of a third."""
    made = [
        _film(k, f"p{k // 3}", "beta" if k // 3 % 4 == 0 else "alpha", float(k // 3 % 3 == 0)) for k in range(films)
    ]
    return Pool(made, [], {})


def _with_patients(manifest: Path, patients: dict[int, str], groups: bool = True) -> Path:
    """Write patient identifiers into a manifest, by row; without its column of groups where not wanted."""
    with manifest.open(newline="", encoding="utf-8") as handle:
        found = [{**row, "patient_id": patients.get(k, "")} for k, row in enumerate(csv.DictReader(handle))]
    columns = [name for name in found[0] if groups or name != "group"]
    with manifest.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(found)
    return manifest


@pytest.mark.parametrize("folds", [3, 5])
def test_every_film_is_tested_once_and_no_patient_stands_on_two_sides(folds: int) -> None:
    pool = _pool()

    made = make_folds(pool, folds, seed=1)

    assert Counter(film.path for fold in made for film in fold.test) == Counter(film.path for film in pool.films)
    for fold in made:
        parts = [{film.group for film in part} for part in (fold.train, fold.val, fold.test)]
        assert sum(len(part) for part in parts) == len(set().union(*parts)) == 40
        assert fold.val == made[(fold.number + 1) % folds].test


def test_sources_and_labels_are_spread_over_the_folds() -> None:
    for fold in make_folds(_pool(), 5, seed=1):
        assert 3 <= sum(film.source == "beta" for film in fold.test) <= 9
        assert 6 <= sum(film.targets[2] == 1 for film in fold.test) <= 12


def test_the_seed_decides_the_folds() -> None:
    hashes = [folds_sha256(make_folds(_pool(), 5, seed)) for seed in (1, 1, 2)]

    assert hashes[0] == hashes[1] != hashes[2]


def test_a_fold_with_a_patient_on_two_sides_cannot_be_made() -> None:
    first, second, third = (_film(k, f"p{k}") for k in range(3))

    with pytest.raises(SplitError, match="more than one part: p0"):
        Fold(0, [first], [second], [third, replace(first, path=Path("again.png"))])


def test_a_fold_without_validation_cannot_be_made() -> None:
    with pytest.raises(SplitError, match="no film in part val"):
        Fold(0, [_film(0, "p0")], [], [_film(1, "p1")])


@pytest.mark.parametrize("folds", [2, 41])
def test_too_few_folds_or_patients_are_refused(folds: int) -> None:
    with pytest.raises(SplitError, match="to 40 patients expected"):
        make_folds(_pool(), folds, seed=1)


def test_labels_of_a_single_patient_do_not_stop_the_folds() -> None:
    films = [*_pool(60).films, _film(90, "only", "rare")]

    made = make_folds(Pool(films, [], {}), 5, seed=1)

    assert sum("only" in {film.group for film in fold.test} for fold in made) == 1


def test_the_test_part_is_in_no_fold_and_may_not_share_a_patient(phantom_manifest: Path, tmp_path: Path) -> None:
    pool = read_pool(_recipe(), [phantom_manifest])
    leaking = write_data(tmp_path, [*rows("train", 8), Row("test", "alpha", "train-0", 1, 1)], size=32)

    assert pool.films
    assert all(film.part in ("train", "val") for film in [*pool.films, *pool.extra])
    with pytest.raises(SplitError, match="more than one part"):
        read_pool(_recipe(), [leaking])


def test_extra_films_of_a_held_out_patient_are_left_out_though_the_manifests_name_groups_differently(
    tmp_path: Path,
) -> None:
    own = [Row("train", "alpha", f"g{k}", k % 2, 1) for k in range(9)]
    others = [Row("train_extra", "alpha", "", 0, 1) for _ in range(4)]
    first = _with_patients(write_data(tmp_path, own, size=32), {k: f"patient-{k}" for k in range(9)})
    names = {0: "patient-0", 1: "patient-1", 2: "somebody", 3: "somebody"}
    second = _with_patients(write_data(tmp_path, others, size=32, file="extra.csv"), names, groups=False)
    pool = read_pool(_recipe(), [first, second])

    folds = make_folds(pool, 3, seed=1)

    for fold in folds:
        held_out = {film.patient for film in [*fold.val, *fold.test]}
        assert not any(film.squashed for film in [*fold.val, *fold.test])
        assert {film.patient for film in fold.train}.isdisjoint(held_out)
        expected = 2 + sum(f"alpha:{name}" not in held_out for name in ("patient-0", "patient-1"))
        assert sum(film.squashed for film in fold.train) == expected
    assert any(f"alpha:{name}" in {film.patient for film in folds[0].test + folds[0].val} for name in names.values())


def test_excluded_sources_are_in_no_fold(phantom_manifest: Path) -> None:
    recipe = _recipe(exclude_sources=("kids",))

    assert {film.source for film in read_pool(recipe, [phantom_manifest]).films} == {"alpha", "beta"}
    with pytest.raises(ValueError, match="no film"):
        read_pool(_recipe(exclude_sources=("kids", "alpha", "beta")), [phantom_manifest])
