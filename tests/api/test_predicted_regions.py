"""Predicted regions over HTTP: on request only, named as what they are."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from app.api.schemas import ModelsDocument
from app.domain.predicted_region import NO_EXPLANATION
from app.main import create_app
from tests.api.conftest import toy_settings
from tests.api.test_screenings import answer, picture
from tests.toy_models import write_catalogue, write_model, write_region_model


@pytest.fixture(scope="module")
def region_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The application over a release with one expert that predicts a region."""
    models_dir: Path = tmp_path_factory.mktemp("release-with-region")
    write_model(models_dir, "covid19", seed=0)
    write_model(models_dir, "pneumonia", seed=8)
    write_region_model(models_dir, "outliner", seed=8)
    write_catalogue(models_dir, "covid19", "pneumonia", regions=["outliner"])
    with TestClient(create_app(toy_settings(models_dir))) as opened:
        yield opened


def test_a_region_is_part_of_an_answer_only_where_it_was_asked_for(region_client: TestClient, film_png: bytes) -> None:
    assert answer(region_client, film_png)["predicted_regions"] is None
    assert len(answer(region_client, film_png, include="predicted_regions")["predicted_regions"]) == 1


def test_where_none_is_shipped_asking_gives_none(client: TestClient, film_png: bytes) -> None:
    assert answer(client, film_png, include="predicted_regions")["predicted_regions"] is None


def test_it_says_what_it_is_and_how_far_the_maps_agree(region_client: TestClient, film_png: bytes) -> None:
    found = answer(region_client, film_png, include="maps,predicted_regions", alpha=7)

    (region,) = found["predicted_regions"]
    assert region["notice"] == NO_EXPLANATION
    assert "not an explanation" in region["notice"]
    assert (region["name"], region["target"], region["region"]["of"]) == ("outliner", "outliner", "bright places")
    values = np.array(region["region"]["values"])
    assert values.shape == (32, 32)
    assert 0.0 <= values.min() <= values.max() <= 1.0
    assert 0.0 < region["region"]["area_share"] < 0.8
    assert region["region"]["extent"] == found["experts"]["covid19"]["map"]["extent"]
    assert [(each["with"], each["alpha"]) for each in region["agreement"]] == [("cam", None), ("divergence", 7.0)]
    assert region["overlay"] is None
    assert "outliner" in [model["name"] for model in found["models"]]


def test_without_maps_it_is_compared_with_the_network_s_own_map_alone(
    region_client: TestClient, film_png: bytes
) -> None:
    found = answer(region_client, film_png, include="predicted_regions")

    assert found["divergence"] is None
    assert [each["with"] for each in found["predicted_regions"][0]["agreement"]] == ["cam"]


def test_it_is_drawn_where_overlays_are_asked_for(region_client: TestClient, film_png: bytes) -> None:
    found = answer(region_client, film_png, include="overlays,predicted_regions", overlay_size=64)

    assert picture(found["predicted_regions"][0]["overlay"]).size == (58, 64)


def test_what_predicts_regions_is_listed_with_the_models(region_client: TestClient) -> None:
    found = ModelsDocument.model_validate(region_client.get("/v1/models").json())

    assert found.regions == ["outliner"]
    assert {model.name: model.region for model in found.models} == {
        "covid19": None,
        "pneumonia": None,
        "outliner": "bright places",
    }
