"""The shortcut audit finds the shortcuts that were put there."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.domain.lungs import LungFields
from app.domain.preprocessing import Placement, place
from tests.unit.training.audit_films import bars, film
from training.audit.blackout import measure_blackout
from training.audit.outside_lungs import divergence_maps, measure_outside_lungs, share_over, shares_outside
from training.audit.scan import Scan, Variant
from training.audit.source_probe import measure_source_prediction, probe_source
from training.audit.trivial_cues import CueReader, measure_trivial_cues, trivial_cues

RANDOM = np.random.default_rng(0)


def _scan(cam: np.ndarray, placements: Sequence[Placement | None], lungs: Sequence[LungFields | None]) -> Scan:
    scores: dict[Variant, np.ndarray] = {"untouched": cam[:, 1:].mean(axis=(2, 3)).astype(np.float64)}
    return Scan(scores, cam.mean(axis=(2, 3)), cam, tuple(placements), tuple(lungs))


def test_a_network_that_reads_the_lungs_falls_to_chance_without_them() -> None:
    films = [film(str(k), "alpha", covid19=float(k % 2)) for k in range(200)]
    truth = np.arange(200, dtype=np.float64) % 2
    noise = np.random.default_rng(1).normal(0, 1, (200, 1))
    scores: dict[Variant, np.ndarray] = {
        "untouched": truth[:, None] + 0.1 * noise,
        "only_lungs": truth[:, None] + 0.1 * noise,
        "lungs_blacked_out": noise,
    }

    row = measure_blackout(films, truth, scores, 0)["source alpha"]

    assert row.untouched.value == row.only_lungs.value == 1.0
    assert row.lungs_blacked_out.low is not None
    assert row.lungs_blacked_out.high is not None
    assert row.lungs_blacked_out.low < 0.5 < row.lungs_blacked_out.high


def test_films_without_lungs_are_left_out_of_all_three() -> None:
    films = [film(str(k), covid19=float(k % 2)) for k in range(20)]
    truth = np.arange(20, dtype=np.float64) % 2
    untouched = np.where(np.arange(20) < 4, 1 - truth, truth)[:, None]
    without = np.where(np.arange(20)[:, None] < 4, np.nan, truth[:, None])
    scores: dict[Variant, np.ndarray] = {
        "untouched": untouched,
        "only_lungs": without,
        "lungs_blacked_out": without,
    }

    row = measure_blackout(films, truth, scores, 0)["pooled"]

    assert row.films == 16
    assert row.untouched.value == 1.0


def test_cues_see_no_anatomy() -> None:
    grey = RANDOM.integers(0, 256, (60, 80), np.uint8)
    shuffled = grey.copy()
    inside = shuffled[3:-3, 3:-3]
    shuffled[3:-3, 3:-3] = RANDOM.permuted(inside.ravel()).reshape(inside.shape)

    np.testing.assert_allclose(trivial_cues(grey, 1000), trivial_cues(shuffled, 1000))
    assert (trivial_cues(grey, 1000) != trivial_cues(grey.T, 1000)).any()


def _write(folder: Path, name: str, height: int, width: int) -> Path:
    path = folder / f"{name}.png"
    Image.fromarray(RANDOM.integers(0, 256, (height, width), np.uint8)).save(path)
    return path


def test_the_baseline_finds_that_the_shape_is_the_label(tmp_path: Path) -> None:
    made = [
        film(str(k), covid19=float(k % 2), path=_write(tmp_path, str(k), 30, 30 + 10 * (k % 2))) for k in range(120)
    ]

    found = measure_trivial_cues(made[:80], made[80:], "covid19", CueReader())

    assert found is not None
    assert found.trained_on == 80
    assert found.subgroups["source alpha"].auroc.value == 1.0


def test_one_class_has_no_baseline(tmp_path: Path) -> None:
    made = [film(str(k), path=_write(tmp_path, str(k), 30, 30)) for k in range(4)]

    assert measure_trivial_cues(made, made, "covid19", CueReader()) is None


def test_a_source_that_is_written_into_the_features_is_told() -> None:
    sources = np.array(["alpha", "beta", "gamma"] * 40)
    groups = np.arange(120).astype(str)
    features = np.stack([(sources == name).astype(np.float32) for name in ("alpha", "beta", "gamma")], axis=1)

    told = probe_source(features, sources, groups)
    noise = probe_source(np.random.default_rng(0).normal(0, 1, (120, 4)).astype(np.float32), sources, groups)

    assert told is not None
    assert noise is not None
    assert told.balanced_accuracy.value == 1.0
    assert noise.chance == pytest.approx(1 / 3)
    assert noise.balanced_accuracy.low is not None
    assert noise.balanced_accuracy.low < noise.chance + 0.1


def test_a_patient_known_by_heart_does_not_help() -> None:
    """Every patient has a feature of its own: only a probe that held patients apart fails here."""
    patients = np.repeat(np.arange(40), 3)
    sources = np.where(patients % 2 == 0, "alpha", "beta")
    features = np.eye(40, dtype=np.float32)[patients]

    found = probe_source(features, sources, patients.astype(str))

    assert found is not None
    assert found.balanced_accuracy.value is not None
    assert found.balanced_accuracy.value < 0.75


def test_one_source_cannot_be_told_from_nothing() -> None:
    found = measure_source_prediction(
        np.ones((30, 2), np.float32),
        np.array(["alpha"] * 30),
        np.arange(30).astype(str),
        {"covid19": np.arange(30, dtype=np.float64) % 2},
    )

    assert found.everything is None
    assert found.within == {}


def _inside_and_outside() -> np.ndarray:
    """Maps of four films: in the lungs' columns, beside them, everywhere, and nowhere."""
    evidence = np.zeros((4, 2, 8, 8), np.float32)
    evidence[0, 1, :, [1, 2, 5, 6]] = 1.0
    evidence[1, 1, :, [0, 3, 4, 7]] = 1.0
    evidence[2, 1] = 1.0
    return evidence


def test_the_share_outside_follows_the_evidence() -> None:
    placements = [place(64, 64, 64)] * 4
    scan = _scan(_inside_and_outside(), placements, [bars(64, 64)] * 4)

    found = measure_outside_lungs(scan, 1, np.array([1.0, 1.0, 0.0, 0.0]), np.array(list("abcd")))

    shares = shares_outside(scan, list(scan.cam[:, 1]))
    assert shares[0] < 0.5 < shares[1]
    assert np.isnan(shares[3])
    assert found.addk is None
    assert found.cam["all"].films == 3
    assert found.flat["all"].mean.value == pytest.approx(shares[2]) == pytest.approx(0.5, abs=0.02)


def test_films_without_lungs_or_refused_have_no_share() -> None:
    scan = _scan(_inside_and_outside(), [place(64, 64, 64), None, None, None], [None, bars(64, 64), None, None])

    shares = shares_outside(scan, list(scan.cam[:, 1]))

    assert np.isnan(shares).all()
    assert share_over(shares, np.array(list("abcd"))).mean.value is None


def test_there_is_no_divergence_of_maps_of_different_places() -> None:
    one = _scan(_inside_and_outside(), [place(64, 64, 64)] * 4, [None] * 4)
    other = _scan(_inside_and_outside(), [place(64, 64, 64, (8, 8, 40, 40))] * 4, [None] * 4)

    with pytest.raises(ValueError, match="another part of the film"):
        divergence_maps(one, 1, other, 1)
    assert divergence_maps(one, 1, one, 1)[2] is not None
