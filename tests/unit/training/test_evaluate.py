"""Subgroups and numbers of an evaluation."""

from pathlib import Path

import numpy as np
import pytest

from training.calibrate import paediatric_sources
from training.datasets import Film, read_manifest
from training.evaluate import calibration_error, subgroups, view_of


def _films(manifest: Path) -> list[Film]:
    return [film for film in read_manifest(manifest) if film.part == "test"]


def test_every_film_is_in_one_source_one_age_and_one_view(phantom_manifest: Path) -> None:
    films = _films(phantom_manifest)

    cut = subgroups(films)

    for prefix in ("source ", "view "):
        assert (np.sum([where for name, where in cut.items() if name.startswith(prefix)], axis=0) == 1).all()
    ages = [cut[name] for name in ("adults", "children", "age not stated") if name in cut]
    assert (np.sum(ages, axis=0) == 1).all()


def test_the_paediatric_source_is_left_out_by_name(phantom_manifest: Path) -> None:
    films = _films(phantom_manifest)

    without = subgroups(films)["without kids"]

    assert paediatric_sources(films) == ("kids",)
    assert not any(film.source == "kids" for film, kept in zip(films, without, strict=True) if kept)


@pytest.mark.parametrize(("view", "name"), [("AP Supine", "AP"), ("PA", "PA"), ("", "not stated"), ("L", "not stated")])
def test_supine_films_are_ap_films(phantom_manifest: Path, view: str, name: str) -> None:
    film = _films(phantom_manifest)[0]

    fields = {field: getattr(film, field) for field in film.__slots__}

    assert view_of(Film(**{**fields, "view": view})) == name


def test_calibrated_probabilities_have_a_small_calibration_error() -> None:
    random = np.random.default_rng(0)
    probabilities = random.random(30_000)
    truth = random.random(30_000) < probabilities

    good, bad = calibration_error(truth, probabilities), calibration_error(truth, probabilities**4)

    assert good is not None
    assert bad is not None
    assert good < 0.02 < bad


def test_too_few_films_have_no_calibration_error() -> None:
    assert calibration_error(np.ones(3, bool), np.ones(3)) is None
