"""An upload's bytes, counted while they arrive, from a multipart field or a raw body."""

import asyncio
from collections.abc import AsyncGenerator
from http import HTTPStatus
from typing import Final

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from app.domain.errors import DeadlineExceededError, InvalidRequestError, TooLargeError, UnsupportedFormatError

FIELD: Final = "image"
RAW_TYPES: Final = ("application/dicom", "image/png", "image/jpeg", "application/octet-stream")
_MULTIPART: Final = "multipart/form-data"
_ENVELOPE_BYTES: Final = 64 * 1024
"""What boundaries, part headers and small fields may add to the file itself."""


async def read_upload(request: Request, max_bytes: int, timeout_s: float) -> bytes:
    """Read the image of a request; its declared type only tells multipart from raw, the content decides.

    Parameters
    ----------
    request
        With a multipart field ``image``, or the raw bytes.
    max_bytes
        Largest image.
    timeout_s
        The whole body must have arrived by then.

    Returns
    -------
    bytes
        The image as sent.

    Raises
    ------
    TooLargeError
        As soon as more than ``max_bytes`` are announced or have arrived.
    InvalidRequestError
        If the body is not well-formed multipart or has no file called ``image``.
    UnsupportedFormatError
        If the content type is none of those listed in the API.
    DeadlineExceededError
        If the body came too slowly.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await _read_upload(request, max_bytes)
    except TimeoutError as error:
        raise DeadlineExceededError(f"the upload did not arrive within {timeout_s:g} s") from error


async def _read_upload(request: Request, max_bytes: int) -> bytes:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    multipart = content_type == _MULTIPART
    allowed = max_bytes + (_ENVELOPE_BYTES if multipart else 0)
    if multipart:
        _refuse_announced(request, max_bytes, allowed)
        return await _file_field(request, max_bytes, allowed)
    if content_type not in RAW_TYPES:
        raise UnsupportedFormatError(
            f"content type {content_type or 'missing'}; {_MULTIPART}, {', '.join(RAW_TYPES)} expected"
        )
    return await read_body(request, max_bytes)


async def read_body(request: Request, max_bytes: int) -> bytes:
    """Read a whole body, or refuse it as soon as more than ``max_bytes`` are announced or have arrived.

    Raises
    ------
    TooLargeError
        As said.
    """
    _refuse_announced(request, max_bytes, max_bytes)
    return b"".join([piece async for piece in counted(request, max_bytes, max_bytes)])


def _refuse_announced(request: Request, max_bytes: int, allowed: int) -> None:
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > allowed:
        raise TooLargeError(f"the upload announces {announced[:20]} bytes; {max_bytes} at most")


async def counted(request: Request, allowed: int, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """Give a body's pieces as they arrive, at most ``allowed`` bytes; the refusal speaks of ``max_bytes``.

    Raises
    ------
    TooLargeError
        As soon as more have arrived.
    """
    received = 0
    async for piece in request.stream():
        received += len(piece)
        if received > allowed:
            raise TooLargeError(f"the upload exceeds {max_bytes} bytes")
        yield piece


async def _file_field(request: Request, max_bytes: int, allowed: int) -> bytes:
    parser = MultiPartParser(request.headers, counted(request, allowed, max_bytes), max_files=1, max_fields=8)
    parser.spool_max_size = allowed
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise InvalidRequestError(f"the multipart body is malformed: {error.message}") from error
    except HTTPException as error:
        if error.status_code == HTTPStatus.BAD_REQUEST:
            raise InvalidRequestError(f"the multipart body is malformed: {error.detail}") from error
        raise
    except (ValueError, KeyError) as error:  # e.g. a charset that is no text encoding
        raise InvalidRequestError(f"the multipart body is malformed: {type(error).__name__}") from error
    try:
        field = form.get(FIELD)
        if not isinstance(field, UploadFile):
            raise InvalidRequestError(f"the multipart body has no file called {FIELD!r}")
        content = await field.read()
    finally:
        for file in parser._files_to_close_on_error:  # the form knows no file whose part has no end
            file.close()
    if len(content) > max_bytes:
        raise TooLargeError(f"the image has {len(content)} bytes; {max_bytes} at most")
    return content
