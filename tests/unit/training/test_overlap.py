"""Drawn films of overlapping classes, small experts on them, and the benchmark's report."""

from pathlib import Path

import numpy as np
import pytest
import torch

from app.domain.preprocessing import to_network_input
from app.domain.radiograph import Provenance, Radiograph
from training.audit.map_methods import ALPHAS
from training.networks import ExplainedNetwork
from training.overlap_benchmark import SHARED, Benchmark, marked, run_benchmark, specific
from training.overlap_experts import (
    APART,
    CONTENTS,
    FIRST_UNAWARE,
    SPECIFICATION,
    SmallExpert,
    accuracy,
    as_inputs,
    held_out_films,
    train_expert,
)
from training.overlap_phantoms import SCENES, SIDE_PX, Content, Scene
from training.overlap_report import benchmark_markdown, targets, write_picture
from training.phantoms import phantom_lungs, radiograph_phantom

SCENE_NAMES = [scene.name for scene in SCENES]


@pytest.mark.parametrize("scene", SCENES, ids=SCENE_NAMES)
@pytest.mark.parametrize("content", CONTENTS)
def test_a_film_shows_what_was_asked_and_the_truth_is_disjoint(scene: Scene, content: Content) -> None:
    for seed in range(8):
        film = scene.draw(content, seed)

        assert film.grey.shape == (SIDE_PX, SIDE_PX)
        assert film.grey.dtype == np.uint8
        assert (film.first_only.astype(int) + film.second_only + film.shared).max() <= 1
        assert film.is_first == bool(film.first_only.any())
        assert film.is_first == (content in {"first", "both"})
        if content == "neither":
            assert not (film.second_only | film.shared).any()


def test_a_wagon_always_has_wheels_and_wheels_need_no_wagon() -> None:
    wagon, wheels = SCENES[0].draw("first", 5), SCENES[0].draw("second", 5)

    assert (wagon.is_first, wagon.is_second) == (True, True)
    assert (wheels.is_first, wheels.is_second) == (False, True)
    assert wheels.shared.any()
    assert not wagon.second_only.any()


@pytest.mark.parametrize("scene", SCENES, ids=SCENE_NAMES)
def test_the_same_seed_draws_the_same_film(scene: Scene) -> None:
    one, again, other = scene.draw("both", 3), scene.draw("both", 3), scene.draw("both", 4)

    np.testing.assert_array_equal(one.grey, again.grey)
    assert not np.array_equal(one.grey, other.grey)


def test_signs_of_the_lungs_lie_in_the_lungs() -> None:
    for seed in range(10):
        film = SCENES[1].draw("both", seed)
        assert film.lungs is not None
        lungs = film.lungs.max(axis=0) > 0.2

        assert not (film.first_only & ~lungs).any()
        assert not (film.shared & ~lungs).any()


def test_signs_make_the_film_brighter_where_the_truth_says() -> None:
    differences = []
    for seed in range(12):
        film, healthy = SCENES[1].draw("both", seed), radiograph_phantom(SIDE_PX, SIDE_PX, seed)
        change = film.grey.astype(float) - healthy
        signs = film.first_only | film.second_only | film.shared
        differences.append(change[signs].mean() - change[~signs].mean())

    assert min(differences) > 15


def test_the_lungs_of_a_phantom_are_where_it_is_dark() -> None:
    film, lungs = radiograph_phantom(96, 96, 3), phantom_lungs(96, 96, 3)

    assert film[lungs.max(axis=0) > 0.9].mean() < 0.6 * film[48, 40:56].mean()
    assert lungs[0, :, :48].sum() > 20 * lungs[0, :, 48:].sum()  # the patient's right is on the left


def test_a_small_experts_maps_are_exact_and_its_rows_start_at_zero() -> None:
    network = SmallExpert().eval()
    assert not network.fc.weight.any()
    network.fc.reset_parameters()

    with torch.inference_mode():
        logits, features, cam = ExplainedNetwork(network)(torch.randn(3, 1, SIDE_PX, SIDE_PX))
        plain = network(torch.zeros(1, 1, SIDE_PX, SIDE_PX))

    assert features.shape == (3, 64, 8, 8)
    torch.testing.assert_close(cam.mean((2, 3)) + network.fc.bias, logits, rtol=1e-4, atol=1e-5)
    assert plain.shape == (1, 2)


def test_a_cell_of_a_small_expert_sees_what_lies_around_its_centre() -> None:
    network = SmallExpert().eval()
    network.fc.reset_parameters()
    film = torch.rand(1, 1, SIDE_PX, SIDE_PX, requires_grad=True)

    _, features, _ = ExplainedNetwork(network)(film)
    features[0, :, 3, 5].sum().backward()

    assert film.grad is not None
    rows, columns = np.nonzero(film.grad[0, 0].numpy())
    assert (rows.min() + rows.max() + 1) / 2 == 3.5 * 8
    assert (columns.min() + columns.max() + 1) / 2 == 5.5 * 8
    assert rows.max() - rows.min() + 1 == 22


def test_inputs_are_those_of_serving() -> None:
    film = SCENES[1].draw("both", 1)

    served, _ = to_network_input(Radiograph(film.grey, Provenance("png", "")), SPECIFICATION)

    np.testing.assert_allclose(as_inputs([film]).numpy(), served, atol=1e-5)


def test_a_mixture_has_its_shares_and_held_out_films_are_new() -> None:
    drawn = APART.draw(SCENES[1], 400, 0)
    unaware = FIRST_UNAWARE.draw(SCENES[1], 100, 0)

    assert np.mean([film.is_first for film in drawn]) == pytest.approx(0.5, abs=0.08)
    assert not any(film.is_second and not film.is_first for film in unaware)
    seen = {film.grey.tobytes() for film in drawn}
    assert not any(film.grey.tobytes() in seen for film in held_out_films(SCENES[1], "both", 20, 0))


def test_a_small_expert_learns_its_class_and_keeps_its_rows_antisymmetric() -> None:
    films = APART.draw(SCENES[0], 300, 0)
    is_wagon = [film.is_first for film in films]

    network = train_expert(films, is_wagon, seed=0, steps=40)

    weight = network.get_parameter("fc.weight").detach()
    torch.testing.assert_close(weight[0], -weight[1], rtol=1e-4, atol=1e-6)
    assert accuracy(network, films, is_wagon) > 0.85


def test_every_part_of_a_film_is_asked_for_once() -> None:
    films = held_out_films(SCENES[1], "both", 10, 0)

    kinds = [film.kind for film in marked(SCENES[1], films, 7)]

    assert kinds.count(specific("diffuse")) == 10
    assert 0 < kinds.count(SHARED) < 10
    assert {film.part for film in marked(SCENES[1], films, 7)} == {"seed 7"}


@pytest.fixture(scope="module")
def benchmark_report() -> Benchmark:
    """Two seeds of hardly trained experts on a few films."""
    return run_benchmark(seeds=(0, 1), test_films=2, steps=2)


def test_the_benchmark_has_every_condition_and_method(benchmark_report: Benchmark) -> None:
    conditions = benchmark_report.conditions

    assert [condition.scene for condition in conditions] == [name for name in SCENE_NAMES for _ in range(2)]
    assert len({condition.rest for condition in conditions}) == 2
    for condition in conditions:
        methods = {row.method for row in condition.table(specific(condition.first)).rows}
        assert {f"ADDK {condition.first} over {condition.second}, alpha {alpha:g}" for alpha in ALPHAS} <= methods
        assert ("lung mask" in methods) == (condition.scene == "diffuse and focal")
        assert condition.table(specific(condition.first)).films == 4
        assert condition.table(specific(condition.first), "seed 1").films == 2


def test_the_second_class_is_looked_for_in_what_it_has(benchmark_report: Benchmark) -> None:
    wagon, lungs = benchmark_report.conditions[0], benchmark_report.conditions[2]

    assert [kind for _, _, kind in targets(wagon)] == ["specific to wagon", SHARED]
    assert [kind for _, _, kind in targets(lungs)] == ["specific to diffuse", "specific to focal"]


def test_the_report_names_every_scene(benchmark_report: Benchmark) -> None:
    text = benchmark_markdown(benchmark_report)

    for word in (*SCENE_NAMES, "ADDK wagon over wheel, alpha 15", "lung mask", "seed 1:"):
        assert word in text
    assert Benchmark.model_validate_json(benchmark_report.model_dump_json()) == benchmark_report


def test_a_picture_is_small_enough_to_be_kept(tmp_path: Path) -> None:
    write_picture(SCENES[1], "neither class", tmp_path / "sheet.png", steps=2)

    assert (tmp_path / "sheet.png").stat().st_size < 200_000
