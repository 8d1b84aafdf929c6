"""Many files through the screening service, a few at a time."""

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path

from app.domain.errors import ScreeningError, UnreadableImageError
from app.services.options import ScreeningOptions
from app.services.screening import Screening, ScreeningService


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One file's outcome: a screening or the reason there is none."""

    path: Path
    screening: Screening | None
    error: ScreeningError | None


def screen_files(
    service: ScreeningService, paths: Sequence[Path], options: ScreeningOptions, at_once: int
) -> Iterator[BatchItem]:
    """Screen files in the order they finish; one that fails does not stop the others.

    Parameters
    ----------
    service
        Screens bytes on its workers.
    paths
        Files.
    options
        The same for every file.
    at_once
        Workers; a few more files than that are held in memory, never all.

    Yields
    ------
    BatchItem
        One a path.
    """
    waiting = iter(paths)
    running: dict[Future[Screening], Path] = {}
    exhausted = False
    while running or not exhausted:
        while not exhausted and len(running) < 2 * at_once:
            path = next(waiting, None)
            if path is None:
                exhausted = True
                break
            try:
                running[service.submit(path.read_bytes(), options)] = path
            except OSError as error:
                yield BatchItem(path, None, UnreadableImageError(f"the file cannot be opened: {error.strerror}"))
        if running:
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                yield _outcome(running.pop(future), future)


def _outcome(path: Path, future: Future[Screening]) -> BatchItem:
    try:
        return BatchItem(path, future.result(), None)
    except ScreeningError as error:
        return BatchItem(path, None, error)
