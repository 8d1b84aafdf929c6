from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.jobs import (
    CLOCK_STEP_S,
    RetryPolicy,
    is_due,
    longest_wait_s,
    rest_after_crashes_s,
    retry_delay_s,
)
from app.domain.result_identity import result_uid


@pytest.mark.parametrize(
    ("failures", "delay"),
    [(1, 2.0), (2, 4.0), (3, 8.0), (8, 256.0), (9, 512.0), (10, 600.0), (1000, 600.0)],  # 2 * 2 ** (failures - 1)
)
def test_the_wait_doubles_up_to_the_longest(failures: int, delay: float) -> None:
    assert retry_delay_s(RetryPolicy(), failures) == delay


@given(st.integers(1, 5000))
def test_without_a_limit_nothing_is_ever_parked(failures: int) -> None:
    assert retry_delay_s(RetryPolicy(), failures) is not None


@given(st.integers(1, 50), st.integers(1, 50))
def test_with_a_limit_work_is_parked_exactly_then(attempts: int, failures: int) -> None:
    parked = retry_delay_s(RetryPolicy(attempts=attempts), failures) is None

    assert parked == (failures >= attempts)


def test_impossible_policies_and_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="first_s"):
        RetryPolicy(first_s=0.0)
    with pytest.raises(ValueError, match="first_s"):
        RetryPolicy(first_s=10.0, most_s=1.0)
    with pytest.raises(ValueError, match="attempts"):
        RetryPolicy(attempts=0)
    with pytest.raises(ValueError, match="failures"):
        retry_delay_s(RetryPolicy(), 0)


@pytest.mark.parametrize(
    ("crashes", "rest_s"), [(0, 0.0), (1, 0.0), (2, 5.0), (3, 10.0), (7, 160.0), (8, 300.0), (1000, 300.0)]
)
def test_a_film_rests_longer_after_every_crash_but_the_first(crashes: int, rest_s: float) -> None:
    assert rest_after_crashes_s(crashes) == rest_s


@given(
    wait_s=st.integers(0, 600),
    passed_s=st.integers(0, 1_000_000),
    set_back_s=st.integers(600 + int(CLOCK_STEP_S) + 1, 10_000_000),
    small_s=st.integers(0, int(CLOCK_STEP_S)),
)
def test_whoever_waits_is_due_after_the_wait_and_at_once_after_a_clock_was_set_back(
    wait_s: int, passed_s: int, set_back_s: int, small_s: int
) -> None:
    now = datetime(2026, 11, 30, tzinfo=UTC)
    at = now + timedelta(seconds=wait_s)

    assert is_due(at, at + timedelta(seconds=passed_s), 600.0)
    assert is_due(at, now - timedelta(seconds=set_back_s), 600.0)
    assert is_due(at, now - timedelta(seconds=small_s), 600.0) == (wait_s + small_s == 0)


def test_the_longest_wait_is_that_of_the_policy_or_of_a_film_that_rests() -> None:
    assert (longest_wait_s(600.0), longest_wait_s(2.0)) == (600.0, rest_after_crashes_s(1000))


@given(*[st.text(min_size=1, max_size=64)] * 3)
def test_a_results_uid_is_a_uid_and_the_same_every_time(source: str, version: str, part: str) -> None:
    uid = result_uid(source, version, part)

    assert uid == result_uid(source, version, part)
    assert uid.startswith("2.25.")
    assert uid[5:].isdigit()
    assert len(uid) <= 44


def test_another_film_version_or_kind_has_another_uid() -> None:
    uids = {result_uid(*parts) for parts in [("1", "v", "sc"), ("2", "v", "sc"), ("1", "w", "sc"), ("1", "v", "sr")]}

    assert len(uids) == 4


def test_a_uid_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="model version"):
        result_uid("1", "", "sc")
