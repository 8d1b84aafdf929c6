"""The REST process."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from importlib.metadata import version
from typing import TypedDict

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from app.api.admission import UploadMemory
from app.api.dependencies import ApiContext, Hospital
from app.api.middleware import RequestMiddleware
from app.api.problems import install_problem_handlers
from app.api.routes import dicomweb, divergence, health, jobs, models, page, reading, screenings
from app.bootstrap import Services, open_services
from app.settings import Settings, load_settings

DESCRIPTION = """Chest radiograph screening that shows *what tells COVID-19 from other pneumonia*.

Two binary expert networks look at the same film; the directed divergence of their class activation maps shows where the
one finds what the other does not. **Research use. Not for diagnostic use.**"""

OpenHospital = Callable[[Settings], AbstractContextManager[Hospital | None]]
OpenServices = Callable[[Settings], AbstractContextManager[Services]]


class LifespanState(TypedDict):
    """What the lifespan gives every request."""

    context: ApiContext


@contextmanager
def open_hospital_side(settings: Settings) -> Iterator[Hospital | None]:
    """Open the hospital side where a spool is configured; its libraries are not even imported elsewhere."""
    if settings.spool.dir is None:
        yield None
        return
    from app.bootstrap.hospital import open_hospital

    with open_hospital(settings) as side:
        yield Hospital(side.receiver, side.desk, side.reading, side.priors)


def create_app(
    settings: Settings | None = None,
    open_services: OpenServices = open_services,
    open_hospital: OpenHospital = open_hospital_side,
) -> FastAPI:
    """Build the application; nothing is opened before its lifespan starts.

    Parameters
    ----------
    settings
        Read from the environment where None.
    open_services
        Opens the services of a settings object and closes them again.
    open_hospital
        Likewise the hospital side; None where there is none.

    Returns
    -------
    FastAPI
        The ASGI application.
    """
    settings = load_settings() if settings is None else settings
    release = version("discern")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[LifespanState]:
        opened = ExitStack()
        try:
            services = await run_in_threadpool(opened.enter_context, open_services(settings))
            hospital = await run_in_threadpool(opened.enter_context, open_hospital(settings))
            services.metrics.build(release)
            if hospital is not None:
                services.metrics.watch_hospital(hospital.desk.summary)
            yield {"context": _context(services, release, hospital)}
        finally:
            await run_in_threadpool(opened.close)

    app = FastAPI(
        title="Discern",
        version=release,
        description=DESCRIPTION,
        lifespan=lifespan,
        root_path=settings.root_path,
        docs_url=None,  # FastAPI's own loads from outside; app.api.routes.page serves one that does not
        redoc_url=None,
    )
    install_problem_handlers(app)
    app.add_middleware(RequestMiddleware)
    for routes in (screenings, divergence, jobs, dicomweb, reading, models, health):
        app.include_router(routes.router)
    page.mount_page(app)
    return app


def _context(services: Services, release: str, hospital: Hospital | None) -> ApiContext:
    settings = services.settings
    return ApiContext(
        screening=services.screening,
        uploads=UploadMemory(settings.limits.max_waiting_bytes),
        catalogue=services.catalogue,
        queue_state=lambda: services.queue.state,
        metrics=services.metrics,
        clock=services.clock,
        device=services.device,
        version=release,
        max_upload_bytes=settings.limits.max_upload_bytes,
        request_timeout_s=settings.request_timeout_s,
        hospital=hospital,
    )
