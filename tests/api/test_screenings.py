"""``POST /v1/screenings``: what is answered, field by field, and what the parameters change."""

import base64
import io
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from httpx2 import Response
from PIL import Image
from starlette.testclient import TestClient

from app.api.schemas import ScreeningDocument
from tests.api.problems import assert_problem, strict_json
from tests.phantoms import chest_film, dicom_bytes, dicom_dataset, digest, jpeg_bytes, png_bytes

PATH = "/v1/screenings"
Send = Callable[[bytes], Response]


def post(client: TestClient, content: bytes, media_type: str = "image/png", **query: Any) -> Response:
    response: Response = client.post(PATH, content=content, params=query, headers={"Content-Type": media_type})
    return response


def answer(client: TestClient, content: bytes, media_type: str = "image/png", **query: Any) -> dict[str, Any]:
    response = post(client, content, media_type, **query)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = strict_json(response)
    ScreeningDocument.model_validate(found)
    return found


def picture(document: dict[str, Any]) -> Image.Image:
    """Decode a picture of an answer, whose stated size must be its own."""
    opened = Image.open(io.BytesIO(base64.b64decode(document["png"], validate=True)))
    assert opened.format == "PNG"
    assert opened.size == (document["width"], document["height"])
    opened.load()
    return opened


def test_an_answer_has_every_field_of_the_interface(client: TestClient, film_png: bytes) -> None:
    found = answer(client, film_png)

    assert found["notice"] == "Research use. Not for diagnostic use."
    assert found["device"] == "cpu"
    assert found["created"].endswith("Z")
    assert found["image"] == {
        "format": "png", "width": 288, "height": 320, "sha256": digest(film_png), "view_position": None,
        "photometric_interpretation": "MONOCHROME2", "pixel_spacing_mm": None, "flags": [],
    }  # fmt: skip
    assert [(m["name"], m["version"], m["precision"], m["device"]) for m in found["models"]] == [
        ("covid19", "1.0.0", "fp32", "cpu"),
        ("pneumonia", "1.0.0", "fp32", "cpu"),
        ("ensemble-toy", "1.0.0", "fp32", "cpu"),
    ]
    assert list(found["experts"]) == ["covid19", "pneumonia"]
    for expert in found["experts"].values():
        assert expert["probability"] == pytest.approx(1 / (1 + math.exp(-expert["logit"])))
        assert expert["decision"] == ("positive" if expert["probability"] >= 0.5 else "negative")
        assert expert["operating_point"] == {
            "name": "default", "threshold": 0.5, "sensitivity": 0.9, "specificity": 0.8, "indeterminate": None,
        }  # fmt: skip
        values = np.array(expert["map"]["values"])
        assert values.shape == (4, 4)
        assert (expert["map"]["min"], expert["map"]["max"]) == pytest.approx((values.min(), values.max()))
        assert expert["map"]["outside_lungs"] is None
        assert expert["flags"] == []
        assert expert["post_test_probability"] is None
    divergence = found["divergence"]
    assert (divergence["interest"], divergence["overlap"]) == ("covid19", "pneumonia")
    assert [each["alpha"] for each in divergence["maps"]] == [15.0]
    assert len(found["ensemble"]["labels"]) == 14
    assert found["ensemble"]["labels"][0]["members"].keys() == {"ensemble-toy"}
    assert set(found["timings_ms"]) == {"decode", "preprocess", "networks", "maps", "overlays", "encode"}


def test_two_answers_have_two_identifiers_and_the_same_numbers(client: TestClient, film_png: bytes) -> None:
    first, second = answer(client, film_png), answer(client, film_png)

    assert first["id"] != second["id"]
    assert first["divergence"] == second["divergence"]
    assert first["experts"] == second["experts"]


def test_the_divergence_of_an_answer_is_the_kernel_of_its_maps(client: TestClient, film_png: bytes) -> None:
    found = answer(client, film_png, alpha=5)

    x, x_prime = (np.array(found["experts"][name]["map"]["values"]) for name in ("covid19", "pneumonia"))
    expected = 5 * (x / x.max() - x_prime / x_prime.max())
    each = found["divergence"]["maps"][0]
    np.testing.assert_allclose(each["log_k"], expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(each["k"], np.exp(expected), rtol=1e-9)
    assert (each["log_k_min"], each["log_k_max"]) == pytest.approx((expected.min(), expected.max()))
    k = np.exp(expected)
    np.testing.assert_allclose(each["display"], (k - k.min()) / (k.max() - k.min()), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "content", "media_type"),
    [
        ("png", png_bytes(chest_film(200, 160)), "image/png"),
        ("png", png_bytes(chest_film(200, 160, bits=16)), "image/png"),
        ("jpeg", jpeg_bytes(chest_film(200, 160).astype(np.uint8)), "image/jpeg"),
        ("dicom", dicom_bytes(dicom_dataset(chest_film(200, 160, bits=12), bits=12)), "application/dicom"),
        ("png", png_bytes(chest_film(200, 160)), "application/octet-stream"),
        ("png", png_bytes(chest_film(200, 160)), "application/dicom"),
        ("jpeg", jpeg_bytes(chest_film(200, 160).astype(np.uint8)), "IMAGE/PNG; charset=binary"),
    ],
)
def test_raw_bytes_are_read_by_their_content(client: TestClient, name: str, content: bytes, media_type: str) -> None:
    found = answer(client, content, media_type)

    assert (found["image"]["format"], found["image"]["sha256"]) == (name, digest(content))
    assert (found["image"]["height"], found["image"]["width"]) == (200, 160)


def test_multipart_gives_the_same_answer_as_raw_bytes(client: TestClient, film_png: bytes) -> None:
    response = client.post(PATH, files={"image": ("Doe^Jane.png", film_png, "text/plain")}, data={"note": "ignored"})

    found, raw = strict_json(response), answer(client, film_png)
    for varying in ("id", "created", "timings_ms"):
        del found[varying], raw[varying]
    assert found == raw


def test_a_dicom_film_keeps_what_it_says_of_itself(client: TestClient) -> None:
    dataset = dicom_dataset(chest_film(200, 160, bits=12), bits=12, photometric="MONOCHROME1")

    image = answer(client, dicom_bytes(dataset), "application/dicom")["image"]

    assert image["photometric_interpretation"] == "MONOCHROME1"
    assert image["view_position"] == "PA"
    assert image["pixel_spacing_mm"] == [0.15, 0.15]


@pytest.mark.parametrize(("height", "width"), [(320, 288), (200, 400), (400, 200), (128, 128), (97, 211)])
def test_the_extent_is_the_padded_square_in_original_pixels(client: TestClient, height: int, width: int) -> None:
    found = answer(client, png_bytes(chest_film(height, width)), include="maps")

    x0, y0, x1, y1 = found["divergence"]["maps"][0]["extent"]
    assert found["experts"]["covid19"]["map"]["extent"] == [x0, y0, x1, y1]
    # The film fills the 64 px input's longer side; the shorter one is cut to whole pixels and centred.
    shown = {"h": max(1, height * 64 // max(height, width)), "w": max(1, width * 64 // max(height, width))}
    assert (x1 - x0, y1 - y0) == pytest.approx((64 * width / shown["w"], 64 * height / shown["h"]))
    assert x0 == pytest.approx(-((64 - shown["w"]) // 2) * width / shown["w"])
    assert y0 == pytest.approx(-((64 - shown["h"]) // 2) * height / shown["h"])
    assert x0 <= 0 <= y1
    assert x1 >= width - 1e-9
    assert y1 >= height - 1e-9


@pytest.mark.parametrize(("height", "width"), [(640, 576), (300, 700), (700, 300), (100, 80)])
@pytest.mark.parametrize("size", [64, 512, "original"])
def test_pictures_have_the_asked_size_and_the_shape_of_the_film(
    client: TestClient, height: int, width: int, size: int | str
) -> None:
    found = answer(client, png_bytes(chest_film(height, width)), overlay_size=size, include="overlays,film")

    longer = max(height, width) if size == "original" else min(int(size), max(height, width))
    expected = (round(width * longer / max(height, width)), round(height * longer / max(height, width)))
    pictures = [found["film"], *(each["overlay"] for each in found["experts"].values())]
    pictures += [each["overlay"] for each in found["divergence"]["maps"]]
    assert len(pictures) == 4
    assert [picture(each).size for each in pictures] == [expected] * 4
    assert [picture(each).mode for each in pictures] == ["L", "RGB", "RGB", "RGB"]


def test_an_original_sized_film_picture_is_the_film(client: TestClient) -> None:
    film = chest_film(150, 130)

    found = answer(client, png_bytes(film), overlay_size="original", include="film")

    np.testing.assert_array_equal(np.asarray(picture(found["film"])), film)


def test_a_heat_map_style_is_transparent_where_it_is_cold(client: TestClient, film_png: bytes) -> None:
    found = answer(client, film_png, style="heatmap", opacity=1.0, overlay_size="original")

    drawn = picture(found["divergence"]["maps"][0]["overlay"])
    assert drawn.mode == "P"
    alpha = np.asarray(drawn.convert("RGBA"))[..., 3]
    assert alpha.min() == 0
    assert alpha.max() >= 250


def test_no_opacity_leaves_the_film_alone(client: TestClient) -> None:
    film = chest_film(150, 130)

    found = answer(client, png_bytes(film), opacity=0, overlay_size="original")

    for each in (found["experts"]["covid19"], found["divergence"]["maps"][0]):
        np.testing.assert_array_equal(np.asarray(picture(each["overlay"])), np.stack([film] * 3, axis=-1))


def test_several_alphas_cost_one_answer_and_come_in_their_order(client: TestClient, film_png: bytes) -> None:
    found = answer(client, film_png, alpha=[50, 5, 15, 0.5])

    maps = found["divergence"]["maps"]
    assert [each["alpha"] for each in maps] == [50, 5, 15, 0.5]
    per_alpha = [np.array(each["log_k"]) / each["alpha"] for each in maps]
    for each in per_alpha[1:]:
        np.testing.assert_allclose(each, per_alpha[0], rtol=1e-9, atol=1e-12)
    by_alpha = sorted(maps, key=lambda each: float(each["alpha"]))
    assert sorted((m["entropy_nats"] for m in maps), reverse=True) == [m["entropy_nats"] for m in by_alpha]


def test_swapping_the_pair_gives_the_reciprocal(client: TestClient, film_png: bytes) -> None:
    there = answer(client, film_png, interest="covid19", overlap="pneumonia")["divergence"]
    back = answer(client, film_png, interest="pneumonia", overlap="covid19")["divergence"]

    np.testing.assert_allclose(there["maps"][0]["log_k"], -np.array(back["maps"][0]["log_k"]), rtol=1e-12)
    assert (back["interest"], back["overlap"]) == ("pneumonia", "covid19")
    assert answer(client, film_png, interest="pneumonia")["divergence"]["overlap"] == "covid19"
    assert answer(client, film_png, overlap="covid19")["divergence"]["interest"] == "pneumonia"


def test_an_expert_against_itself_is_flat(client: TestClient, film_png: bytes) -> None:
    found = answer(client, film_png, interest="covid19", overlap="covid19")

    assert list(found["experts"]) == ["covid19"]
    each = found["divergence"]["maps"][0]
    assert "flat_heat_map" in each["flags"]
    assert np.ptp(each["log_k"]) == 0
    assert each["regions"] == []


def test_contrasted_evidence_is_the_row_minus_the_other_row(client: TestClient, film_png: bytes) -> None:
    # The toy experts' rows are each other's negative, so the contrast is twice the row.
    row = answer(client, film_png, evidence="row")["experts"]["covid19"]["map"]["values"]
    contrast = answer(client, film_png, evidence="contrast")["experts"]["covid19"]["map"]["values"]

    np.testing.assert_allclose(contrast, 2 * np.array(row), rtol=1e-5)


def test_k_is_null_where_it_overflows_and_its_logarithm_is_finite(client: TestClient, film_png: bytes) -> None:
    maps = answer(client, film_png, alpha=[15, 700])["divergence"]["maps"]

    reaches = maps[1]["log_k_max"]
    assert maps[0]["k"] is not None
    assert (maps[1]["k"] is None) == (reaches > math.log(1.7976931348623157e308))
    assert np.isfinite(maps[1]["log_k"]).all()


PARTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "maps": lambda found: found["experts"]["covid19"]["map"],
    "overlays": lambda found: found["experts"]["covid19"]["overlay"],
    "film": lambda found: found["film"],
    "ensemble": lambda found: found["ensemble"],
    "regions": lambda found: bool(found["divergence"]) and found["divergence"]["maps"][0]["regions"],
}


def test_without_include_all_parts_but_the_bare_film_are_given(client: TestClient, film_png: bytes) -> None:
    found = answer(client, film_png)

    assert {name for name, part in PARTS.items() if part(found)} == set(PARTS) - {"film"}


@pytest.mark.parametrize("include", ["", *PARTS, "maps,overlays", " regions , ensemble ", ",".join(PARTS)])
def test_include_chooses_the_parts(client: TestClient, film_png: bytes, include: str) -> None:
    found = answer(client, film_png, include=include)

    given = {name for name, part in PARTS.items() if part(found)}
    assert given == {name.strip() for name in include.split(",") if name.strip()}
    assert found["experts"]["covid19"]["probability"] is not None


def test_a_divergence_without_maps_keeps_its_numbers(client: TestClient, film_png: bytes) -> None:
    each = answer(client, film_png, include="regions")["divergence"]["maps"][0]

    assert (each["log_k"], each["k"], each["display"]) == (None, None, None)
    assert each["log_k_min"] < each["log_k_max"]


def test_regions_lie_on_the_film_and_their_shares_are_shares(client: TestClient, film_png: bytes) -> None:
    regions = answer(client, film_png, include="regions")["divergence"]["maps"][0]["regions"]

    assert regions
    for region in regions:
        x0, y0, x1, y1 = region["box"]
        assert 0 <= x0 < x1 <= 288
        assert 0 <= y0 < y1 <= 320
        assert region["zone"] is None
    assert sum(region["share"] for region in regions) <= 1 + 1e-6


def test_a_pretest_probability_moves_with_the_decision(client: TestClient, film_png: bytes) -> None:
    found = answer(client, film_png, pretest_probability=0.2)["experts"]

    positive = found["covid19"]["decision"] == "positive"
    for_disease, for_health = (0.9, 0.2) if positive else (0.1, 0.8)
    expected = 0.2 * for_disease / (0.2 * for_disease + 0.8 * for_health)
    assert found["covid19"]["post_test_probability"] == pytest.approx(expected)
    assert found["covid19"]["post_test"] == {
        "pretest_probability": 0.2,
        "probability": pytest.approx(expected),
        "likelihood_ratio": pytest.approx(for_disease / for_health),
        "measured_on": "all",
        "reason": None,
    }
    assert found["pneumonia"]["post_test_probability"] is None
    assert found["pneumonia"]["post_test"] is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("evidence", "rows"), ("alpha", "much"), ("include", "maps,everything"), ("overlay_size", "15"),
        ("overlay_size", "4097"), ("overlay_size", "-64"), ("overlay_size", "large"), ("overlay_size", ""),
        ("overlay_size", "²"), ("overlay_size", "9" * 5000), ("style", "solid"), ("colormap", "rainbow"),
        ("opacity", "1.1"), ("opacity", "-0.1"), ("opacity", "nan"), ("opacity", "inf"), ("force", "perhaps"),
        ("pretest_probability", "0"), ("pretest_probability", "1"), ("pretest_probability", "nan"),
        ("interest", "x" * 65), ("overlap", "x" * 65), ("alpha", ["5"] * 17),
    ],
)  # fmt: skip
def test_a_bad_parameter_is_named(client: TestClient, film_png: bytes, name: str, value: str | list[str]) -> None:
    query: dict[str, Any] = {name: value}  # Any: beside the media type
    detail = assert_problem(post(client, film_png, **query), 400, "invalid_request")

    assert name in detail


@pytest.mark.parametrize("alpha", ["0", "-1", "700.5", "nan", "inf", "1e308"])
def test_an_alpha_out_of_range_has_the_code_of_the_kernel(client: TestClient, film_png: bytes, alpha: str) -> None:
    assert_problem(post(client, film_png, alpha=["15", alpha]), 422, "INVALID_ALPHA")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alpha", "1e-300"), ("alpha", "700"), ("overlay_size", "16"), ("opacity", "0"), ("opacity", "1"),
        ("colormap", "viridis"), ("colormap", "jet"), ("colormap", "red"), ("force", "false"),
        ("pretest_probability", "1e-9"), ("style", "heatmap"), ("evidence", "contrast"), ("include", "maps,,maps,"),
    ],
)  # fmt: skip
def test_a_parameter_at_the_edge_of_its_range_is_answered(
    client: TestClient, film_png: bytes, name: str, value: str
) -> None:
    answer(client, film_png, **{name: value})


@pytest.mark.parametrize("name", ["interest", "overlap"])
@pytest.mark.parametrize("expert", ["measles", "ensemble-toy", ""])
def test_an_unknown_expert_is_refused_with_the_known_ones(
    client: TestClient, film_png: bytes, name: str, expert: str
) -> None:
    detail = assert_problem(post(client, film_png, **{name: expert}), 404, "model_not_found")

    assert "covid19, pneumonia" in detail


def test_an_answer_is_one_json_document_with_timings_in_its_headers(client: TestClient, film_png: bytes) -> None:
    response = post(client, film_png)

    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["server-timing"].startswith("decode;dur=")
    json.loads(response.content)
