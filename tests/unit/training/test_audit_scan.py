"""What a network is fed with in the audit, and what is kept of its answers."""

from pathlib import Path

import numpy as np
import pytest

from app.domain.lung_input import visible_lungs
from app.domain.preprocessing import InputSpecification, place
from tests.toy_models import write_lungs
from tests.unit.training.audit_films import bars, drawn_subject
from training.audit.scan import scan, variant_input
from training.datasets import Film, read_manifest
from training.lung_finder import LungFinder
from training.onnx_session import score_films, serving_input
from training.phantoms import radiograph_phantom

SPECIFICATION = InputSpecification(size_px=56)


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> LungFinder:
    """Finds the lungs of phantoms by their darkness."""
    return LungFinder(write_lungs(tmp_path_factory.mktemp("models")))


@pytest.fixture
def films(phantom_manifest: Path) -> list[Film]:
    return [film for film in read_manifest(phantom_manifest) if film.part == "val"][:20]


def test_the_two_blackouts_make_up_the_film() -> None:
    grey = radiograph_phantom(48, 42, seed=1)
    whole = serving_input(grey, SPECIFICATION)
    placement = place(48, 42, 56)
    black = serving_input(grey, SPECIFICATION)[..., :1, :1]  # a corner of the padding

    inside = variant_input(whole, placement, "only_lungs", SPECIFICATION, bars(48, 42))
    outside = variant_input(whole, placement, "lungs_blacked_out", SPECIFICATION, bars(48, 42))

    assert inside is not None
    assert outside is not None
    np.testing.assert_allclose((inside - black) + (outside - black), whole - black, atol=1e-5)


def test_only_what_is_no_lung_stays_where_the_lungs_are_blacked_out() -> None:
    grey = radiograph_phantom(56, 56, seed=2)
    whole = serving_input(grey, SPECIFICATION)
    placement = place(56, 56, 56)

    outside = variant_input(whole, placement, "lungs_blacked_out", SPECIFICATION, bars(56, 56))

    assert outside is not None
    visible = visible_lungs(bars(56, 56), placement.extent, 56, 56)
    black = -np.array(SPECIFICATION.mean) / np.array(SPECIFICATION.std)
    np.testing.assert_allclose(
        outside[0][:, visible == 1.0], np.repeat(black[:, None], (visible == 1.0).sum(), 1), 1e-5
    )
    np.testing.assert_allclose(outside[0][:, visible == 0.0], whole[0][:, visible == 0.0], atol=1e-6)


@pytest.mark.parametrize("variant", ["lungs_blacked_out", "only_lungs"])
def test_without_lungs_there_is_nothing_to_black_out(variant: str) -> None:
    whole = serving_input(radiograph_phantom(48, 42, seed=1), SPECIFICATION)

    assert variant_input(whole, place(48, 42, 56), variant, SPECIFICATION, None) is None  # type: ignore[arg-type]  # drawn


def test_untouched_scores_are_those_of_serving(films: list[Film], finder: LungFinder) -> None:
    subject = drawn_subject(InputSpecification(size_px=56, crop="lungs", crop_margin=0.1))

    found = scan(subject, films, finder)

    served = score_films(subject.network, films, subject.specification, "expert", finder)
    np.testing.assert_allclose(found.scores["untouched"], served, atol=1e-6)
    assert found.cam.shape == (20, 2, 7, 7)
    assert found.refused == 0
    np.testing.assert_allclose(found.pooled[:, 0], found.cam[:, 1].mean(axis=(1, 2)), atol=1e-6)


def test_a_network_that_adds_up_brightness_sees_less_of_a_blacked_out_film(
    films: list[Film], finder: LungFinder
) -> None:
    found = scan(drawn_subject(), films, finder)

    inside, outside = found.scores["only_lungs"], found.scores["lungs_blacked_out"]
    np.testing.assert_allclose(inside + outside, found.scores["untouched"], atol=1e-5)
    assert (inside > 0).all()
    assert (outside > 0).all()


def test_without_a_lung_network_only_the_untouched_film_is_scored(films: list[Film]) -> None:
    found = scan(drawn_subject(), films, None)

    assert np.isfinite(found.scores["untouched"]).all()
    assert np.isnan(found.scores["only_lungs"]).all()
    assert found.lungs == (None,) * 20
