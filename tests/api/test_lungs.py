"""The API over a release that finds lungs: shares, zones, the gate's refusals and flags."""

import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.testclient import TestClient

from tests.api.problems import assert_problem, strict_json
from tests.api.test_screenings import PATH, answer, post
from tests.phantoms import RIGHT_LOWER, chest_film, png_bytes

NOISE = png_bytes(np.random.default_rng(0).integers(0, 256, (300, 280)).astype(np.uint8))


def film(**changes: int) -> NDArray[np.uint8]:
    return chest_film(**({"height": 320, "width": 288} | changes), opacities=(RIGHT_LOWER,)).astype(np.uint8)


def test_maps_and_regions_know_where_the_lungs_are(lungs_client: TestClient, film_png: bytes) -> None:
    found = answer(lungs_client, film_png, alpha=[15, 50])

    shares = [expert["map"]["outside_lungs"] for expert in found["experts"].values()]
    shares += [each["outside_lungs"] for each in found["divergence"]["maps"]]
    assert len(set(shares)) == 4
    assert all(0.0 < share < 1.0 for share in shares)
    zones = [region["zone"] for each in found["divergence"]["maps"] for region in each["regions"]]
    assert set(zones) == {"right middle"}
    assert found["flags"] == []
    assert {"lungs", "gate"} <= set(found["timings_ms"])
    assert found["models"][-1]["name"] == "lungs"


def test_every_map_covers_the_same_part_of_the_film_around_the_lungs(lungs_client: TestClient, film_png: bytes) -> None:
    found = answer(lungs_client, film_png, include="maps")

    extents = [expert["map"]["extent"] for expert in found["experts"].values()]
    extents += [each["extent"] for each in found["divergence"]["maps"]]
    x0, y0, x1, y1 = extents[0]
    assert extents == [[x0, y0, x1, y1]] * 3
    assert x1 - x0 == pytest.approx(y1 - y0, rel=0.02)
    assert 0 < y0 < y1 < 320


def test_a_picture_that_is_no_film_is_refused_with_the_rule_and_the_value(lungs_client: TestClient) -> None:
    detail = assert_problem(post(lungs_client, NOISE), 422, "not_a_chest_radiograph")

    assert "the probability of a frontal film is 0.0" in detail
    assert "0.50 or more expected" in detail


def test_a_page_of_text_has_no_contrast(lungs_client: TestClient) -> None:
    page = np.full((300, 200), 250, np.uint8)
    page[::10, 20:180] = 5

    assert "two grey levels" in assert_problem(post(lungs_client, png_bytes(page)), 422, "low_contrast")


def test_a_forced_answer_says_what_the_gate_said_and_decides_nothing(lungs_client: TestClient) -> None:
    found = answer(lungs_client, NOISE, force=True, pretest_probability=0.2)

    assert {"forced", "gate_not_a_chest_radiograph"} <= set(found["flags"])
    for expert in found["experts"].values():
        assert expert["decision"] == "indeterminate"
        assert "gate_not_a_chest_radiograph" in expert["flags"]
        assert 0.0 < expert["probability"] < 1.0
    assert found["experts"]["covid19"]["post_test"]["reason"] == "indeterminate"
    assert {label["decision"] for label in found["ensemble"]["labels"]} == {"indeterminate"}
    assert not found["divergence"]["intended_use"]


def test_an_inverted_film_is_flagged_and_decides_nothing(lungs_client: TestClient) -> None:
    found = answer(lungs_client, png_bytes(255 - film()))

    assert found["flags"] == ["inverted"]
    assert {expert["decision"] for expert in found["experts"].values()} == {"indeterminate"}
    assert [expert["flags"] for expert in found["experts"].values()] == [["inverted"]] * 2


def test_a_film_whose_lungs_have_few_pixels_is_flagged(lungs_client: TestClient) -> None:
    assert answer(lungs_client, png_bytes(film(height=72, width=68)))["flags"] == ["low_resolution"]


def test_refusals_are_counted_by_their_code(lungs_client: TestClient) -> None:
    post(lungs_client, NOISE)

    assert 'discern_screenings_total{outcome="not_a_chest_radiograph"}' in lungs_client.get("/metrics").text


def test_the_lungs_network_is_listed_with_its_grid_manifest_and_card(lungs_client: TestClient) -> None:
    listed = strict_json(lungs_client.get("/v1/models"))["models"][-1]
    shown = strict_json(lungs_client.get("/v1/models/lungs"))
    ready = strict_json(lungs_client.get("/health/ready"))

    assert (listed["name"], listed["kind"], listed["grid"]) == ("lungs", "lungs", [64, 64])
    assert listed["labels"] == ["frontal", "inverted", "rotated", "paediatric"]
    assert shown["manifest"]["gate"]["max_two_level_share"] == 0.9
    assert lungs_client.get("/v1/models/lungs/card").text.startswith("# lungs")
    assert "lungs" in [model["name"] for model in ready["models"]]
    assert 'discern_model_loaded{device="cpu",name="lungs"' in lungs_client.get("/metrics").text


def test_a_lungs_network_is_no_expert(lungs_client: TestClient, film_png: bytes) -> None:
    detail = assert_problem(
        lungs_client.post(PATH, content=film_png, params={"interest": "lungs"}, headers={"Content-Type": "image/png"}),
        404,
        "model_not_found",
    )

    assert "loaded: covid19, pneumonia" in detail
