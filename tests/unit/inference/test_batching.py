"""Concurrent calls joined into batches: the same answers, fixed sizes, and everybody's failure is their own."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.domain.arrays import NetworkInput
from app.domain.errors import DeadlineExceededError, OverloadedError
from app.inference.batching import BUCKETS, BatchedNetwork
from tests.fakes import PATIENCE_S, FakeNetwork, manifest

SIDE = 4
POISON = 666.0


def films(count: int, seed: int = 0) -> NetworkInput:
    return np.random.default_rng(seed).normal(0, 1, (count, 1, SIDE, SIDE)).astype(np.float32)


class Stage:
    """A network behind a gate, and its batching front."""

    def __init__(self, timeout_s: float = PATIENCE_S) -> None:
        self.entered, self.open = threading.Event(), threading.Event()
        self.open.set()
        self.inner = FakeNetwork(manifest("covid19"), before=self._before)
        self.network = BatchedNetwork(self.inner, timeout_s=timeout_s, warm_up=False)

    def _before(self, given: NetworkInput) -> None:
        self.entered.set()
        assert self.open.wait(PATIENCE_S)
        if bool((given == POISON).any()):
            raise ValueError("a poisoned film")

    def hold(self) -> None:
        self.entered.clear()
        self.open.clear()

    def waiting(self) -> int:
        return len(self.network._waiting)

    def wait_for(self, count: int) -> None:
        while self.waiting() < count:
            threading.Event().wait(0.001)


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.open.set()
    made.network.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(40) as made:
        yield made


def assert_same(found: NDArray[Any] | None, expected: NDArray[Any] | None) -> None:
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_batched_answers_equal_the_single_ones(stage: Stage, pool: ThreadPoolExecutor, seed: int) -> None:
    random = np.random.default_rng(seed)
    calls = [
        (films(int(random.integers(1, 6)), seed=100 * seed + n), bool(random.integers(2)), bool(random.integers(2)))
        for n in range(60)
    ]

    answers = list(pool.map(lambda call: stage.network(call[0], maps=call[1], features=call[2]), calls))

    alone = FakeNetwork(manifest("covid19"))
    for (given, maps, features), answer in zip(calls, answers, strict=True):
        expected = alone(given, maps=maps, features=features)
        assert_same(answer.logits, expected.logits)
        assert_same(answer.cam, expected.cam)
        assert_same(answer.features, expected.features)
    assert set(stage.inner.sizes) <= set(BUCKETS)


def test_what_waits_is_gathered_into_one_batch_of_a_known_size(stage: Stage, pool: ThreadPoolExecutor) -> None:
    stage.hold()
    first = pool.submit(stage.network, films(1))
    assert stage.entered.wait(PATIENCE_S)
    others = [pool.submit(stage.network, films(2, n)) for n in range(3)]
    stage.wait_for(3)

    stage.open.set()

    assert [len(future.result(PATIENCE_S).logits) for future in (first, *others)] == [1, 2, 2, 2]
    assert stage.inner.sizes == [1, 8]


def test_a_batch_never_outgrows_the_largest_bucket(stage: Stage, pool: ThreadPoolExecutor) -> None:
    stage.hold()
    first = pool.submit(stage.network, films(1))
    assert stage.entered.wait(PATIENCE_S)
    others = [pool.submit(stage.network, films(5, n)) for n in range(9)]
    stage.wait_for(9)

    stage.open.set()

    assert all(len(future.result(PATIENCE_S).logits) == 5 for future in others)
    assert first.result(PATIENCE_S).logits.shape == (1, 2)
    assert max(stage.inner.sizes) == BUCKETS[-1]
    assert set(stage.inner.sizes) <= set(BUCKETS)


def test_a_film_that_fails_does_not_fail_the_others_of_its_batch(stage: Stage, pool: ThreadPoolExecutor) -> None:
    stage.hold()
    first = pool.submit(stage.network, films(1))
    assert stage.entered.wait(PATIENCE_S)
    poisoned = pool.submit(stage.network, np.full((1, 1, SIDE, SIDE), POISON, np.float32))
    healthy = [pool.submit(stage.network, films(1, n)) for n in range(4)]
    stage.wait_for(5)

    stage.open.set()

    with pytest.raises(ValueError, match="poisoned"):
        poisoned.result(PATIENCE_S)
    for number, future in enumerate(healthy):
        assert_same(future.result(PATIENCE_S).logits, FakeNetwork(manifest("covid19"))(films(1, number)).logits)
    assert first.result(PATIENCE_S).logits.shape == (1, 2)


def test_films_of_different_sizes_do_not_fail_each_other(stage: Stage, pool: ThreadPoolExecutor) -> None:
    stage.hold()
    first = pool.submit(stage.network, films(1))
    assert stage.entered.wait(PATIENCE_S)
    large = pool.submit(stage.network, np.ones((1, 1, 2 * SIDE, 2 * SIDE), np.float32))
    small = pool.submit(stage.network, films(1, 1))
    stage.wait_for(2)

    stage.open.set()

    for future in (first, large, small):
        assert future.result(PATIENCE_S).logits.shape == (1, 2)


def test_a_caller_whose_time_is_up_leaves_the_queue(pool: ThreadPoolExecutor) -> None:
    stage = Stage(timeout_s=0.1)
    stage.hold()
    first = pool.submit(stage.network, films(1))
    assert stage.entered.wait(PATIENCE_S)
    second = pool.submit(stage.network, films(3))

    for future in (first, second):
        with pytest.raises(DeadlineExceededError, match=r"within 0\.1 s"):
            future.result(PATIENCE_S)

    stage.open.set()
    stage.network.close()
    assert stage.inner.sizes == [1]


def test_closing_answers_what_waits_and_refuses_what_comes(stage: Stage, pool: ThreadPoolExecutor) -> None:
    stage.hold()
    futures = [pool.submit(stage.network, films(1))]
    assert stage.entered.wait(PATIENCE_S)
    futures += [pool.submit(stage.network, films(1, n)) for n in range(3)]
    stage.wait_for(3)
    closing = pool.submit(stage.network.close)
    while stage.network._open:
        threading.Event().wait(0.001)

    with pytest.raises(OverloadedError):
        stage.network(films(1))
    stage.open.set()

    closing.result(PATIENCE_S)
    assert all(future.result(PATIENCE_S).logits.shape == (1, 2) for future in futures)


def test_more_films_than_the_largest_bucket_are_a_mistake_of_the_caller(stage: Stage) -> None:
    with pytest.raises(ValueError, match="33 films"):
        stage.network(films(33))


def test_every_bucket_is_warmed_up_before_the_first_caller() -> None:
    inner = FakeNetwork(manifest("covid19"))

    network = BatchedNetwork(inner)

    assert tuple(inner.sizes) == BUCKETS
    assert network.manifest.name == "covid19"
    assert network.runs_on.provider == "FakeExecutionProvider"
    network.close()
