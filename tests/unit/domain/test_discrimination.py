"""The ROC curve and the area under it."""

from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.discrimination import Values, auroc, roc_curve
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


@LAW
@given(sample=samples())
def test_the_area_under_the_curve_is_the_auroc(sample: Sample) -> None:
    curve = roc_curve(*sample)

    assert float(np.trapezoid(curve.sensitivity, curve.false_positive_share)) == pytest.approx(auroc(*sample))


@LAW
@given(sample=samples())
def test_the_curve_rises_from_the_origin_to_the_corner(sample: Sample) -> None:
    curve = roc_curve(*sample)

    for axis in (curve.false_positive_share, curve.sensitivity):
        assert (axis[0], axis[-1]) == (0.0, 1.0)
        assert (np.diff(axis) >= 0.0).all()
    assert len(curve.sensitivity) == len(np.unique(sample[1])) + 1


def test_scikit_learn_traces_the_same_curve() -> None:
    metrics: Any = pytest.importorskip("sklearn.metrics")  # Any: published without types
    truth, scores = study(300)

    curve = roc_curve(truth, np.round(scores, 1))

    alarms, hits, _ = metrics.roc_curve(truth, np.round(scores, 1), drop_intermediate=False)
    np.testing.assert_allclose(curve.false_positive_share, alarms, atol=1e-12)
    np.testing.assert_allclose(curve.sensitivity, hits, atol=1e-12)


@pytest.mark.parametrize("only", [0.0, 1.0])
def test_one_class_alone_has_no_curve_to_trace(only: float) -> None:
    with pytest.raises(ValueError, match="both classes"):
        roc_curve(np.full(4, only), np.arange(4.0))


@LAW
@given(sample=samples(), most=st.integers(2, 12))
def test_a_thinned_curve_is_points_of_the_curve_with_its_ends(sample: Sample, most: int) -> None:
    curve = roc_curve(*sample)

    thin = curve.thinned(most)

    whole = set(zip(curve.false_positive_share.tolist(), curve.sensitivity.tolist(), strict=True))
    kept = list(zip(thin.false_positive_share.tolist(), thin.sensitivity.tolist(), strict=True))
    assert set(kept) <= whole
    assert (kept[0], kept[-1]) == ((0.0, 0.0), (1.0, 1.0))
    assert len(kept) == len(set(kept)) <= most


def test_a_thinned_curve_of_many_films_stays_close() -> None:
    truth, scores = study(5000)
    curve = roc_curve(truth, scores)

    thin = curve.thinned(200)

    along, kept = (each.false_positive_share + each.sensitivity for each in (curve, thin))
    assert len(along) > 2000
    assert np.abs(np.interp(along, kept, thin.sensitivity) - curve.sensitivity).max() < 2.0 / 199
