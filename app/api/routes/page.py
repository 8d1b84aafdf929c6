"""The pages (screening, operations, reading list, API), their files, and the example film where one is installed."""

from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, files
from importlib.resources import files as resource_files
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final

from fastapi import APIRouter, FastAPI, Query, Response
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from app.api.responses import FastJSONResponse, problems

router = APIRouter(tags=["page"])

_EXAMPLE_PACKAGE: Final = "pydicom-data"
_EXAMPLE_FILE: Final = "RG1_UNCI.dcm"
EXAMPLE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "title": "Chest PA, NEMA test image RG1",
        "source": "NEMA DICOM compression test images (RG1), from the package pydicom-data",
        "licence": "MIT (pydicom-data)",
    }
)


def web_directory() -> Path:
    """Where the page's files are installed."""
    return Path(str(resource_files("app.api") / "web"))


def mount_page(app: FastAPI) -> None:
    """Serve the page's files below ``/web``."""
    app.include_router(router)
    app.mount("/web", StaticFiles(directory=web_directory()), name="web")


@router.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """Return the page."""
    return FileResponse(web_directory() / "index.html", headers={"Cache-Control": "no-cache"})


@router.get("/docs", include_in_schema=False)
async def docs() -> FileResponse:
    """Return the list of operations."""
    return FileResponse(web_directory() / "docs.html", headers={"Cache-Control": "no-cache"})


@router.get("/reading-list", include_in_schema=False)
async def reading_list() -> FileResponse:
    """Return the reading list's page."""
    return FileResponse(web_directory() / "reading.html", headers={"Cache-Control": "no-cache"})


@router.get("/operations", include_in_schema=False)
async def operations() -> FileResponse:
    """Return the operators' page."""
    return FileResponse(web_directory() / "operations.html", headers={"Cache-Control": "no-cache"})


@router.get(
    "/v1/example",
    summary="A film to try, where one is installed",
    response_class=Response,
    responses=problems(404),
)
async def example(describe: Annotated[bool, Query(description="Only say what it is")] = False) -> Response:
    """Return a redistributable chest film, or its description; 404 where the extra ``example`` is not installed."""
    path = await run_in_threadpool(_example_path)
    if describe:
        return FastJSONResponse({"available": path is not None, **EXAMPLE})
    if path is None:
        raise HTTPException(404, "no example film is installed; install the extra [example]")
    content = await run_in_threadpool(path.read_bytes)
    return Response(content, media_type="application/dicom", headers={"X-Source": EXAMPLE["source"]})


@lru_cache(maxsize=1)
def _example_path() -> Path | None:
    try:
        listed = files(_EXAMPLE_PACKAGE) or []
    except PackageNotFoundError:
        return None
    found = (Path(str(each.locate())) for each in listed if each.name == _EXAMPLE_FILE)
    return next(found, None)
