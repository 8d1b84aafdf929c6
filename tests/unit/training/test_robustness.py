"""Perturbations, and what is said of their effect."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.calibration import Calibration
from tests.unit.training.audit_films import drawn_subject
from training.audit.perturbations import PERTURBATIONS, compressed, noisy, shifted, windowed
from training.audit.robustness import Twin, correlation, measure_robustness
from training.audit.scan import scan
from training.audit.subject import Decider
from training.datasets import Film, read_manifest
from training.phantoms import radiograph_phantom

GREY = radiograph_phantom(48, 42, seed=3)


@pytest.mark.parametrize("name", list(PERTURBATIONS))
def test_a_perturbation_keeps_the_film_a_film(name: str) -> None:
    before = GREY.copy()

    after = PERTURBATIONS[name](GREY, np.random.default_rng(0))

    assert (after.shape, after.dtype) == (GREY.shape, GREY.dtype)
    assert (after != GREY).any()
    np.testing.assert_array_equal(GREY, before)


def test_noise_changes_no_pixel_by_more_than_one_percent() -> None:
    after = noisy(GREY, np.random.default_rng(0))

    assert np.abs(after.astype(int) - GREY).max() <= 3


def test_a_shift_moves_every_pixel_by_one() -> None:
    np.testing.assert_array_equal(shifted(GREY, np.random.default_rng(0))[1:, 1:], GREY[:-1, :-1])


def test_jpeg_stays_close() -> None:
    assert np.abs(compressed(GREY, np.random.default_rng(0)).astype(int) - GREY).mean() < 5


def test_a_narrower_window_has_more_contrast_and_a_higher_one_is_darker() -> None:
    random = np.random.default_rng(0)

    assert windowed(0.95)(GREY, random).std() > GREY.std() > windowed(1.05)(GREY, random).std()
    assert windowed(1.0, 0.05)(GREY, random).mean() < GREY.mean()


@given(seed=st.integers(0, 1000), scale=st.floats(0.1, 10), offset=st.floats(-5, 5))
def test_a_correlation_ignores_scale_and_offset(seed: int, scale: float, offset: float) -> None:
    values = np.random.default_rng(seed).normal(0, 1, (7, 7))

    assert correlation(values, scale * values + offset) == pytest.approx(1.0)
    assert correlation(values, -scale * values + offset) == pytest.approx(-1.0)
    assert np.isnan(correlation(values, np.full((7, 7), offset)))


@pytest.fixture
def films(phantom_manifest: Path) -> list[Film]:
    return [film for film in read_manifest(phantom_manifest) if film.part == "val"][:12]


def test_decisions_far_from_the_threshold_do_not_flip(films: list[Film]) -> None:
    subject = drawn_subject()
    found = scan(subject, films, None, ("untouched",))

    far = measure_robustness(subject, found, films, lungs=None, deciders={"covid19": Decider(Calibration(), 0.01)})
    middle = float(np.median(found.scores["untouched"]))
    near = measure_robustness(
        subject, found, films, lungs=None, deciders={"covid19": Decider(Calibration(1000.0, -1000.0 * middle), 0.5)}
    )

    assert far.twin is None
    assert "twin" in far.missing
    changes = far.perturbations["covid19"]
    assert set(changes) == set(PERTURBATIONS)
    assert all(change.films == 12 and change.flips == 0.0 for change in changes.values())
    assert all(change.map_correlation is not None and change.map_correlation > 0.9 for change in changes.values())
    assert any((change.flips or 0.0) > 0.0 for change in near.perturbations["covid19"].values())
    assert set(far.newly_refused.values()) == {0}


def test_a_network_is_its_own_twin(films: list[Film]) -> None:
    subject = drawn_subject()
    found = scan(subject, films, None, ("untouched",))
    deciders = {"covid19": Decider(Calibration(), 0.6)}

    change = measure_robustness(
        subject, found, films, lungs=None, deciders=deciders, twin=Twin(subject, found, deciders)
    ).twin

    assert change is not None
    assert (change["covid19"].p95, change["covid19"].flips) == (0.0, 0.0)
    assert change["covid19"].map_correlation == pytest.approx(1.0)
