"""A screening of a phantom by toy models, and the film's identity, to make bundles of."""

from datetime import UTC, datetime
from pathlib import Path

from app.codecs.decoder import FilmDecoder
from app.codecs.limits import DecodeLimits
from app.codecs.png import PngEncoder
from app.domain.source_image import SourceImage
from app.inference.catalogue import load_catalogue
from app.inference.scheduling import WorkQueue
from app.services.hospital.records import ResultContext
from app.services.hospital.study_identity import StudyIdentity
from app.services.options import ScreeningOptions
from app.services.screening import Screening, ScreeningService

SOURCE = SourceImage(
    "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3.4.5", "1.2.3.4", "1.2.3", "1.2.840.10008.1.2.1", "DX", 320, 288, b""
)
IDENTITY = StudyIdentity("CANARY-ID-4711", "CANARY-ISSUER", "CANARY-ACC-1", "2026-11-24")
CONTEXT = ResultContext("covid19 1.0.0, pneumonia 1.0.0", datetime(2026, 11, 25, 12, 0, 1, tzinfo=UTC))


def identified(_: SourceImage) -> StudyIdentity:
    return IDENTITY


def anonymous(_: SourceImage) -> StudyIdentity:
    return StudyIdentity()


def screened(models_dir: Path, film: bytes) -> Screening:
    queue = WorkQueue(1, 4, "screened")
    try:
        service = ScreeningService(FilmDecoder(DecodeLimits()), PngEncoder(), load_catalogue(models_dir, "cpu"), queue)
        return service.screen(film, ScreeningOptions(include=frozenset({"maps", "ensemble", "regions"})))
    finally:
        queue.close(5.0)
