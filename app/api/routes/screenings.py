"""``POST /v1/screenings``: one film in, the whole answer out."""

import uuid
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.requests import ClientDisconnect

from app.api.dependencies import ContextDep, refuse_unknown_parameters
from app.api.payload import screening_payload
from app.api.responses import FastJSONResponse, problems
from app.api.schemas import ScreeningDocument
from app.api.upload import FIELD, RAW_TYPES, read_upload
from app.api.waiting import CallerLeftError, answer_of
from app.domain.errors import ScreeningError
from app.domain.overlay import DEFAULT_OPACITY, Colormap
from app.services.options import Evidence, ScreeningOptions, Style, parse_include, parse_overlay_size

router = APIRouter(prefix="/v1/screenings", tags=["screenings"])

_CLIENT_CLOSED_REQUEST = 499
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {FIELD: {"type": "string", "format": "binary"}},
                }
            },
            **dict.fromkeys(RAW_TYPES, _BINARY),
        },
    }
}


@router.post(
    "",
    summary="Screen one chest radiograph",
    response_model=ScreeningDocument,
    responses=problems(400, 404, 413, 415, 422, 503, 504),
    openapi_extra=_BODY,
    dependencies=[Depends(refuse_unknown_parameters)],
)
async def create_screening(
    request: Request,
    context: ContextDep,
    interest: Annotated[str | None, Query(description="Expert of the class of interest", max_length=64)] = None,
    overlap: Annotated[str | None, Query(description="Expert of the overlapping class", max_length=64)] = None,
    evidence: Annotated[
        Evidence, Query(description="Row of the class, minus the other row, or predicted class")
    ] = "row",
    alpha: Annotated[list[float] | None, Query(description="Amplification, 0 < alpha <= 700; repeatable")] = None,
    include: Annotated[
        str | None,
        Query(
            description="Comma list of maps, overlays, film, ensemble, ensemble_maps, regions, multiclass,"
            " predicted_regions; default all but film, ensemble_maps and predicted_regions"
        ),
    ] = None,
    overlay_size: Annotated[str | None, Query(description="Longer side in px, or original")] = None,
    style: Annotated[Style, Query(description="On the film, or transparent to lay over it")] = "blend",
    colormap: Annotated[Colormap, Query()] = "inferno",
    opacity: Annotated[float, Query(ge=0, le=1)] = DEFAULT_OPACITY,
    force: Annotated[bool, Query(description="Answer even where the film would be refused; flagged")] = False,
    pretest_probability: Annotated[float | None, Query(description="Of the class of interest", gt=0, lt=1)] = None,
) -> Response:
    """Return probabilities, class activation maps, their directed divergence, overlays and the ensemble's labels."""
    try:
        options = ScreeningOptions(
            interest, overlap, evidence, tuple(alpha or ()), parse_include(include), parse_overlay_size(overlay_size),
            style, colormap, opacity, force, pretest_probability,
        )  # fmt: skip
        async with context.uploads.place_for(request, context.max_upload_bytes):
            content = await read_upload(request, context.max_upload_bytes, context.request_timeout_s)
            future = context.screening.submit(content, options)
            screening = await answer_of(request, future, context.request_timeout_s)
    except ScreeningError as error:
        context.metrics.screened(error.problem_code)
        raise
    except (CallerLeftError, ClientDisconnect):
        context.metrics.screened("caller_left")
        return Response(status_code=_CLIENT_CLOSED_REQUEST)
    context.metrics.screened("answered", screening.result.timings_ms)
    payload = screening_payload(uuid.uuid4().hex, context.clock.now(), screening)
    timing = ", ".join(f"{stage};dur={value:.1f}" for stage, value in screening.result.timings_ms.items())
    return FastJSONResponse(payload, HTTPStatus.OK, headers={"Server-Timing": timing})
