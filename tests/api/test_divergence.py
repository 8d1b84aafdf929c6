"""``POST /v1/divergence``: every golden case, and every way to be refused."""

import json
import math
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from app.api.routes.divergence import MAX_BODY_BYTES
from app.api.schemas import DivergenceMapDocument
from tests.api.problems import assert_problem, strict_json
from tests.unit.domain.golden import golden

PATH = "/v1/divergence"
SERVED = [case for case in golden()["cases"] if 0 < float(case["alpha"]) <= 700]
VALUES = [pytest.param(case, id=case["id"]) for case in SERVED if "error" not in case["expected"]]
REFUSALS = [pytest.param(case, id=case["id"]) for case in golden()["cases"] if "error" in case["expected"]]


def body(case: dict[str, Any]) -> bytes:  # Any: JSON
    """The request of a golden case; what is stored as a word is written as NaN or Infinity."""
    numbers = {key: [[float(cell) for cell in row] for row in case[key]] for key in ("x", "x_prime")}
    return json.dumps({**numbers, "alpha": float(case["alpha"]), "clamp_negative": case["clamp_negative"]}).encode()


@pytest.mark.parametrize("case", VALUES)
def test_every_golden_case_is_answered(client: TestClient, case: dict[str, Any]) -> None:
    response = client.post(PATH, content=body(case))

    assert response.status_code == 200, response.text
    found, expected = strict_json(response), case["expected"]
    DivergenceMapDocument.model_validate(found)
    np.testing.assert_allclose(found["log_k"], expected["log_K"], rtol=case["rtol"], atol=0.0)
    np.testing.assert_allclose(found["display"], expected["display_0_1"], rtol=1e-11, atol=1e-15)
    assert found["flags"] == expected["flags"]
    assert found["extent"] is None
    if expected["K"] is None:
        assert found["k"] is None
    else:
        np.testing.assert_allclose(found["k"], expected["K"], rtol=1e-12, atol=0.0)


def test_the_golden_file_has_cases_of_both_kinds() -> None:
    assert len(VALUES) > 20
    assert {case.values[0]["expected"]["error"] for case in REFUSALS} >= {"EMPTY_MAP", "SHAPE_MISMATCH"}  # type: ignore[index]  # a ParameterSet holds objects


@pytest.mark.parametrize("case", REFUSALS)
def test_every_golden_refusal_has_its_code(client: TestClient, case: dict[str, Any]) -> None:
    assert_problem(client.post(PATH, content=body(case)), 422, case["expected"]["error"])


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"x": [[1, 2], [3]], "x_prime": [[1, 2], [3, 4]]}, "SHAPE_MISMATCH"),
        ({"x": [[1, 2], [3, 4]], "x_prime": [[1, 2], [3]]}, "SHAPE_MISMATCH"),
        ({"x": [[1, 2]], "x_prime": [[1], [2]]}, "SHAPE_MISMATCH"),
        ({"x": [], "x_prime": []}, "EMPTY_MAP"),
        ({"x": [[]], "x_prime": [[]]}, "EMPTY_MAP"),
        ({"x": [[1.0]], "x_prime": [[math.nan]]}, "NON_FINITE_MAP"),
        ({"x": [[-math.inf]], "x_prime": [[1]]}, "NON_FINITE_MAP"),
        ({"x": [[1]], "x_prime": [[1]], "alpha": math.nan}, "INVALID_ALPHA"),
        ({"x": [[1]], "x_prime": [[1]], "alpha": 0}, "INVALID_ALPHA"),
        ({"x": [[1]], "x_prime": [[1]], "alpha": 700.1}, "INVALID_ALPHA"),
    ],
)
def test_maps_that_cannot_be_contrasted_have_the_code_of_the_kernel(
    client: TestClient, content: dict[str, Any], code: str
) -> None:
    assert_problem(client.post(PATH, content=json.dumps(content).encode()), 422, code)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"\xff", b'{"x": [[1]]}', b'{"x": 1, "x_prime": [[1]]}',
        b'{"x": [["a"]], "x_prime": [[1]]}', b'{"x": [[1]], "x_prime": [[1]], "alpha": "many"}',
        b'{"x": [[1]], "x_prime": [[1]], "beta": 1}', b'{"x": [[1]], "x_prime": [[1]], "\\ud800": 1}',
        b'{"x": [[null]], "x_prime": [[1]]}', b"[" * 100_000, b'{"x": ' + b"[" * 50_000,
        b'{"x": [[' + b"9" * 5000 + b']], "x_prime": [[1]], "beta": 1}',
        b'{"x": [' + b"[1]," * 512 + b'[1]], "x_prime": [[1]]}',
    ],
    ids=range(16),
)  # fmt: skip
def test_a_body_that_is_no_request_is_refused(client: TestClient, content: bytes) -> None:
    detail = assert_problem(client.post(PATH, content=content), 400, "invalid_request")

    assert len(detail) <= 300


def test_a_body_without_end_is_refused_as_it_arrives(client: TestClient) -> None:
    taken = 0

    def endless() -> Any:  # Any: an iterator of bytes
        nonlocal taken
        while taken < 10 * MAX_BODY_BYTES:
            taken += 4 << 20
            yield bytes(4 << 20)

    response = client.post(PATH, content=endless())

    assert_problem(response, 413, "too_large")


def test_the_largest_maps_fit_into_the_limit(client: TestClient) -> None:
    row = b",".join([b"-1.2345678901234567e-300"] * 512)
    grid = b"[[" + b"],[".join([row] * 512) + b"]]"

    response = client.post(PATH, content=b'{"x": ' + grid + b', "x_prime": ' + grid + b"}")

    assert response.status_code == 200
    assert b"flat_heat_map" in response.content
