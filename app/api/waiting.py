"""Waiting for queued work without outliving the caller."""

import asyncio
from concurrent.futures import Future
from typing import TypeVar

from fastapi import Request

from app.domain.errors import DeadlineExceededError

T = TypeVar("T")


class CallerLeftError(Exception):
    """The connection was closed before the answer was ready; nobody reads what is sent now."""


async def answer_of(request: Request, future: "Future[T]", timeout_s: float) -> T:
    """Wait for work, for the caller to leave, or for the time limit, whichever is first.

    Work that has not started by then is taken out of the queue.

    Parameters
    ----------
    request
        Its body must have been read.
    future
        As given by the work queue.
    timeout_s
        Seconds from now.

    Raises
    ------
    DeadlineExceededError
        If the time limit came first.
    CallerLeftError
        If the caller left first.
    """
    result = asyncio.wrap_future(future)
    gone = asyncio.ensure_future(_disconnected(request))
    either: set[asyncio.Future[T] | asyncio.Future[None]] = {result, gone}
    try:
        await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if result.done():
            return result.result()
        if gone.done():
            raise CallerLeftError
        raise DeadlineExceededError(f"the film was not answered within {timeout_s:g} s")
    finally:
        result.cancel()  # also where this request itself was cancelled
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
