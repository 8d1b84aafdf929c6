"""The area under the ROC curve, and intervals that draw patients."""

from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.discrimination import Estimate, Values, auroc, with_interval
from tests.unit.domain.strategies import LAW

Sample: TypeAlias = tuple[Values, Values]


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """Truths with both classes and scores with ties."""
    cells = draw(st.lists(st.tuples(st.booleans(), st.integers(-5, 5)), min_size=1, max_size=30))
    cells += [(True, draw(st.integers(-5, 5))), (False, draw(st.integers(-5, 5)))]
    return np.array([float(truth) for truth, _ in cells]), np.array([float(score) for _, score in cells])


def study(films: int = 60, seed: int = 0) -> Sample:
    """Films whose scores tell the classes apart fairly well."""
    rng = np.random.default_rng(seed)
    truth = (np.arange(films) % 3 == 0).astype(np.float64)
    return truth, truth + rng.normal(0.0, 1.0, films)


def patients(films: int) -> Any:  # Any: numpy's strings of one length
    """Everybody came once."""
    return np.array([f"p{n:04d}" for n in range(films)])


@LAW
@given(sample=samples())
def test_the_area_is_the_share_of_pairs_in_the_right_order_with_ties_counting_half(sample: Sample) -> None:
    truth, scores = sample
    gaps = scores[truth == 1][:, None] - scores[truth == 0][None, :]

    assert auroc(truth, scores) == pytest.approx(float(((gaps > 0) + 0.5 * (gaps == 0)).mean()), abs=1e-12)


@LAW
@given(sample=samples())
def test_only_the_order_of_the_scores_counts(sample: Sample) -> None:
    truth, scores = sample

    assert auroc(truth, np.exp(scores) * 3.0 - 7.0) == auroc(truth, scores)


@LAW
@given(sample=samples())
def test_turning_the_scores_or_the_classes_gives_the_complement(sample: Sample) -> None:
    truth, scores = sample
    area = auroc(truth, scores)

    assert auroc(truth, -scores) == pytest.approx(1.0 - area, abs=1e-12)
    assert auroc(1.0 - truth, scores) == pytest.approx(1.0 - area, abs=1e-12)


def test_perfect_scores_give_one_and_equal_scores_one_half() -> None:
    truth = np.array([0.0, 1.0, 0.0, 1.0])

    assert auroc(truth, truth) == 1.0
    assert auroc(truth, np.zeros(4)) == 0.5


@pytest.mark.parametrize("only", [0.0, 1.0])
def test_one_class_alone_has_no_curve(only: float) -> None:
    with pytest.raises(ValueError, match="both classes"):
        auroc(np.full(4, only), np.arange(4.0))


def test_scikit_learn_gives_the_same_area() -> None:
    metrics: Any = pytest.importorskip("sklearn.metrics")  # Any: published without types
    truth, scores = study(500)

    found = auroc(truth, np.round(scores, 1))

    assert found == pytest.approx(metrics.roc_auc_score(truth, np.round(scores, 1)), abs=1e-12)


def test_the_interval_lies_around_the_value_and_counts_the_films() -> None:
    truth, scores = study()

    found = with_interval(truth, scores, patients(60), rounds=200)

    assert found.value == auroc(truth, scores)
    assert found.low is not None
    assert found.high is not None
    assert 0.0 <= found.low < found.value < found.high <= 1.0
    assert (found.positives, found.negatives) == (20, 40)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    truth, scores = study()

    first, again, other = (with_interval(truth, scores, patients(60), rounds=50, seed=seed) for seed in (1, 1, 2))

    assert first == again
    assert first.value == other.value
    assert (first.low, first.high) != (other.low, other.high)


def test_a_second_copy_of_every_film_of_a_patient_changes_nothing_but_the_counts() -> None:
    truth, scores = study()
    once = with_interval(truth, scores, patients(60), rounds=100)

    twice = with_interval(np.repeat(truth, 2), np.repeat(scores, 2), np.repeat(patients(60), 2), rounds=100)

    # Drawing films instead of patients would narrow this interval by the square root of two.
    assert (twice.value, twice.low, twice.high) == (once.value, once.low, once.high)
    assert (twice.positives, twice.negatives) == (40, 80)


@LAW
@given(seed=st.integers(0, 2**16))
def test_the_order_of_the_films_does_not_matter(seed: int) -> None:
    truth, scores = study(20)
    order = np.random.default_rng(seed).permutation(20)

    shuffled = with_interval(truth[order], scores[order], patients(20)[order], rounds=10)

    assert shuffled == with_interval(truth, scores, patients(20), rounds=10)


def test_films_of_unknown_truth_are_left_out() -> None:
    truth, scores = study()
    unknown = np.concatenate([truth, [np.nan, np.nan]])

    found = with_interval(unknown, np.concatenate([scores, [9.0, -9.0]]), patients(62), rounds=50)

    assert found == with_interval(truth, scores, patients(60), rounds=50)


@pytest.mark.parametrize(
    ("truth", "counts"), [([1.0, 1.0], (2, 0)), ([0.0, np.nan], (0, 1)), ([np.nan, np.nan], (0, 0))]
)
def test_an_empty_class_has_no_value_instead_of_a_zero(truth: list[float], counts: tuple[int, int]) -> None:
    found = with_interval(np.array(truth), np.arange(2.0), patients(2))

    assert found == Estimate(None, None, None, *counts)


def test_without_rounds_there_is_a_value_and_no_interval() -> None:
    truth, scores = study()

    found = with_interval(truth, scores, patients(60), rounds=0)

    assert found.value == auroc(truth, scores)
    assert (found.low, found.high) == (None, None)


def test_rounds_that_drew_one_class_only_are_passed_over() -> None:
    truth, scores = np.array([0.0, 1.0]), np.array([0.0, 1.0])

    found = with_interval(truth, scores, patients(2), rounds=40)

    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)


def test_another_metric_can_be_given() -> None:
    truth, scores = study()

    found = with_interval(truth, scores, patients(60), metric=lambda truth, _: float(truth.mean()), rounds=20)

    assert found.value == pytest.approx(1 / 3)
