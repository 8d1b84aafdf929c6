"""Bounded work on a few threads: what cannot be taken is refused at once, what was given up is never started.

A network run releases the interpreter lock, so threads are enough; a CPU gains nothing from batching, so every worker
runs whole screenings one after the other.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from app.domain.errors import DeadlineExceededError, OverloadedError

T = TypeVar("T")


@dataclass(slots=True)
class _Item(Generic[T]):
    task: Callable[[], T]
    future: Future[T]
    deadline: float | None


@dataclass(frozen=True, slots=True)
class QueueState:
    """A look at the queue: waiting and running work, and whether new work is taken."""

    waiting: int
    running: int
    accepting: bool


class WorkQueue:
    """Worker threads behind a bounded queue.

    Parameters
    ----------
    workers
        Threads, at least 1.
    capacity
        Waiting items at most; the running ones do not count.
    name
        Prefix of the threads' names.
    clock
        Monotonic seconds.
    """

    def __init__(
        self, workers: int, capacity: int, name: str = "worker", clock: Callable[[], float] = time.monotonic
    ) -> None:
        if workers < 1 or capacity < 1:
            raise ValueError(f"{workers} workers and a capacity of {capacity}")
        self._capacity, self._clock = capacity, clock
        self._items: deque[_Item[Any]] = deque()  # Any: items of different result types share the queue
        self._changed = threading.Condition()
        self._running = 0
        self._accepting = True
        self._stopping = False
        self._task_s = 0.1
        self._threads = [threading.Thread(target=self._work, name=f"{name}-{n}", daemon=True) for n in range(workers)]
        for thread in self._threads:
            thread.start()

    @property
    def state(self) -> QueueState:
        """Waiting, running, accepting."""
        with self._changed:
            return QueueState(len(self._items), self._running, self._accepting)

    def submit(self, task: Callable[[], T], timeout_s: float | None = None) -> Future[T]:
        """Queue a task.

        Parameters
        ----------
        task
            Called on a worker thread.
        timeout_s
            Not started later than this many seconds from now; its future then fails with `DeadlineExceededError`.

        Returns
        -------
        Future
            Cancelling it before the task starts takes the task out of the queue.

        Raises
        ------
        OverloadedError
            If the queue is full or closing; ``retry_after_s`` estimates when there is room.
        """
        future: Future[T] = Future()
        with self._changed:
            if not self._accepting:
                raise OverloadedError("the service is shutting down", 5)
            room = self._capacity + len(self._threads) - self._running  # an idle worker is about to take one
            if len(self._items) >= room:
                self._drop_cancelled()
            if len(self._items) >= room:
                wait_s = self._task_s * len(self._items) / len(self._threads)
                raise OverloadedError(f"{len(self._items)} films are waiting already", max(1, round(wait_s + 0.5)))
            deadline = None if timeout_s is None else self._clock() + timeout_s
            self._items.append(_Item(task, future, deadline))
            self._changed.notify()
        return future

    def close(self, timeout_s: float) -> bool:
        """Take nothing new, finish what was taken, stop the threads.

        Returns
        -------
        bool
            Whether everything finished in time; what did not start by then fails with `OverloadedError`.
        """
        limit = self._clock() + timeout_s
        with self._changed:
            self._accepting = False
            self._changed.notify_all()
            finished = self._changed.wait_for(lambda: not self._items and self._running == 0, max(0.0, timeout_s))
            left, self._items = list(self._items), deque()
            self._stopping = True
            self._changed.notify_all()
        for item in left:
            if item.future.set_running_or_notify_cancel():
                item.future.set_exception(OverloadedError("the service is shutting down", 5))
        for thread in self._threads:
            thread.join(max(0.0, limit - self._clock()) if not finished else 1.0)
        return finished

    def _drop_cancelled(self) -> None:
        self._items = deque(item for item in self._items if not item.future.cancelled())

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._stopping)
                if not self._items:
                    return
                item = self._items.popleft()
                if not item.future.set_running_or_notify_cancel():
                    self._changed.notify_all()
                    continue
                self._running += 1
            started = self._clock()
            try:
                if item.deadline is not None and started > item.deadline:
                    raise DeadlineExceededError("the film waited too long in the queue")
                result = item.task()
            except BaseException as error:  # noqa: BLE001 - whatever a task raises belongs to its caller; the worker lives on
                item.future.set_exception(error)
            else:
                item.future.set_result(result)
                del result  # a film and its maps would otherwise live as long as this worker is idle
            del item
            with self._changed:
                self._running -= 1
                self._task_s += 0.1 * (self._clock() - started - self._task_s)
                self._changed.notify_all()
