"""Films and models of the benchmarks."""

from pathlib import Path

import numpy as np
import pytest

from tests.phantoms import chest_film, jpeg_bytes

MODELS = Path("models")


@pytest.fixture(scope="session")
def shipped_models() -> Path:
    if not (MODELS / "catalogue.json").is_file():
        pytest.skip("no models are shipped in this checkout")
    return MODELS


@pytest.fixture(scope="session")
def megapixel_jpeg() -> bytes:
    return jpeg_bytes(chest_film(1024, 1024, seed=7).astype(np.uint8), quality=90)
