"""``POST /v1/divergence``: the kernel alone, for maps of the caller's own."""

from typing import Final

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from app.api.payload import divergence_map_payload
from app.api.responses import FastJSONResponse, problems
from app.api.schemas import DivergenceMapDocument, DivergenceRequest
from app.api.upload import read_body
from app.domain.arrays import FloatMap
from app.domain.directed_divergence import directed_divergence
from app.domain.errors import DivergenceError, DivergenceReason

router = APIRouter(prefix="/v1/divergence", tags=["divergence"])

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""Two maps of 512 x 512 with 17 digits a cell fit in; FastAPI itself would read a body of any size."""
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": DivergenceRequest.model_json_schema()}},
    }
}


@router.post(
    "",
    summary="Contrast two class activation maps",
    response_model=DivergenceMapDocument,
    responses=problems(400, 413, 422),
    openapi_extra=_BODY,
)
async def create_divergence(request: Request) -> Response:
    """Return ln K, K, the display map and its concentration for two maps of one grid."""
    content = await read_body(request, MAX_BODY_BYTES)
    return await run_in_threadpool(_answer, content)


def _answer(content: bytes) -> Response:
    """Parse, compute and serialise: for large maps too long for the event loop."""
    try:
        body = DivergenceRequest.model_validate_json(content)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False, include_input=False)) from error
    divergence = directed_divergence(
        _grid(body.x, "x"), _grid(body.x_prime, "x'"), body.alpha, clamp_negative=body.clamp_negative
    )
    return FastJSONResponse(divergence_map_payload(divergence))


def _grid(rows: list[list[float]], name: str) -> FloatMap:
    """Make an array of nested lists; rows of different lengths are no map."""
    if len({len(row) for row in rows}) > 1:
        raise DivergenceError(DivergenceReason.SHAPE_MISMATCH, f"the rows of {name} have different lengths")
    return np.array(rows, np.float64).reshape(len(rows), len(rows[0]) if rows else 0)
