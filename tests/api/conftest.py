"""The HTTP application in process, over toy models."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.bootstrap import Services, SystemClock
from app.codecs.png import PngEncoder
from app.inference.catalogue import load_catalogue
from app.inference.scheduling import WorkQueue
from app.main import create_app
from app.services.screening import ScreeningService
from app.settings import LimitSettings, Settings
from app.telemetry import Metrics
from tests.fakes import PATIENCE_S, FakeDecoder
from tests.toy_models import write_catalogue, write_ensemble, write_model

MAX_UPLOAD_BYTES = 2 * 1024 * 1024


def toy_settings(release: Path, **changes: object) -> Settings:
    """Settings for toy models; small limits, so that tests reach them cheaply."""
    limits = LimitSettings(max_upload_bytes=MAX_UPLOAD_BYTES, max_pixels=4_000_000, max_side_px=4_000)
    return Settings.model_validate({"models_dir": release, "device": "cpu", "limits": limits} | changes)


def settings_with_spool(release: Path, folder: Path, **spool: object) -> Settings:
    """Settings with a hospital side that keeps everything in a folder of the test's."""
    return Settings.model_validate(
        {"models_dir": release, "device": "cpu", "spool": {"dir": folder / "spool", "reserve_bytes": 0} | spool}
    )


@pytest.fixture(scope="module")
def app(release: Path) -> FastAPI:
    return create_app(toy_settings(release))


@pytest.fixture(scope="module")
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as opened:
        yield opened


@pytest.fixture(scope="module")
def lungs_client(release_with_lungs: Path) -> Iterator[TestClient]:
    """The application over a release that finds lungs and has an input gate."""
    with TestClient(create_app(toy_settings(release_with_lungs))) as opened:
        yield opened


@pytest.fixture(scope="session")
def release_of_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with two members of two grids and what was fitted to their mean; read it only."""
    models_dir = tmp_path_factory.mktemp("release-of-two")
    write_model(models_dir, "covid19", seed=0)
    write_model(models_dir, "pneumonia", seed=8)
    members = [
        write_model(models_dir, "fine", kind="multilabel", seed=3),
        write_model(models_dir, "coarse", kind="multilabel", seed=4, size_px=96, stride=32),
    ]
    write_catalogue(models_dir, "covid19", "pneumonia", ["fine", "coarse"])
    write_ensemble(models_dir, members)
    return models_dir


@pytest.fixture(scope="module")
def ensemble_client(release_of_two: Path) -> Iterator[TestClient]:
    """The application over a release whose ensemble has two members."""
    with TestClient(create_app(toy_settings(release_of_two))) as opened:
        yield opened


class HeldService:
    """An application with one worker and one waiting place, whose decoder waits for the test."""

    def __init__(self, settings: Settings) -> None:
        self.decoder = FakeDecoder(held=True)
        self.queue = WorkQueue(1, 1, "held")
        self.app = create_app(settings, self._open)

    @contextmanager
    def _open(self, settings: Settings) -> Iterator[Services]:
        catalogue = load_catalogue(settings.models_dir, "cpu")
        screening = ScreeningService(self.decoder, PngEncoder(), catalogue, self.queue, settings.request_timeout_s)
        try:
            yield Services(settings, catalogue, self.queue, screening, Metrics(), SystemClock(), "cpu")
        finally:
            self.decoder.go.set()
            self.queue.close(PATIENCE_S)

    def fill(self) -> None:
        """Occupy the worker and the waiting place."""
        self.queue.submit(lambda: self.decoder.go.wait(PATIENCE_S))
        while not self.queue.state.running:
            threading.Event().wait(0.001)
        self.queue.submit(lambda: None)


OpenHeld: TypeAlias = Callable[..., AbstractContextManager[tuple[HeldService, TestClient]]]


@pytest.fixture
def open_held(release: Path) -> OpenHeld:
    @contextmanager
    def opening(**changes: object) -> Iterator[tuple[HeldService, TestClient]]:
        service = HeldService(toy_settings(release, **changes))
        with TestClient(service.app) as client:
            yield service, client

    return opening
