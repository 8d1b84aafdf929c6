"""A film and its screening, from which results are built."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.bootstrap import open_services
from app.codecs.dicom_identity import DicomObjectReader
from app.codecs.limits import DecodeLimits
from app.domain.source_image import SourceImage
from app.services.hospital.records import ResultContext
from app.services.options import ScreeningOptions
from app.services.screening import Screening
from app.settings import Settings
from tests.phantoms import RIGHT_LOWER, chest_film, dicom_bytes, dicom_dataset

OPTIONS = ScreeningOptions(overlay_px=768)


@pytest.fixture(scope="session")
def film_dicom() -> bytes:
    """The frontal phantom of `film_png` as a DX object."""
    return dicom_bytes(dicom_dataset(chest_film(320, 288, opacities=(RIGHT_LOWER,))))


@pytest.fixture(scope="session")
def screening(release_with_lungs: Path, film_dicom: bytes) -> Iterator[Screening]:
    """What toy networks with lungs say of it: both experts positive, with boxes."""
    with open_services(Settings(models_dir=release_with_lungs)) as services:
        yield services.screening.screen(film_dicom, OPTIONS)


@pytest.fixture
def source(film_dicom: bytes) -> SourceImage:
    """The film's identity."""
    found = DicomObjectReader(DecodeLimits(), b"key" * 11).identify(film_dicom)
    assert found is not None
    return found


@pytest.fixture
def context() -> ResultContext:
    """An answer's version and time."""
    return ResultContext("models-3f2a91c0d4e7-1", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
