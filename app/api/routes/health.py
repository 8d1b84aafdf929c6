"""``/health/live``, ``/health/ready`` and ``/metrics``."""

from http import HTTPStatus

from fastapi import APIRouter, Response

from app.api.dependencies import ContextDep
from app.api.schemas import LiveDocument, ModelDocument, ReadyDocument
from app.services.screening import identity

router = APIRouter(tags=["operations"])


@router.get("/health/live", summary="Is the process alive")
async def live() -> LiveDocument:
    """Answer as long as the process does."""
    return LiveDocument(status="live")


@router.get("/health/ready", summary="Does the process take films", responses={503: {"model": ReadyDocument}})
async def ready(context: ContextDep, response: Response) -> ReadyDocument:
    """Tell whether films are taken, on which device, by which models; 503 while stopping."""
    state = context.queue_state()
    if not state.accepting:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    models = [identity(model) for model in context.catalogue.models.values()]
    return ReadyDocument(
        status="ready" if state.accepting else "stopping",
        device=context.device,
        models=[
            ModelDocument(name=m.name, version=m.version, sha256=m.sha256, precision=m.precision, device=m.device)
            for m in models
        ],
        waiting=state.waiting,
        running=state.running,
    )


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def metrics(context: ContextDep) -> Response:
    """Return the exposition format."""
    return Response(context.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
