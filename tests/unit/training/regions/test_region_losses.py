"""Laws of L = L_cls + λ L_loc: λ means the same whatever share of the films is outlined."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from training.regions.label_ratio import shown_groups
from training.regions.losses import LOCALISATION_LOSSES, LocalisationLoss, localisation_loss, total_loss


def _drawn(films: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(films, 1, 5, 5, generator=random)
    return logits, (torch.rand(films, 1, 5, 5, generator=random) < 0.3).float()


def test_the_three_losses_are_the_librarys_means_over_pixels() -> None:
    logits, truth = _drawn(3)
    said = torch.sigmoid(logits).numpy().ravel().astype(np.float64)

    found = {kind: float(localisation_loss(logits, truth, kind)) for kind in LOCALISATION_LOSSES}

    wanted = truth.numpy().ravel().astype(np.float64)
    assert found["cross-entropy"] == pytest.approx(log_loss(wanted, said), abs=1e-5)
    assert found["l1"] == pytest.approx(np.abs(said - wanted).mean(), abs=1e-6)
    assert found["l2"] == pytest.approx(((said - wanted) ** 2).mean(), abs=1e-6)


@pytest.mark.parametrize("kind", LOCALISATION_LOSSES)
def test_a_region_that_is_the_outline_costs_nothing_and_its_opposite_most(kind: LocalisationLoss) -> None:
    _, truth = _drawn(2)
    certain = 40.0 * (truth - 0.5)

    assert float(localisation_loss(certain, truth, kind)) < 1e-6
    assert float(localisation_loss(-certain, truth, kind)) >= 1.0 - 1e-6


@settings(deadline=None, max_examples=30)
@given(outlined=st.integers(1, 6), others=st.integers(0, 20), kind=st.sampled_from(LOCALISATION_LOSSES))
def test_films_without_an_outline_do_not_dilute_the_localisation_loss(
    outlined: int, others: int, kind: LocalisationLoss
) -> None:
    region, truth = _drawn(outlined)
    classes = torch.zeros(outlined + others, dtype=torch.int64)
    logits = torch.zeros(outlined + others, 2)

    with_loss = total_loss(logits, classes, region, truth, kind=kind, weight=0.7)
    without = total_loss(logits, classes, region, truth, kind=kind, weight=0.0)

    alone = localisation_loss(region, truth, kind)
    assert float(with_loss - without) == pytest.approx(0.7 * float(alone), abs=1e-6)


@pytest.mark.parametrize("kind", LOCALISATION_LOSSES)
def test_without_an_outline_only_the_classes_cost(kind: LocalisationLoss) -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    classes = torch.tensor([0, 1, 2, 1])
    nothing = torch.zeros(0, 1, 5, 5)

    found = total_loss(logits, classes, nothing, nothing, kind=kind, weight=3.0)

    torch.testing.assert_close(found, torch.nn.functional.cross_entropy(logits, classes))


@given(weight=st.floats(0, 10))
def test_the_loss_is_linear_in_lambda(weight: float) -> None:
    region, truth = _drawn(2)
    logits, classes = torch.zeros(2, 2), torch.tensor([0, 1])

    def at(value: float) -> float:
        return float(total_loss(logits, classes, region, truth, kind="l2", weight=value))

    assert at(weight) - at(0) == pytest.approx(weight * (at(1) - at(0)), abs=1e-5)


@given(
    groups=st.lists(st.text("abcdefgh", min_size=1, max_size=3), min_size=1, max_size=40),
    ratios=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    seed=st.integers(0, 5),
)
def test_a_smaller_ratio_shows_some_of_the_same_patients(
    groups: list[str], ratios: tuple[float, float], seed: int
) -> None:
    few, many = (shown_groups(groups, ratio, seed) for ratio in sorted(ratios))

    assert few <= many <= set(groups)
    assert shown_groups(reversed(groups), ratios[0], seed) == shown_groups(groups, ratios[0], seed)


@given(groups=st.sets(st.integers(0, 10_000).map(str), min_size=1, max_size=60), quarter=st.integers(0, 4))
def test_a_ratio_shows_its_share_of_the_patients_rounded_up(groups: set[str], quarter: int) -> None:
    shown = shown_groups(groups, quarter / 4, seed=1)

    assert len(shown) == -(-len(groups) * quarter // 4)


def test_other_seeds_show_other_patients_and_no_ratio_is_above_one() -> None:
    groups = [str(k) for k in range(40)]

    assert shown_groups(groups, 0.25, 1) != shown_groups(groups, 0.25, 2)
    with pytest.raises(ValueError, match="0 to 1"):
        shown_groups(groups, 1.5, 1)
