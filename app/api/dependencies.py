"""What routes receive: the services of the running process, by type."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Protocol, cast

from fastapi import Depends, Request

from app.api.admission import UploadMemory
from app.domain.errors import IntakeReason, IntakeRefusedError, InvalidRequestError
from app.inference.catalogue import Catalogue
from app.inference.scheduling import QueueState
from app.services.hospital.desk import OperatorDesk
from app.services.hospital.ports import Receiver
from app.services.hospital.priors import PriorService
from app.services.hospital.reading_list import ReadingList
from app.services.ports import Clock
from app.services.screening import ScreeningService


class MetricsPort(Protocol):
    """Where routes and middleware count."""

    def screened(self, outcome: str, timings_ms: Mapping[str, float] | None = None) -> None:
        """Count one screening."""
        ...

    def requested(self, route: str, method: str, status: int, seconds: float) -> None:
        """Observe one request."""
        ...

    def text(self) -> bytes:
        """The exposition format."""
        ...


@dataclass(frozen=True, slots=True)
class Hospital:
    """The hospital side, where one is configured."""

    receiver: Receiver
    desk: OperatorDesk
    reading: ReadingList
    priors: PriorService


@dataclass(frozen=True, slots=True)
class ApiContext:
    """The process's services, as the lifespan opened them."""

    screening: ScreeningService
    uploads: UploadMemory
    catalogue: Catalogue
    queue_state: Callable[[], QueueState]
    metrics: MetricsPort
    clock: Clock
    device: str
    version: str
    max_upload_bytes: int
    request_timeout_s: float
    hospital: Hospital | None = None


def api_context(request: Request) -> ApiContext:
    """Give the context the lifespan put into the request's state."""
    return cast("ApiContext", request.state.context)  # the lifespan's state is untyped


def refuse_unknown_parameters(request: Request) -> None:
    """Refuse query parameters the route does not have: a misspelt one would silently leave its default.

    Raises
    ------
    InvalidRequestError
        Naming them and the ones there are.
    """
    route = request.scope["route"]
    known = sorted(parameter.alias for parameter in route.dependant.query_params)
    unknown = sorted(set(request.query_params) - set(known))
    if unknown:
        named = ", ".join(name[:40] for name in unknown[:5])
        raise InvalidRequestError(f"there is no parameter {named}; known: {', '.join(known)}")


ContextDep = Annotated[ApiContext, Depends(api_context)]


def hospital_side(request: Request, context: ContextDep) -> Hospital:
    """Give the hospital side.

    Raises
    ------
    IntakeRefusedError
        ``not_configured`` where there is none.
    InvalidRequestError
        If another site's page makes a browser ask for a change.
    """
    if request.method != "GET" and request.headers.get("sec-fetch-site") == "cross-site":
        raise InvalidRequestError("another site's page may not ask for this")
    if context.hospital is None:
        detail = "this service keeps no films; DISCERN_SPOOL__DIR is not set"
        raise IntakeRefusedError(IntakeReason.NOT_CONFIGURED, detail)
    return context.hospital


def caller(request: Request) -> str:
    """Name who asks: whom the gateway says it has let in (X-Forwarded-User), else the address."""
    named = request.headers.get("X-Forwarded-User", "")
    return named[:100] or (request.client.host if request.client else "unknown")


CallerDep = Annotated[str, Depends(caller)]
HospitalDep = Annotated[Hospital, Depends(hospital_side)]
