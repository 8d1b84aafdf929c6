"""Networks of exclusive classes over HTTP: their classes, the predicted one's map, or why there is none."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from starlette.testclient import TestClient

from app.api.schemas import ModelsDocument
from app.domain.multiclass import class_probabilities
from app.main import create_app
from app.services.options import DEFAULT_PARTS, PARTS
from tests.api.conftest import toy_settings
from tests.api.test_screenings import answer, picture
from tests.phantoms import chest_film, png_bytes
from tests.toy_models import write_catalogue, write_classes, write_lungs, write_model

SLOPE = 0.5


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release-of-classes")
    write_model(folder, "covid19", seed=0)
    write_model(folder, "pneumonia", seed=8)
    write_classes(folder, "resnet50v2", slope=SLOPE)
    write_classes(folder, "covidnet", maps=False)
    write_catalogue(folder, "covid19", "pneumonia", multiclass=["resnet50v2", "covidnet"])
    return folder


@pytest.fixture(scope="module")
def classes_client(models_dir: Path) -> Iterator[TestClient]:
    with TestClient(create_app(toy_settings(models_dir))) as opened:
        yield opened


def test_every_network_gives_its_classes_which_sum_to_one_and_names_the_most_probable(
    classes_client: TestClient, film_png: bytes
) -> None:
    found = answer(classes_client, film_png)

    assert [each["name"] for each in found["multiclass"]] == ["resnet50v2", "covidnet"]
    for each in found["multiclass"]:
        shares = {one["name"]: one["probability"] for one in each["classes"]}
        assert list(shares) == ["covid19", "normal", "pneumonia"]
        assert sum(shares.values()) == pytest.approx(1.0)
        assert each["predicted"] == max(shares, key=lambda name: shares[name])
        assert each["flags"] == []
    assert {"resnet50v2", "covidnet"} <= {model["name"] for model in found["models"]}


def test_the_map_is_the_predicted_class_s_and_a_network_without_one_says_why(
    classes_client: TestClient, film_png: bytes
) -> None:
    with_map, without = answer(classes_client, film_png, overlay_size=64)["multiclass"]

    assert with_map["explanation"] == {"kind": "cam", "reason": None, "detail": None}
    assert np.array(with_map["map"]["values"]).shape == (4, 4)
    assert picture(with_map["overlay"]).size == (58, 64)
    assert (without["map"], without["overlay"]) == (None, None)
    assert without["explanation"] == {
        "kind": "none",
        "reason": "no_global_average_pooling",
        "detail": "A toy without maps",
    }


def test_the_map_s_mean_and_the_bias_give_back_the_probabilities(
    classes_client: TestClient, film_png: bytes, models_dir: Path
) -> None:
    model = onnx.load(models_dir / "resnet50v2" / "1.0.0" / "model.onnx")
    bias = next(numpy_helper.to_array(each) for each in model.graph.initializer if each.name == "fc.bias")
    found = answer(classes_client, film_png)["multiclass"][0]
    shares = np.array([each["probability"] for each in found["classes"]])
    best = int(shares.argmax())

    logit = np.mean(found["map"]["values"]) + bias[best]

    others = np.log(shares / shares[best]) / SLOPE + logit  # the other logits, from the ratios of the shares
    np.testing.assert_allclose(class_probabilities(others, SLOPE), shares, atol=1e-6)
    assert others[best] == pytest.approx(logit)


def test_without_maps_and_overlays_no_map_is_computed(classes_client: TestClient, film_png: bytes) -> None:
    found = answer(classes_client, film_png, include="multiclass")["multiclass"]

    assert [each["map"] for each in found] == [None, None]
    assert [each["explanation"]["kind"] for each in found] == ["cam", "none"]


def test_it_is_a_part_of_its_own_and_costs_nothing_where_it_is_not_asked_for(
    classes_client: TestClient, film_png: bytes
) -> None:
    found = answer(classes_client, film_png, include="maps")

    assert found["multiclass"] is None
    assert {"resnet50v2", "covidnet"}.isdisjoint(model["name"] for model in found["models"])
    assert "multiclass" in DEFAULT_PARTS & set(PARTS)


def test_where_none_is_shipped_the_answer_is_null(client: TestClient, film_png: bytes) -> None:
    assert answer(client, film_png)["multiclass"] is None


def test_they_are_listed_with_the_models(classes_client: TestClient) -> None:
    found = ModelsDocument.model_validate(classes_client.get("/v1/models").json())

    assert found.multiclass == ["resnet50v2", "covidnet"]
    assert {model.name: model.grid for model in found.models if model.kind == "multiclass"} == {
        "resnet50v2": [4, 4],
        "covidnet": [],
    }


def test_an_inverted_film_is_flagged_and_the_map_s_share_outside_the_lungs_is_given(
    tmp_path: Path, film_png: bytes
) -> None:
    write_model(tmp_path, "covid19", seed=0)
    write_model(tmp_path, "pneumonia", seed=8)
    write_classes(tmp_path, "resnet50v2")
    write_lungs(tmp_path)
    write_catalogue(tmp_path, "covid19", "pneumonia", lungs="lungs", multiclass=["resnet50v2"])

    with TestClient(create_app(toy_settings(tmp_path))) as opened:
        (upright,) = answer(opened, film_png)["multiclass"]
        (inverted,) = answer(opened, png_bytes(255 - chest_film(320, 288)))["multiclass"]

    assert upright["map"]["outside_lungs"] is not None
    assert upright["flags"] == []
    assert inverted["flags"] == ["inverted"]
