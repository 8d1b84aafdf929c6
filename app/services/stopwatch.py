"""How long the stages of an answer take."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopwatch:
    """Milliseconds of named stages, by a clock of seconds."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.elapsed_ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage; a stage entered twice adds up."""
        started = self._clock()
        try:
            yield
        finally:
            self.elapsed_ms[name] = self.elapsed_ms.get(name, 0.0) + 1000.0 * (self._clock() - started)
