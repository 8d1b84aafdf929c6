"""JSON with numpy arrays in it, and the problems every route documents."""

from typing import Any, Final

import orjson
from starlette.responses import JSONResponse

from app.api.problems import MEDIA_TYPE
from app.api.schemas import Problem


class FastJSONResponse(JSONResponse):
    """A JSON response that serialises numpy arrays; a value that is not finite becomes null."""

    def render(self, content: Any) -> bytes:  # Any: as Starlette declares it
        """Serialise with orjson."""
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:  # Any: FastAPI's responses argument
    """Describe the problem documents a route may answer with.

    ``4XX`` stands for any other, and keeps FastAPI from promising its own 422 for a bad parameter: that is 400 here.
    """
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}  # a `model` would be promised as application/json
    named: dict[int | str, dict[str, Any]] = {
        status: {"content": content, "description": _WORDS[status]} for status in statuses
    }
    return named | {"4XX": {"content": content, "description": "Any other problem with the request"}}


_WORDS: Final = {
    400: "The file or a parameter cannot be read",
    404: "There is no such model or job",
    409: "Not in a state for that",
    413: "The upload exceeds a limit",
    415: "The format is not supported",
    422: "Readable, but refused",
    503: "The queue is full (Retry-After says when to try again), or the storage does not answer",
    504: "The answer took too long",
    507: "No room to make it durable",
}
