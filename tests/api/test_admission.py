"""Memory and time that uploads may take before they are screened, and parameters that do not exist."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from fastapi import Request
from starlette.testclient import TestClient
from starlette.types import Message

from app.api.admission import UploadMemory
from app.api.upload import read_upload
from app.domain.errors import DeadlineExceededError, OverloadedError


def request_of(*headers: tuple[bytes, bytes], messages: AsyncIterator[Message] | None = None) -> Request:
    async def receive() -> Message:
        if messages is None:
            raise AssertionError("the body must not be read")
        return await anext(messages)

    return Request({"type": "http", "method": "POST", "headers": list(headers), "path": "/"}, receive)


def test_announced_bytes_are_held_until_the_answer_and_given_back() -> None:
    async def scenario() -> None:
        memory = UploadMemory(100)
        async with AsyncExitStack() as held:
            await held.enter_async_context(memory.place_for(request_of((b"content-length", b"60")), 80))
            assert memory.held_bytes == 60
            with pytest.raises(OverloadedError):
                await held.enter_async_context(memory.place_for(request_of((b"content-length", b"41")), 80))
            await held.enter_async_context(memory.place_for(request_of((b"content-length", b"40")), 80))
        assert memory.held_bytes == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("headers", [(), ((b"content-length", b"many"),), ((b"content-length", b"9" * 30),)])
def test_an_upload_of_unknown_or_absurd_length_holds_the_largest(headers: tuple[tuple[bytes, bytes], ...]) -> None:
    async def scenario() -> int:
        memory = UploadMemory(100)
        async with memory.place_for(request_of(*headers), 80):
            return memory.held_bytes

    assert asyncio.run(scenario()) == 80


def test_a_place_is_given_back_when_the_request_fails() -> None:
    async def scenario() -> int:
        memory = UploadMemory(100)
        with pytest.raises(LookupError):
            async with memory.place_for(request_of(), 80):
                raise LookupError
        return memory.held_bytes

    assert asyncio.run(scenario()) == 0


def test_an_upload_that_does_not_arrive_in_time_is_given_up() -> None:
    async def trickle() -> AsyncIterator[Message]:
        yield {"type": "http.request", "body": b"\x89PNG", "more_body": True}
        await asyncio.Event().wait()

    request = request_of((b"content-type", b"image/png"), messages=trickle())

    with pytest.raises(DeadlineExceededError):
        asyncio.run(read_upload(request, 1000, timeout_s=0.05))


def test_a_misspelt_parameter_is_named_instead_of_ignored(client: TestClient, film_png: bytes) -> None:
    response = client.post(
        "/v1/screenings", params={"alhpa": "5"}, content=film_png, headers={"content-type": "image/png"}
    )

    assert response.status_code == 400
    assert response.json()["code"] == "invalid_request"
    assert "alhpa" in response.json()["detail"]
    assert "alpha" in response.json()["detail"]
