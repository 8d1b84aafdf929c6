"""What every refusal of the API looks like."""

from typing import Any

from httpx2 import Response

from app.api.schemas import Problem


def assert_problem(response: Response, status: int, code: str) -> str:
    """Check a problem document (RFC 9457) and give its detail."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = Problem.model_validate(response.json())
    assert (document.status, document.code) == (status, code)
    assert document.type == f"urn:discern:problem:{code}"
    assert document.title
    assert document.detail
    return document.detail


def strict_json(response: Response) -> Any:  # Any: JSON
    """Parse a body that must not hold NaN or Infinity."""
    import json

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} in JSON")

    return json.loads(response.content, parse_constant=refuse)
