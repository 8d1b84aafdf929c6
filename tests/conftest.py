"""What most suites share: a toy release on disk, made once, and synthetic films as bytes."""

from pathlib import Path

import pytest

from tests.phantoms import RIGHT_LOWER, chest_film, png_bytes
from tests.toy_models import write_release


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models directory with two toy experts and one toy member; read it only."""
    return write_release(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="session")
def film_png() -> bytes:
    """A frontal phantom, 320 px high and 288 px wide, with an opacity."""
    return png_bytes(chest_film(320, 288, opacities=(RIGHT_LOWER,)))
