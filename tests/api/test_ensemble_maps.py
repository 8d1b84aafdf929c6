"""The ensemble's labels over HTTP: what was fitted, and the maps that add up to the mean logit, on request."""

import math

import numpy as np
import pytest
from starlette.testclient import TestClient

from app.api.schemas import ModelsDocument
from app.domain.label_hierarchy import ENSEMBLE_LABELS
from tests.api.test_screenings import answer, picture


def test_every_label_s_map_adds_up_to_the_mean_of_its_members_logits(
    ensemble_client: TestClient, film_png: bytes
) -> None:
    found = answer(ensemble_client, film_png, include="ensemble_maps")["ensemble"]

    assert [label["name"] for label in found["labels"]] == list(ENSEMBLE_LABELS)
    for label in found["labels"]:
        logits = [math.log(p / (1.0 - p)) for p in label["members"].values()]
        assert list(label["members"]) == ["fine", "coarse"]
        assert label["map"]["mean_logit"] == pytest.approx(np.mean(logits), abs=1e-5)
        assert np.mean(label["map"]["values"]) + label["map"]["bias"] == pytest.approx(np.mean(logits), abs=1e-5)
        assert (label["map"]["min"], label["map"]["max"]) == (
            np.min(label["map"]["values"]),
            np.max(label["map"]["values"]),
        )
        assert label["overlay"] is None


def test_maps_of_the_ensemble_are_no_part_of_a_default_answer(ensemble_client: TestClient, film_png: bytes) -> None:
    for query in ({}, {"include": "ensemble"}):
        labels = answer(ensemble_client, film_png, **query)["ensemble"]["labels"]

        assert {(label["map"], label["overlay"]) for label in labels} == {(None, None)}


def test_labels_are_drawn_where_overlays_are_asked_for_too(ensemble_client: TestClient, film_png: bytes) -> None:
    labels = answer(ensemble_client, film_png, include="overlays,ensemble_maps", overlay_size=64)["ensemble"]["labels"]

    assert {picture(label["overlay"]).size for label in labels} == {(58, 64)}


def test_the_mean_is_calibrated_and_decided_as_it_was_fitted(ensemble_client: TestClient, film_png: bytes) -> None:
    labels = {each["name"]: each for each in answer(ensemble_client, film_png)["ensemble"]["labels"]}

    pneumonia = labels["pneumonia"]
    logit = math.log(pneumonia["mean"] / (1.0 - pneumonia["mean"]))
    assert pneumonia["mean"] == pytest.approx(np.mean(list(pneumonia["members"].values())))
    assert pneumonia["probability"] == pytest.approx(1.0 / (1.0 + math.exp(-(2.0 * logit + 0.5))))
    assert pneumonia["threshold"] == 0.3
    assert [name for name, each in labels.items() if not each["evaluated"]] == ["mers"]


def test_what_was_fitted_is_listed_with_the_models(ensemble_client: TestClient) -> None:
    found = ModelsDocument.model_validate(ensemble_client.get("/v1/models").json())

    assert found.ensemble == ["fine", "coarse"]
    assert found.fitted is not None
    assert len(found.fitted.evaluated) == len(ENSEMBLE_LABELS) - 1
