"""The bounded queue: what is refused, what never runs, what is finished."""

import gc
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from functools import partial

import pytest

from app.domain.errors import DeadlineExceededError, OverloadedError
from app.inference.scheduling import WorkQueue
from tests.fakes import PATIENCE_S


class Gate:
    """A task that says when it runs and ends when it may."""

    def __init__(self) -> None:
        self.running, self.open = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.running.set()
        assert self.open.wait(PATIENCE_S)
        return "done"


class Held:
    """A queue of one worker that is busy with a gate."""

    def __init__(self, capacity: int) -> None:
        self.now = 0.0
        self.queue = WorkQueue(1, capacity, clock=lambda: self.now)
        self.gate = Gate()
        self.first = self.queue.submit(self.gate)
        assert self.gate.running.wait(PATIENCE_S)


@pytest.fixture
def held() -> Iterator[Held]:
    made = Held(capacity=2)
    yield made
    made.gate.open.set()
    made.queue.close(PATIENCE_S)


def number(value: int) -> int:
    return value


def test_every_task_is_answered_with_its_own_result() -> None:
    queue = WorkQueue(3, 64)

    futures = [queue.submit(partial(number, n)) for n in range(60)]

    assert [future.result(PATIENCE_S) for future in futures] == list(range(60))
    assert queue.close(PATIENCE_S)


def test_a_full_queue_refuses_at_once_and_says_when_to_come_again(held: Held) -> None:
    held.queue.submit(lambda: None)
    held.queue.submit(lambda: None)

    with pytest.raises(OverloadedError) as refusal:
        held.queue.submit(lambda: None)

    assert refusal.value.retry_after_s >= 1
    assert held.queue.state.waiting == 2
    assert held.queue.state.running == 1


def test_idle_workers_are_room_beside_the_waiting_places() -> None:
    queue, gates = WorkQueue(3, 1), [Gate() for _ in range(4)]

    futures = [queue.submit(gate) for gate in gates]  # at once: no worker needs to have woken up

    with pytest.raises(OverloadedError):
        queue.submit(lambda: None)
    for gate in gates:
        gate.open.set()
    assert [future.result(PATIENCE_S) for future in futures] == ["done"] * 4
    assert queue.close(PATIENCE_S)


def test_the_estimate_of_a_wait_grows_with_how_long_tasks_take() -> None:
    now = 0.0
    queue = WorkQueue(1, 1, clock=lambda: now)

    def slow() -> None:
        nonlocal now
        now += 600.0

    queue.submit(slow).result(PATIENCE_S)
    gate = Gate()
    queue.submit(gate)
    assert gate.running.wait(PATIENCE_S)
    queue.submit(lambda: None)
    with pytest.raises(OverloadedError) as refusal:
        queue.submit(lambda: None)

    assert refusal.value.retry_after_s > 30
    gate.open.set()
    assert queue.close(PATIENCE_S)


def test_what_was_cancelled_before_it_started_never_runs_and_frees_its_place(held: Held) -> None:
    ran: list[str] = []
    given_up = held.queue.submit(lambda: ran.append("given up"))
    held.queue.submit(lambda: ran.append("kept"))

    assert given_up.cancel()
    late = held.queue.submit(lambda: ran.append("late"))

    held.gate.open.set()
    late.result(PATIENCE_S)
    assert ran == ["kept", "late"]
    with pytest.raises(CancelledError):
        given_up.result(0)


def test_what_waits_longer_than_its_time_limit_is_not_started(held: Held) -> None:
    ran: list[str] = []
    late = held.queue.submit(lambda: ran.append("late"), timeout_s=1.0)
    patient = held.queue.submit(lambda: ran.append("patient"), timeout_s=3.0)

    held.now = 2.0
    held.gate.open.set()

    with pytest.raises(DeadlineExceededError):
        late.result(PATIENCE_S)
    patient.result(PATIENCE_S)
    assert ran == ["patient"]


@pytest.mark.parametrize("failure", [ValueError("no"), KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_a_failing_task_fails_only_its_own_future(failure: BaseException) -> None:
    queue = WorkQueue(1, 4)

    def fail() -> None:
        raise failure

    failed, healthy = queue.submit(fail), queue.submit(lambda: number(7))

    assert healthy.result(PATIENCE_S) == 7
    assert failed.exception(PATIENCE_S) is failure
    assert queue.close(PATIENCE_S)


def test_closing_finishes_what_was_taken_and_refuses_what_comes(held: Held) -> None:
    taken = held.queue.submit(lambda: number(1))
    closed: Future[bool] = Future()
    closing = threading.Thread(target=lambda: closed.set_result(held.queue.close(PATIENCE_S)))
    closing.start()
    while held.queue.state.accepting:
        threading.Event().wait(0.001)

    with pytest.raises(OverloadedError):
        held.queue.submit(lambda: None)

    held.gate.open.set()
    assert closed.result(PATIENCE_S) is True
    assert (held.first.result(0), taken.result(0)) == ("done", 1)
    closing.join()


def test_closing_without_time_fails_what_has_not_started_and_lets_the_rest_end(held: Held) -> None:
    ran: list[str] = []
    waiting = held.queue.submit(lambda: ran.append("waiting"))

    assert held.queue.close(0.05) is False

    with pytest.raises(OverloadedError):
        waiting.result(0)
    held.gate.open.set()
    assert held.first.result(PATIENCE_S) == "done"
    assert ran == []


def test_closing_twice_is_closing_once() -> None:
    queue = WorkQueue(2, 4)

    assert queue.close(PATIENCE_S)
    assert queue.close(PATIENCE_S)


def test_an_idle_worker_does_not_keep_the_last_answer_alive() -> None:
    class Answer:
        """Something large."""

    queue = WorkQueue(1, 4)
    future = queue.submit(Answer)
    answer = weakref.ref(future.result(PATIENCE_S))
    while queue.state.running:
        threading.Event().wait(0.001)

    del future
    gc.collect()

    assert answer() is None
    assert queue.close(PATIENCE_S)


@pytest.mark.parametrize(("workers", "capacity"), [(0, 1), (1, 0)])
def test_a_queue_needs_a_worker_and_a_place(workers: int, capacity: int) -> None:
    with pytest.raises(ValueError, match="capacity"):
        WorkQueue(workers, capacity)
