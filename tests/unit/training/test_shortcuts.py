"""What keeps an expert to the lungs: each measure does what it says, and nothing else."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.unit.training.phantom_data import rows, tiny_recipe, write_data
from training.batches import BatchDrawer
from training.datasets import Film
from training.loading import IN_LUNGS, VISIBLE, LoadedFilm
from training.losses import loss_of
from training.networks import build_network
from training.resistance import Resistance
from training.shortcuts import GroupWeights, SourceAdversary, negative_evidence, outside_evidence
from training.train import Run, select_films, targets_of


def _half_lung(size: int = 48) -> LoadedFilm:
    """A bright film whose left half is lung."""
    plane = np.zeros((size, size), np.uint8)
    plane[:, : size // 2] = IN_LUNGS
    grey = np.tile(np.linspace(60, 250, size, dtype=np.uint8), (size, 1))
    return LoadedFilm(grey, plane)


def test_evidence_inside_the_lungs_costs_nothing() -> None:
    evidence = torch.zeros(2, 4, 4)
    evidence[:, :2] = 3.0
    lungs = torch.zeros(2, 4, 4)
    lungs[:, :2] = 1.0

    inside, outside = outside_evidence(evidence, lungs), outside_evidence(evidence, 1 - lungs)

    assert inside == 0.0
    assert outside == 1.5


def test_evidence_against_outside_the_lungs_costs_as_much_as_evidence_for() -> None:
    evidence, lungs = torch.randn(3, 5, 5), torch.rand(3, 5, 5)

    assert outside_evidence(evidence, lungs) == outside_evidence(-evidence, lungs)


def test_only_negative_cells_count_as_negative_evidence() -> None:
    evidence = torch.tensor([[[2.0, -1.0], [0.0, -3.0]]])

    assert negative_evidence(evidence) == 1.0
    assert negative_evidence(evidence.abs()) == 0.0


def test_the_group_with_the_larger_loss_gains_weight() -> None:
    weights = GroupWeights(2, step=1.0)
    losses, groups = torch.tensor([0.1, 0.1, 2.0]), np.array([0, 0, 1])

    first, *_, last = (float(weights(losses, groups)) for _ in range(6))

    assert weights.weights[1] > 0.9
    assert 0.1 < first < last <= 2.0
    assert math.isclose(weights.weights.sum(), 1.0)


def test_a_group_that_is_absent_keeps_its_weight_for_later() -> None:
    weights = GroupWeights(3, step=0.5)

    loss = weights(torch.tensor([1.0, 1.0]), np.array([0, 1]))

    assert float(loss) == pytest.approx(1.0)
    assert weights.weights[2] > 0.2


def test_the_adversary_learns_while_the_features_unlearn() -> None:
    torch.manual_seed(0)
    adversary = SourceAdversary(4, sources=2, classes=2, weight=1.0)
    features = torch.randn(16, 4, requires_grad=True)
    sources, classes = torch.arange(16) % 2, torch.arange(16) // 8
    loss = adversary(features, sources, classes)
    loss.backward()
    assert features.grad is not None
    with torch.no_grad():
        moved = adversary(features - 0.5 * features.grad, sources, classes)
        for parameter in adversary.parameters():
            assert parameter.grad is not None
            parameter.sub_(0.5 * parameter.grad)
        learnt = adversary(features, sources, classes)

    assert float(moved) > float(loss.detach()) > float(learnt)


def test_undecided_films_pull_the_logits_together_whatever_their_label() -> None:
    recipe = tiny_recipe()
    logits = torch.tensor([[0.0, 4.0]], requires_grad=True)

    losses = [
        loss_of(logits, torch.tensor([[label]]), torch.ones(1), recipe, torch.tensor([True])) for label in (0.0, 1.0)
    ]
    losses[0].backward()  # type: ignore[no-untyped-call]  # torch's gap

    assert losses[0].detach() == losses[1].detach()
    assert logits.grad is not None
    assert logits.grad[0, 1] > 0 > logits.grad[0, 0]


@pytest.mark.parametrize(("crop", "dark"), [("lungs-only", True), ("lungs", False)])
def test_only_a_recipe_of_lungs_alone_blacks_the_surroundings_out(crop: str, dark: bool) -> None:
    recipe = tiny_recipe(crop=crop, augmentation={}, draws_per_epoch=4)
    films = [_film(k) for k in range(4)]

    batch = next(BatchDrawer(recipe, films, np.ones((4, 1), np.float32)).epoch(0, [_half_lung()] * 4, 32))

    grey = batch.films[:, 0] * 0.229 + 0.485
    assert bool((grey[:, :, 20:] < 1e-3).all()) is dark
    assert float(grey[:, :, 4:12].mean()) > 0.1


def test_blacked_out_lungs_are_undecided_and_their_surroundings_stay() -> None:
    recipe = tiny_recipe(shortcuts={"blackout_lungs": 1.0}, augmentation={}, draws_per_epoch=4)
    films = [_film(k) for k in range(4)]

    batch = next(BatchDrawer(recipe, films, np.ones((4, 1), np.float32)).epoch(0, [_half_lung()] * 4, 32))

    grey = batch.films[:, 0] * 0.229 + 0.485
    assert bool(batch.undecided.all())
    assert float(grey[:, :, :10].max()) < 0.01
    assert float(grey[:, :, 24:].mean()) > 0.5


def test_swapped_surroundings_leave_the_lungs_as_they_are() -> None:
    plain = tiny_recipe(shortcuts={"blackout_lungs": 1e-9}, augmentation={}, draws_per_epoch=6)
    swapped = tiny_recipe(shortcuts={"swap_surroundings": 1.0}, augmentation={}, draws_per_epoch=6)
    films, targets = [_film(k) for k in range(6)], np.ones((6, 1), np.float32)

    before, after = (
        next(BatchDrawer(recipe, films, targets).epoch(0, [_half_lung()] * 6, 32)).films for recipe in (plain, swapped)
    )

    torch.testing.assert_close(before[:, :, :, :12], after[:, :, :, :12], atol=1e-3, rtol=0)
    assert not torch.allclose(before[:, :, :, 24:], after[:, :, :, 24:], atol=0.1)


def test_the_border_of_the_visible_part_is_softer_than_the_lungs() -> None:
    assert 0 < VISIBLE < IN_LUNGS


def test_an_expert_penalised_for_outside_evidence_shows_less_of_it() -> None:
    recipe = tiny_recipe(draws_per_epoch=32, shortcuts={"outside_weight": 5.0}, augmentation={})
    films = [_film(k, covid=k % 2) for k in range(8)]
    targets = np.array([[k % 2] for k in range(8)], np.float32)
    torch.manual_seed(3)
    network = build_network("resnet18", 2)
    resistance = Resistance(recipe, films, targets, network)
    optimiser = torch.optim.SGD(network.parameters(), 0.01)
    drawer, shown = BatchDrawer(recipe, films, targets), []
    for epoch in range(3):
        for batch in drawer.epoch(epoch, [_half_lung(96)] * 8, 96):
            loss = resistance.loss(network, batch)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's gap
            optimiser.step()
            shown.append(float(loss.detach()))

    assert shown[-1] < shown[0]


def test_weights_of_evidence_are_refused_for_a_multilabel_network() -> None:
    recipe = tiny_recipe(kind="multilabel", target=None, shortcuts={"outside_weight": 1.0})

    with pytest.raises(ValueError, match="expert"):
        Resistance(recipe, [_film(0)], np.zeros((1, 14), np.float32), build_network("resnet18", 14))


def test_a_recipe_that_needs_lungs_is_refused_without_a_lung_network(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("no_lungs")
    manifest = write_data(folder, [*rows("train", 8), *rows("val", 8)])
    recipe = tiny_recipe(crop="lungs")

    with pytest.raises(ValueError, match="lung network"):
        Run(recipe, select_films(recipe, [manifest]), folder / "run")


def test_a_run_with_groups_and_adversary_carries_on_to_the_same_weights(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("groups")
    manifest = write_data(folder, [*rows("train", 12), *rows("val", 12)])
    recipe = tiny_recipe(stages=[{"epochs": 2, "size_px": 32}], shortcuts={"group_step": 0.1, "adversary_weight": 0.1})
    films = select_films(recipe, [manifest])
    whole = Run(recipe, films, folder / "whole")
    whole.train()
    halted = Run(recipe, films, folder / "halted")
    checkpoint = halted.loop._checkpoint

    def keep_and_stop() -> None:
        checkpoint()
        raise KeyboardInterrupt

    monkeypatch.setattr(halted.loop, "_checkpoint", keep_and_stop)
    with pytest.raises(KeyboardInterrupt):
        halted.train()

    resumed = Run(recipe, films, folder / "halted")
    resumed.train()

    assert targets_of(films.train, recipe).shape[1] == 1
    for name, value in whole.task.network.state_dict().items():
        torch.testing.assert_close(value, resumed.task.network.state_dict()[name], msg=name)
    one, other = (run.task.resistance.group_weights for run in (whole, resumed))
    assert one is not None
    assert other is not None
    np.testing.assert_allclose(one.weights, other.weights)


def _film(number: int, covid: int = 1) -> Film:
    return Film(
        path=Path(f"{number}.png"), part="train", source=f"s{number % 2}", group=str(number), paediatric=False,
        view="PA", sex="F", targets=tuple([float(covid)] * 14), noisy=False, squashed=False,
    )  # fmt: skip
