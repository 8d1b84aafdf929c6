"""``POST /v1/divergence``: the kernel alone, for maps of the caller's own."""

import numpy as np
from fastapi import APIRouter, Response

from app.api.payload import divergence_map_payload
from app.api.responses import FastJSONResponse, problems
from app.api.schemas import DivergenceMapDocument, DivergenceRequest
from app.domain.arrays import FloatMap
from app.domain.directed_divergence import directed_divergence
from app.domain.errors import DivergenceError, DivergenceReason

router = APIRouter(prefix="/v1/divergence", tags=["divergence"])


@router.post(
    "",
    summary="Contrast two class activation maps",
    response_model=DivergenceMapDocument,
    responses=problems(400, 422),
)
async def create_divergence(body: DivergenceRequest) -> Response:
    """Return ln K, K, the display map and its concentration for two maps of one grid."""
    divergence = directed_divergence(
        _grid(body.x, "x"), _grid(body.x_prime, "x'"), body.alpha, clamp_negative=body.clamp_negative
    )
    return FastJSONResponse(divergence_map_payload(divergence))


def _grid(rows: list[list[float]], name: str) -> FloatMap:
    """Make an array of nested lists; rows of different lengths are no map."""
    if len({len(row) for row in rows}) > 1:
        raise DivergenceError(DivergenceReason.SHAPE_MISMATCH, f"the rows of {name} have different lengths")
    return np.array(rows, np.float64).reshape(len(rows), len(rows[0]) if rows else 0)
