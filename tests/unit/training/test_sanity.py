"""Sanity by randomised weights: likeness against independent formulas, and maps that must change."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from torch import nn

from app.domain.preprocessing import InputSpecification
from tests.phantoms import chest_film
from tests.unit.training.test_localisation import DrawnLungs
from training.audit.baselines import baselines, edges, on_grid
from training.audit.expert_pair import prepare
from training.audit.sanity import SanityReport, cascades, measure_sanity_of, stages_of
from training.audit.similarity import rank_correlation, ranks, same_top, structural_similarity
from training.networks import build_network
from training.overlap_experts import SPECIFICATION, SmallExpert, held_out_films
from training.overlap_phantoms import SCENES

Map = NDArray[np.float64]
_maps = arrays(np.float64, (4, 5), elements=st.integers(-3, 3).map(float))


@settings(deadline=None)
@given(values=_maps)
def test_ranks_are_positions_in_order_with_ties_in_the_middle(values: Map) -> None:
    flat = values.ravel()
    by_definition = [(flat < v).sum() + ((flat == v).sum() + 1) / 2 for v in flat]

    np.testing.assert_allclose(ranks(values), by_definition)


@settings(deadline=None)
@given(values=_maps.filter(lambda values: np.ptp(values) > 0))
def test_order_is_all_that_counts_for_the_rank_correlation(values: Map) -> None:
    assert rank_correlation(values, np.exp(values)) == pytest.approx(1.0)
    assert rank_correlation(values, -values) == pytest.approx(-1.0)


def test_a_flat_map_is_like_nothing() -> None:
    flat, other = np.zeros((3, 3)), np.arange(9.0).reshape(3, 3)

    assert rank_correlation(flat, other) == 0.0
    assert not same_top(flat, flat)


def test_structure_is_one_for_the_same_map_and_symmetric() -> None:
    random = np.random.default_rng(0)
    one, other = random.random((7, 7)), random.random((7, 7))

    assert structural_similarity(one, one) == pytest.approx(1.0)
    assert structural_similarity(one, other) == pytest.approx(structural_similarity(other, one))
    assert structural_similarity(one, other) < 0.5


def test_stages_go_from_the_linear_layer_down_to_the_stem() -> None:
    names = [name for name, _ in stages_of(build_network("resnet18", 2))]

    assert names == ["fc", "layer4", "layer3", "layer2", "layer1", "stem"]


def test_every_weight_belongs_to_one_stage() -> None:
    network = build_network("resnet18", 2)

    listed = [parameter for _, modules in stages_of(network) for module in modules for parameter in module.parameters()]

    assert len(listed) == len(list(network.parameters()))
    assert {id(parameter) for parameter in listed} == {id(parameter) for parameter in network.parameters()}


def changed_parts(network: nn.Module, other: nn.Module) -> set[str]:
    """Top-level parts whose parameters differ."""
    state, other_state = network.state_dict(), other.state_dict()
    return {name.partition(".")[0] for name in state if not torch.equal(state[name], other_state[name])}


def test_cascading_randomises_from_the_top_and_leaves_the_network_alone() -> None:
    torch.manual_seed(0)
    network = SmallExpert()
    before = {name: value.clone() for name, value in network.state_dict().items()}

    changed = [changed_parts(network, copy) for _, copy in cascades(network, seed=1)]

    assert changed[0] == {"fc"}
    assert changed[1] >= {"fc", "layer4"}
    assert "conv1" not in changed[-2]
    assert changed[-1] >= {"fc", "layer4", "layer3", "layer2", "layer1", "conv1"}
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


@pytest.fixture(scope="module")
def report() -> SanityReport:
    """Two small experts whose weights are random to begin with."""
    torch.manual_seed(3)
    networks = SmallExpert(), SmallExpert()
    for network in networks:
        network.fc.reset_parameters()
    films = [(f"p{k}", film.grey) for k, film in enumerate(held_out_films(SCENES[1], "both", 5, 0))]
    return measure_sanity_of(*networks, SPECIFICATION, films, names=("one", "two"), seeds=(0, 1))


def test_an_experts_map_is_reported_only_where_that_expert_is_randomised(report: SanityReport) -> None:
    randomised = {(result.method, result.randomised) for result in report.randomised}

    assert ("CAM one", "interest") in randomised
    assert ("CAM one", "overlap") not in randomised
    assert {which for method, which in randomised if method == "ADDK one over two"} == {"interest", "overlap", "both"}


def test_maps_of_random_weights_are_not_the_maps_of_the_network(report: SanityReport) -> None:
    for likeness in (report.at("CAM one", "interest", "stem"), report.at("ADDK one over two", "both", "stem")):
        assert likeness.rank_correlation.value is not None
        assert likeness.rank_correlation.value < 0.9
    with pytest.raises(KeyError):
        report.at("CAM one", "both", "stem")


def test_both_directions_of_the_divergence_order_the_cells_oppositely(report: SanityReport) -> None:
    forth = report.at("ADDK one over two", "both", "layer4").rank_correlation.value
    back = report.at("ADDK two over one", "both", "layer4").rank_correlation.value

    assert forth == pytest.approx(back, abs=1e-6)


def test_what_no_expert_made_stands_beside(report: SanityReport) -> None:
    assert {result.baseline for result in report.baselines} == {"edges", "centre prior", "random map"}
    assert report.films == 5


def test_a_copy_of_the_film_is_told_by_its_edges() -> None:
    film = np.asarray(chest_film(64, 64), np.uint8)
    prepared = prepare(film, InputSpecification(64, 1, mean=(0.5,), std=(0.25,)), DrawnLungs())

    cells = baselines(film, prepared, (8, 8), 0)

    assert set(cells) == {"edges", "centre prior", "lung mask", "random map"}
    assert rank_correlation(cells["edges"], on_grid(edges(film), prepared, (8, 8))) == pytest.approx(1.0)
    assert cells["lung mask"].max() == 1.0


def films_of_which_some_are_refused() -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Give one blank film and one phantom."""
    yield "blank", np.full((64, 64), 7, np.uint8)
    yield "film", np.asarray(chest_film(64, 64), np.uint8)


def test_refused_films_are_left_out() -> None:
    networks = SmallExpert(), SmallExpert()
    specification = InputSpecification(64, 1, mean=(0.5,), std=(0.25,))

    report = measure_sanity_of(*networks, specification, list(films_of_which_some_are_refused()), seeds=(0,))

    assert report.films == 1
