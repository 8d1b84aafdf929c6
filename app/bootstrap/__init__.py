"""Joins the parts: settings in, services out. The only module that knows every concrete class."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from threadpoolctl import threadpool_limits

from app.codecs.decoder import FilmDecoder
from app.codecs.limits import DecodeLimits
from app.codecs.png import PngEncoder
from app.domain.errors import ArtifactError
from app.inference.artifact import verify_report
from app.inference.catalogue import Catalogue, load_catalogue
from app.inference.device import choose_device
from app.inference.scheduling import WorkQueue
from app.services.screening import ScreeningService
from app.settings import Settings
from app.telemetry import Metrics

_GPU_WORKERS = 8
_log = logging.getLogger(__name__)


class SystemClock:
    """`Clock` over the system's time."""

    def now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Services:
    """Everything the entry points use."""

    settings: Settings
    catalogue: Catalogue
    queue: WorkQueue
    screening: ScreeningService
    metrics: Metrics
    clock: SystemClock
    device: str


def decode_limits(settings: Settings) -> DecodeLimits:
    """What a film may be at most."""
    return DecodeLimits(
        max_bytes=settings.limits.max_upload_bytes,
        max_pixels=settings.limits.max_pixels,
        max_side_px=settings.limits.max_side_px,
    )


@contextmanager
def open_services(settings: Settings) -> Iterator[Services]:
    """Load and verify the models, start the workers; finish accepted work on the way out.

    Raises
    ------
    ArtifactError
        If a released model is not what its manifest says.
    DeviceUnavailableError
        If the device asked for is not there.
    """
    device = choose_device(settings.device)
    with threadpool_limits(limits=1, user_api="blas"):
        catalogue = load_catalogue(settings.models_dir, device, batch=device == "cuda")
        workers = settings.workers if device == "cpu" else max(settings.workers, _GPU_WORKERS)
        queue = WorkQueue(workers, settings.queue.capacity, "screening")
        metrics = Metrics()
        metrics.watch_queue(lambda: queue.state.waiting, lambda: queue.state.running)
        for model in catalogue.models.values():
            runs_on = model.runs_on
            metrics.model_loaded(model.manifest.name, model.manifest.version, runs_on.device, runs_on.provider)
        _warn_of_missing_reports(catalogue)
        decoder = FilmDecoder(decode_limits(settings))
        screening = ScreeningService(decoder, PngEncoder(), catalogue, queue, settings.request_timeout_s)
        try:
            yield Services(settings, catalogue, queue, screening, metrics, SystemClock(), device)
        finally:
            queue.close(settings.shutdown_timeout_s)
            catalogue.close()


def _warn_of_missing_reports(catalogue: Catalogue) -> None:
    """Say in the log which models serve without a release gate's report of their own weights."""
    for artifact in catalogue.artifacts.values():
        try:
            verify_report(artifact)
        except ArtifactError as error:
            _log.warning("model_without_report", extra={"model": artifact.manifest.name, "reason": error.detail})
