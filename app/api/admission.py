"""How many bytes of uploads the process holds at once, so that many callers cannot fill its memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request

from app.domain.errors import OverloadedError

_RETRY_AFTER_S = 2


class UploadMemory:
    """A budget of bytes; used from one event loop only.

    Parameters
    ----------
    max_bytes
        Of all uploads between their first byte and their answer.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._held = max_bytes, 0

    @property
    def held_bytes(self) -> int:
        """Bytes reserved now."""
        return self._held

    @asynccontextmanager
    async def place_for(self, request: Request, largest_bytes: int) -> AsyncIterator[None]:
        """Reserve what a request announces, or the largest upload where it announces nothing, before it is read.

        Parameters
        ----------
        request
            Not read yet.
        largest_bytes
            What one upload may have.

        Raises
        ------
        OverloadedError
            If the budget is used up.
        """
        announced = request.headers.get("content-length", "")
        wanted = (
            min(int(announced[:20]), largest_bytes) if announced.isascii() and announced.isdigit() else largest_bytes
        )
        if self._held + wanted > self._max_bytes:
            raise OverloadedError("too many uploads at once", _RETRY_AFTER_S)
        self._held += wanted
        try:
            yield
        finally:
            self._held -= wanted
