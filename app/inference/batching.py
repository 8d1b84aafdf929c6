"""Batches for an accelerator: one thread feeds one network with whatever is waiting, in a few fixed sizes."""

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

import numpy as np

from app.domain.arrays import FloatMap, NetworkInput
from app.domain.errors import DeadlineExceededError, OverloadedError
from app.inference.expert import DeviceReport, Network, NetworkOutputs
from app.inference.manifest import Manifest

BUCKETS: Final[tuple[int, ...]] = (1, 2, 4, 8, 16, 32)
"""Batch sizes that are warmed up; another one would make the accelerator search for algorithms during a request."""


@dataclass(slots=True)
class _Waiting:
    films: NetworkInput
    maps: bool
    features: bool
    future: Future[NetworkOutputs]


class BatchedNetwork:
    """A `Network` that joins concurrent calls into batches.

    Nothing waits for a batch to fill: while one batch runs, the next one gathers. A batch that fails is run again film
    by film, so that only the film at fault fails.

    Parameters
    ----------
    network
        The network behind it; called from one thread only.
    timeout_s
        A caller waits no longer than this.
    warm_up
        Run every bucket once before the first caller.
    """

    def __init__(self, network: Network, *, timeout_s: float = 30.0, warm_up: bool = True) -> None:
        self._network, self._timeout_s = network, timeout_s
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._open = True
        if warm_up:
            entry = network.manifest.input
            for size in BUCKETS:
                network(np.zeros((size, entry.channels, entry.size_px, entry.size_px), np.float32))
        self._thread = threading.Thread(target=self._run, name=f"batch-{network.manifest.name}", daemon=True)
        self._thread.start()

    @property
    def manifest(self) -> Manifest:
        """How to feed it and read it."""
        return self._network.manifest

    @property
    def runs_on(self) -> DeviceReport:
        """The device that was checked after loading."""
        return self._network.runs_on

    @property
    def biases(self) -> FloatMap:
        """What its logits have beside the means of its maps, ``(K,)``."""
        return self._network.biases

    def __call__(self, films: NetworkInput, *, maps: bool = True, features: bool = False) -> NetworkOutputs:
        """Run films as part of the next batch; blocks the calling worker."""
        if len(films) > BUCKETS[-1]:
            raise ValueError(f"{len(films)} films at once; {BUCKETS[-1]} at most")
        item = _Waiting(films, maps, features, Future())
        with self._changed:
            if not self._open:
                raise OverloadedError("the network is closing", 5)
            self._waiting.append(item)
            self._changed.notify()
        try:
            return item.future.result(self._timeout_s)
        except TimeoutError as error:
            item.future.cancel()
            raise DeadlineExceededError(f"the network did not answer within {self._timeout_s:g} s") from error

    def close(self) -> None:
        """Answer what waits, then stop."""
        with self._changed:
            self._open = False
            self._changed.notify()
        self._thread.join(self._timeout_s)

    def _gather(self) -> list[_Waiting] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or not self._open)
            if not self._waiting:
                return None
            batch: list[_Waiting] = []
            count = 0
            while self._waiting and count + len(self._waiting[0].films) <= BUCKETS[-1]:
                item = self._waiting.popleft()
                if item.future.set_running_or_notify_cancel():
                    batch.append(item)
                    count += len(item.films)
            return batch

    def _run(self) -> None:
        while (batch := self._gather()) is not None:
            if not batch:
                continue
            try:
                self._answer(batch)
            except Exception as error:  # noqa: BLE001 - the loop must survive whatever a network raises
                self._answer_alone(batch, error)

    def _answer_alone(self, batch: list[_Waiting], error: Exception) -> None:
        if len(batch) == 1:
            batch[0].future.set_exception(error)
            return
        for item in batch:
            try:
                self._answer([item])
            except Exception as own:  # noqa: BLE001 - one film's failure is its own
                item.future.set_exception(own)

    def _answer(self, batch: list[_Waiting]) -> None:
        films = np.concatenate([item.films for item in batch])
        bucket = next(size for size in BUCKETS if size >= len(films))
        if bucket > len(films):
            films = np.concatenate([films, np.zeros((bucket - len(films), *films.shape[1:]), films.dtype)])
        outputs = self._network(
            films, maps=any(item.maps for item in batch), features=any(item.features for item in batch)
        )
        start = 0
        for item in batch:
            part = slice(start, start + len(item.films))
            start = part.stop
            item.future.set_result(
                NetworkOutputs(
                    outputs.logits[part],
                    outputs.cam[part] if item.maps and outputs.cam is not None else None,
                    outputs.features[part] if item.features and outputs.features is not None else None,
                )
            )
