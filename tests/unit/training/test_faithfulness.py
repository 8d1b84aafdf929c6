"""Deletion and insertion on experts whose evidence is known cell by cell."""

import numpy as np
import pytest
from numpy.typing import NDArray

from app.domain.preprocessing import InputSpecification, place
from tests.unit.training.planted_experts import CELLS, SIZE_PX, brightness_of_cells, left_half, planted, spot
from tests.unit.training.test_localisation import right_half
from training.audit.faithfulness import (
    RANDOM,
    Curves,
    FaithfulnessReport,
    cells_on_film,
    emptied_input,
    measure_faithfulness_of,
)


def noise_films(count: int = 6) -> list[tuple[str, NDArray[np.uint8]]]:
    """Films whose cells have brightnesses of their own."""
    random = np.random.default_rng(0)
    block = SIZE_PX // CELLS
    return [
        (f"p{k}", np.kron(random.integers(0, 256, (CELLS, CELLS)), np.ones((block, block))).astype(np.uint8))
        for k in range(count)
    ]


@pytest.fixture(scope="module")
def report() -> FaithfulnessReport:
    """The class of interest speaks for the left half, the overlapping class for the right."""
    return measure_faithfulness_of(planted("left", left_half), planted("right", right_half), noise_films(), steps=8)


def test_the_divergence_takes_away_first_what_speaks_for_the_class(report: FaithfulnessReport) -> None:
    found = report.result("ADDK left over right", "black")

    assert found.deletion_over_random.high is not None
    assert found.deletion_over_random.high < 0.0
    assert found.insertion_over_random.low is not None
    assert found.insertion_over_random.low > 0.0


def test_the_divergence_beats_the_map_that_knows_nothing_of_the_other_class(report: FaithfulnessReport) -> None:
    found = report.result("ADDK left over right", "black")

    assert found.deletion_over_cam.value is not None
    assert found.deletion_over_cam.value < 0.0
    assert found.insertion_over_cam.value is not None
    assert found.insertion_over_cam.value > 0.0


def test_an_order_differs_from_itself_by_nothing(report: FaithfulnessReport) -> None:
    assert report.result("CAM left", "black").deletion_over_cam.value == 0.0
    assert report.result(RANDOM, "blurred film").insertion_over_random.value == 0.0


def test_every_order_is_there_for_every_filling(report: FaithfulnessReport) -> None:
    assert {result.order for result in report.results} == {"CAM left", "ADDK left over right", "raw difference", RANDOM}
    assert {result.filling for result in report.results} == {"blurred film", "black"}
    assert report.films == 6


def test_areas_of_an_additive_margin_are_those_of_the_sorted_cells() -> None:
    film = noise_films(1)[0][1].astype(np.float32)[None, None] / np.float32(255)
    order = np.argsort(-brightness_of_cells(film)[0].ravel())
    curves = Curves(lambda inputs: brightness_of_cells(inputs).sum(axis=(1, 2)), film, np.zeros_like(film))

    deletion, insertion = curves.areas(order, (CELLS, CELLS), steps=CELLS**2)

    sorted_cells = np.sort(brightness_of_cells(film)[0].ravel())[::-1]
    gone = np.concatenate([[0.0], np.cumsum(sorted_cells)])
    assert deletion == pytest.approx(-np.trapezoid(gone) / CELLS**2, rel=1e-4)
    assert insertion == pytest.approx(np.trapezoid(gone) / CELLS**2, rel=1e-4)


def test_cells_of_padding_alone_are_never_taken() -> None:
    narrow = cells_on_film((8, 8), place(100, 25, 64))

    columns = set((narrow % 8).tolist())
    assert columns == {3, 4}
    assert narrow.size == 16


def test_black_is_black_and_blur_keeps_the_mean() -> None:
    specification = InputSpecification(SIZE_PX, 3)
    inputs = np.random.default_rng(1).normal(size=(1, 3, SIZE_PX, SIZE_PX)).astype(np.float32)

    black = emptied_input(inputs, "black", specification, CELLS)
    blurred = emptied_input(inputs, "blurred film", specification, CELLS)

    np.testing.assert_allclose(black[0, :, 0, 0] * specification.std + specification.mean, 0.0, atol=1e-6)
    assert blurred.std() < 0.2 * inputs.std()
    assert blurred.mean() == pytest.approx(float(inputs.mean()), abs=0.05)


def test_refused_films_are_left_out_and_experts_must_be_fed_alike() -> None:
    stretched = InputSpecification(SIZE_PX, 1, mean=(0.0,), std=(1.0,))
    one, other = planted("a", specification=stretched), planted("b", left_half, specification=stretched)
    films = [("blank", np.full((64, 64), 7, np.uint8)), ("spot", spot(1, 1))]

    assert measure_faithfulness_of(one, other, films, steps=2).films == 1
    with pytest.raises(ValueError, match="fed differently"):
        measure_faithfulness_of(one, planted("c"), films)
