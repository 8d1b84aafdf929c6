"""Every failure as ``application/problem+json`` (RFC 9457), translated in one place."""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.domain.errors import (
    ArtifactError,
    DeadlineExceededError,
    DestinationError,
    DivergenceError,
    ImageRefusedError,
    IntakeRefusedError,
    InvalidRequestError,
    JobConflictError,
    JobNotFoundError,
    ModelNotFoundError,
    OverloadedError,
    ScreeningError,
    StorageFullError,
    StorageUnavailableError,
    TooLargeError,
    UnreadableImageError,
    UnsupportedFormatError,
)

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:discern:problem:"

STATUS_OF: Final[Mapping[type[ScreeningError], HTTPStatus]] = MappingProxyType(
    {
        UnreadableImageError: HTTPStatus.BAD_REQUEST,
        InvalidRequestError: HTTPStatus.BAD_REQUEST,
        UnsupportedFormatError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        TooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        ImageRefusedError: HTTPStatus.UNPROCESSABLE_ENTITY,
        DivergenceError: HTTPStatus.UNPROCESSABLE_ENTITY,
        ModelNotFoundError: HTTPStatus.NOT_FOUND,
        OverloadedError: HTTPStatus.SERVICE_UNAVAILABLE,
        DeadlineExceededError: HTTPStatus.GATEWAY_TIMEOUT,
        ArtifactError: HTTPStatus.INTERNAL_SERVER_ERROR,
        IntakeRefusedError: HTTPStatus.UNPROCESSABLE_ENTITY,
        StorageFullError: HTTPStatus.INSUFFICIENT_STORAGE,
        StorageUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
        JobNotFoundError: HTTPStatus.NOT_FOUND,
        JobConflictError: HTTPStatus.CONFLICT,
        DestinationError: HTTPStatus.BAD_GATEWAY,
    }
)
"""The complete table; a test holds it so."""

TITLE_OF: Final[Mapping[type[ScreeningError], str]] = MappingProxyType(
    {
        UnreadableImageError: "The file cannot be read",
        InvalidRequestError: "The request is not valid",
        UnsupportedFormatError: "The format is not supported",
        TooLargeError: "The upload is too large",
        ImageRefusedError: "The image is refused",
        DivergenceError: "The maps cannot be contrasted",
        ModelNotFoundError: "There is no such model",
        OverloadedError: "The service is full",
        DeadlineExceededError: "The answer took too long",
        ArtifactError: "A released model is broken",
        IntakeRefusedError: "The object cannot be taken",
        StorageFullError: "There is no room for it",
        StorageUnavailableError: "The storage does not answer",
        JobNotFoundError: "There is no such job",
        JobConflictError: "The job is not in a state for that",
        DestinationError: "A destination failed",
    }
)

_DETAIL_CHARACTERS = 300


def problem(status: int, code: str, title: str, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Build a problem response."""
    detail = detail.encode("utf-8", "replace").decode("utf-8")  # JSON may escape half a surrogate pair; UTF-8 cannot
    body = {"type": TYPE_PREFIX + code, "title": title, "status": int(status), "detail": detail, "code": code}
    return Response(orjson.dumps(body), int(status), headers=dict(headers or {}), media_type=MEDIA_TYPE)


def screening_problem(error: ScreeningError) -> Response:
    """Translate a failure of the domain or the services."""
    kind = type(error)
    headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, OverloadedError) else None
    return problem(STATUS_OF[kind], error.problem_code, TITLE_OF[kind], error.detail, headers)


async def _on_screening_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, ScreeningError):
        raise error
    return screening_problem(error)


async def _on_validation_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    first: dict[str, Any] = error.errors()[0]  # Any: pydantic's error dictionaries
    return screening_problem(InvalidRequestError(_validation_detail(first)))


def _validation_detail(error: Mapping[str, Any]) -> str:  # Any: as above
    """Say where and what; never the value, which may be a whole map."""
    where = ".".join(str(part) for part in error["loc"] if part not in ("query", "body", "path"))
    return f"{where}: {error['msg']}"[:_DETAIL_CHARACTERS] if where else str(error["msg"])


async def _on_http_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    code = status.phrase.lower().replace(" ", "_").replace("-", "_")
    return problem(status, code, status.phrase, str(error.detail), error.headers)


def defect_problem() -> Response:
    """Answer for a failure that is nobody's but ours."""
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return problem(status, "internal_error", status.phrase, "The service failed; the log has the reason.")


def install_problem_handlers(app: FastAPI) -> None:
    """Make every failure of an application a problem document; `RequestMiddleware` does it for defects."""
    app.add_exception_handler(ScreeningError, _on_screening_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_error)
