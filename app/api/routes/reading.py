"""``/v1/reading-list``: which films to read first."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool

from app.api.dependencies import HospitalDep
from app.api.reading_documents import ReadingDocument, ReadingListDocument
from app.api.responses import problems
from app.domain.screening import NOTICE

router = APIRouter(prefix="/v1/reading-list", tags=["reading"])


@router.get("", summary="Films in the order they ask to be read", responses=problems(422, 503))
async def reading_list(
    hospital: HospitalDep,
    days: Annotated[float, Query(gt=0, le=366, description="Received within so many days")] = 2.0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    negative: Annotated[bool, Query(description="Negative films too")] = True,
) -> ReadingListDocument:
    """Give positive films first, then those that need eyes (refused, failed, unanswered), then negative ones."""
    entries = await run_in_threadpool(hospital.reading.entries, days, limit, negative)
    films = [ReadingDocument.of(rank, entry) for rank, entry in enumerate(entries, 1)]
    return ReadingListDocument(notice=NOTICE, films=films)
