"""``/v1/jobs``: films handed in for durable work, and what became of them."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Header, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from app.api.dependencies import CallerDep, ContextDep, Hospital, HospitalDep
from app.api.job_documents import (
    JobDetailDocument,
    JobDocument,
    JobEventDocument,
    JobListDocument,
    ReceiptDocument,
    SummaryDocument,
)
from app.api.reading_documents import comparison_payload
from app.api.responses import FastJSONResponse, problems
from app.api.upload import FIELD, RAW_TYPES, read_upload
from app.domain.jobs import JobState
from app.services.hospital.records import Arrival, Origin

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_POLL_S: Final = 0.5
_KEEP_ALIVE_S: Final = 15.0
_STREAM_S: Final = 3600.0
_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "required": [FIELD], "properties": {FIELD: _BINARY["schema"]}}
            },
            **dict.fromkeys(RAW_TYPES, _BINARY),
        },
    }
}
JobId = Annotated[str, Path(max_length=36, description="Name of a job")]


@router.post(
    "",
    summary="Hand in a film for durable work",
    status_code=HTTPStatus.ACCEPTED,
    responses=problems(400, 413, 415, 422, 503, 504, 507),
    openapi_extra=_BODY,
)
async def create_job(
    request: Request, response: Response, context: ContextDep, hospital: HospitalDep, user: CallerDep
) -> ReceiptDocument:
    """Take one DICOM, PNG or JPEG film; answered once it is durable. The same film twice is the same job."""
    async with context.uploads.place_for(request, context.max_upload_bytes):
        content = await read_upload(request, context.max_upload_bytes, context.request_timeout_s)
        receipt = await run_in_threadpool(hospital.receiver.receive, content, Arrival(Origin.UPLOAD, user))
    if receipt.job_id:
        response.headers["Location"] = f"{request.scope.get('root_path', '')}/v1/jobs/{receipt.job_id}"
    return ReceiptDocument.of(receipt)


@router.get("", summary="List jobs, the newest first", responses=problems(404, 503))
async def list_jobs(
    hospital: HospitalDep,
    state: Annotated[JobState | None, Query()] = None,
    study_uid: Annotated[str | None, Query(max_length=64)] = None,
    since: Annotated[datetime | None, Query(description="Changed then or later")] = None,
    before: Annotated[str | None, Query(max_length=36, description="The last job of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> JobListDocument:
    """Give a page of jobs."""
    found = await run_in_threadpool(
        lambda: hospital.desk.jobs(state=state, study_uid=study_uid, since=_aware(since), before=before, limit=limit)
    )
    return JobListDocument(
        jobs=[JobDocument.of(job) for job in found], next=found[-1].id if len(found) == limit else None
    )


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


@router.get("/summary", summary="The queue in numbers", responses=problems(503))
async def summary(hospital: HospitalDep) -> SummaryDocument:
    """Count jobs, arrivals and deliveries; say what needs somebody's eyes."""
    return SummaryDocument.of(await run_in_threadpool(hospital.desk.summary))


@router.get(
    "/events",
    summary="What happens, as server-sent events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}, **problems(503)},
)
async def events(
    hospital: HospitalDep,
    after: Annotated[int | None, Query(ge=0, description="Number of the last event seen; default: from now on")] = None,
    last_event_id: Annotated[int | None, Header(ge=0)] = None,
) -> StreamingResponse:
    """Stream events of all jobs in order; a reader that comes back with ``Last-Event-ID`` misses none."""
    begin = last_event_id if last_event_id is not None else after
    if begin is None:
        begin = await run_in_threadpool(hospital.desk.last_event)
    return StreamingResponse(
        _stream(hospital, begin), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


async def _stream(hospital: Hospital, after: int) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    started = spoken = loop.time()
    yield ": events\n\n"
    while loop.time() - started < _STREAM_S:
        for event in await run_in_threadpool(hospital.desk.events, after):
            after = event.number
            spoken = loop.time()
            data = JobEventDocument.of(event).model_dump(mode="json")
            yield f"id: {event.number}\nevent: {event.kind}\ndata: {json.dumps(data)}\n\n"
        if loop.time() - spoken > _KEEP_ALIVE_S:
            spoken = loop.time()
            yield ": still here\n\n"
        await asyncio.sleep(_POLL_S)


@router.post("/replay", summary="Try all parked work again", responses=problems(503))
async def replay_all(user: CallerDep, hospital: HospitalDep) -> dict[str, int]:
    """Put everything parked back into the queue."""
    return {"replayed": await run_in_threadpool(hospital.desk.replay_all, user)}


@router.get("/{job_id}", summary="One job whole", responses=problems(404, 503))
async def get_job(job_id: JobId, hospital: HospitalDep) -> JobDetailDocument:
    """Give a job with its results, deliveries and history."""
    return JobDetailDocument.of_detail(await run_in_threadpool(hospital.desk.detail, job_id))


@router.get(
    "/{job_id}/answer",
    summary="A job's answer, as POST /v1/screenings gives it",
    response_class=Response,
    responses={200: {"content": {"application/json": {}}}, **problems(404, 409, 503)},
)
async def get_answer(user: CallerDep, job_id: JobId, hospital: HospitalDep) -> Response:
    """Give probabilities, maps and overlays of a screened film."""
    content = await run_in_threadpool(hospital.desk.answer, job_id, user)
    return Response(content, media_type="application/json", headers={"Cache-Control": "private, no-store"})


@router.get(
    "/{job_id}/fhir",
    summary="A job's answer or refusal as a FHIR R4 transaction",
    response_class=Response,
    responses={200: {"content": {"application/fhir+json": {}}}, **problems(404, 409, 503)},
)
async def get_fhir(user: CallerDep, job_id: JobId, hospital: HospitalDep) -> Response:
    """Give ImagingStudy, Observations, DiagnosticReport, Devices and Provenance of a DICOM film."""
    content = await run_in_threadpool(hospital.desk.fhir, job_id, user)
    return Response(content, media_type="application/fhir+json", headers={"Cache-Control": "private, no-store"})


@router.get(
    "/{job_id}/comparison",
    summary="A film beside the last one of the same patient",
    response_class=Response,
    responses={200: {"content": {"application/json": {}}}, **problems(404, 409, 503)},
)
async def compare(user: CallerDep, job_id: JobId, hospital: HospitalDep) -> Response:
    """Give what changed: probabilities, and the temporal divergence of each expert's maps with its pictures."""
    found = await run_in_threadpool(hospital.priors.comparison, job_id, user)
    return FastJSONResponse(comparison_payload(found))


@router.post("/{job_id}/replay", summary="Try a parked job again", responses=problems(404, 409, 503))
async def replay(user: CallerDep, job_id: JobId, hospital: HospitalDep) -> JobDocument:
    """Put a parked film, or its parked deliveries, back into the queue at once."""
    return JobDocument.of(await run_in_threadpool(hospital.desk.replay, job_id, user))


@router.post("/{job_id}/screen-again", summary="Answer a film anew", responses=problems(404, 409, 503))
async def screen_again(user: CallerDep, job_id: JobId, hospital: HospitalDep) -> JobDocument:
    """Make a new job of the film for the models of today; what was said before stays where it is."""
    return JobDocument.of(await run_in_threadpool(hospital.desk.screen_again, job_id, user))


@router.post("/{job_id}/cancel", summary="Take a job back", responses=problems(404, 409, 503))
async def cancel(user: CallerDep, job_id: JobId, hospital: HospitalDep) -> JobDocument:
    """End open work without results."""
    return JobDocument.of(await run_in_threadpool(hospital.desk.cancel, job_id, user))


@router.delete("/{job_id}", summary="Purge a job", status_code=HTTPStatus.NO_CONTENT, responses=problems(404, 409, 503))
async def purge(user: CallerDep, job_id: JobId, hospital: HospitalDep) -> None:
    """Remove a job that has ended, with its film, objects and answer."""
    await run_in_threadpool(hospital.desk.purge, job_id, user)
