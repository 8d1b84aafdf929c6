"""Softmax probabilities, and what a network of exclusive classes may say of itself."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from app.domain.multiclass import Explanation, class_probabilities

LOGITS = arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(2, 6)), elements=st.floats(-900, 900, width=32))


@given(LOGITS)
def test_the_probabilities_of_a_film_sum_to_one_and_keep_the_order(logits: np.ndarray) -> None:
    found = class_probabilities(logits)

    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=-1), 1.0)
    order = np.argsort(logits, axis=-1)
    assert (
        np.diff(np.take_along_axis(found, order, axis=-1), axis=-1) >= 0
    ).all()  # logits may differ by less than 1e-16


@given(LOGITS, st.floats(0.05, 5))
def test_they_are_torchs_softmax_of_the_scaled_logits(logits: np.ndarray, slope: float) -> None:
    wanted = torch.softmax(torch.from_numpy(logits).double() * slope, -1).numpy()

    np.testing.assert_allclose(class_probabilities(logits, slope), wanted, atol=1e-12)


@given(LOGITS, st.floats(-50, 50))
def test_adding_the_same_to_every_class_changes_nothing(logits: np.ndarray, shift: float) -> None:
    wide = logits.astype(np.float64)

    np.testing.assert_allclose(class_probabilities(wide + shift), class_probabilities(wide), atol=1e-9)


@pytest.mark.parametrize("slope", [0.0, -1.0, float("nan")])
def test_a_slope_that_turns_the_order_around_is_refused(slope: float) -> None:
    with pytest.raises(ValueError, match="above 0 expected"):
        class_probabilities(np.zeros(3), slope)


def test_no_explanation_has_a_reason_and_an_explanation_none() -> None:
    assert Explanation().kind == "cam"
    assert Explanation("none", "no_global_average_pooling", "words").detail == "words"
    with pytest.raises(ValueError, match="explanation none with the reason None"):
        Explanation("none")
    with pytest.raises(ValueError, match="explanation cam with the reason"):
        Explanation("cam", "no_global_average_pooling")
