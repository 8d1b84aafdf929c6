"""Many files through the screening service, a few at a time."""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path

from app.domain.errors import OverloadedError, ScreeningError, UnreadableImageError
from app.services.options import ScreeningOptions
from app.services.screening import Screening, ScreeningService

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One file's outcome: a screening, or the reason there is none; neither where the service itself failed."""

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
    running: dict[Future[Screening], Path] = {}
    for path in paths:
        while len(running) >= 2 * at_once:
            yield from _finished(running)
        try:
            content = path.read_bytes()
        except OSError as error:
            yield BatchItem(path, None, UnreadableImageError(f"the file cannot be opened: {error.strerror}"))
            continue
        while isinstance(queued := _submit(service, content, options), OverloadedError) and running:
            yield from _finished(running)  # a queue smaller than 2 x at_once has room again then
        if isinstance(queued, OverloadedError):
            yield BatchItem(path, None, queued)
        else:
            running[queued] = path
        del content, queued
    while running:
        yield from _finished(running)


def _submit(
    service: ScreeningService, content: bytes, options: ScreeningOptions
) -> Future[Screening] | OverloadedError:
    try:
        return service.submit(content, options)
    except OverloadedError as error:
        return error


def _finished(running: dict[Future[Screening], Path]) -> Iterator[BatchItem]:
    """Wait until one or more films are done, and take them out of what is running."""
    finished, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in finished:
        yield _outcome(running.pop(future), future)


def _outcome(path: Path, future: Future[Screening]) -> BatchItem:
    try:
        return BatchItem(path, future.result(), None)
    except ScreeningError as error:
        return BatchItem(path, None, error)
    except Exception:  # noqa: BLE001 - a defect is this film's; the others are still screened
        _log.exception("screening_failed")
        return BatchItem(path, None, None)
