"""Means and differences of films with intervals that draw patients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.audit.estimates import Estimated, PatientDraws


def test_films_of_one_patient_widen_the_interval() -> None:
    values = np.repeat(np.random.default_rng(0).normal(size=20), 5)

    alone = PatientDraws([f"p{k}" for k in range(100)]).mean(values)
    together = PatientDraws([f"p{k // 5}" for k in range(100)]).mean(values)

    assert alone.value == together.value
    assert alone.low is not None
    assert alone.high is not None
    assert together.low is not None
    assert together.high is not None
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


@settings(deadline=None)
@given(shift=st.floats(-1, 1))
def test_a_constant_difference_has_no_spread(shift: float) -> None:
    values = np.random.default_rng(1).normal(size=30)

    found = PatientDraws([str(k) for k in range(30)]).difference(values + shift, values)

    assert (found.value, found.low, found.high) == pytest.approx((shift, shift, shift), abs=1e-4)


def test_a_paired_difference_is_tighter_than_its_parts() -> None:
    random = np.random.default_rng(2)
    values = random.normal(size=60)
    draws = PatientDraws([str(k) for k in range(60)])

    mean, gain = draws.mean(values), draws.difference(values + random.normal(0.2, 0.01, 60), values)

    assert gain.low is not None
    assert gain.low > 0.19
    assert mean.low is not None
    assert mean.low < 0.0


def test_all_hits_of_few_films_are_not_certain() -> None:
    found = PatientDraws(["a", "b", "c"]).mean(np.ones(3), is_share=True)

    assert found.value == 1.0
    assert found.low == pytest.approx(0.4385, abs=1e-3)  # Wilson 1927, n = 3


def test_without_films_nothing_is_said() -> None:
    assert PatientDraws([]).mean(np.empty(0)) == Estimated(value=None)
    assert str(Estimated(value=None)) == "-"


def test_one_patient_has_a_value_and_no_interval() -> None:
    found = PatientDraws(["a", "a"]).mean(np.array([0.25, 0.75]))

    assert str(found) == "0.50"
    assert str(Estimated(value=0.5, low=0.25, high=0.75)) == "0.50 (0.25-0.75)"
