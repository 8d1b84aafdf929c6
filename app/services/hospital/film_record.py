"""What is kept of an answer so that a later film of the same patient can be compared with it: a few kilobytes.

An npz of arrays without pickle: the experts' maps, the lungs, and a JSON header with everything that is no array.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from app.domain.arrays import ActivationMap
from app.domain.errors import StorageUnavailableError
from app.domain.lungs import LungFields
from app.domain.preprocessing import Rectangle
from app.services.screening import Screening

SCHEMA: Final = "discern-film-record/1"
_MOST_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ExpertRecord:
    """One expert's answer; ``values`` is ``(h, w)`` evidence, None where there was no map."""

    name: str
    version: str
    sha256: str
    logit: float
    probability: float
    decision: str
    doubts: tuple[str, ...]
    values: ActivationMap | None
    extent: Rectangle


@dataclass(frozen=True, slots=True)
class FilmRecord:
    """One film's answer; the expert of interest is the first."""

    film_height: int
    film_width: int
    view_position: str | None
    experts: Mapping[str, ExpertRecord]
    lungs: LungFields | None


def record_of(screening: Screening) -> bytes:
    """Write down what later films are compared with."""
    result = screening.result
    versions = {model.name: model for model in result.models}
    arrays: dict[str, Any] = {}  # Any: arrays of several types
    experts = []
    for number, expert in enumerate(result.experts.values()):
        model = versions[expert.name]
        experts.append(
            {
                "name": expert.name, "version": model.version, "sha256": model.sha256, "logit": expert.logit,
                "probability": expert.probability, "decision": str(expert.decision), "doubts": list(expert.doubts),
                "extent": list(expert.extent),
            }
        )  # fmt: skip
        if expert.activation_map is not None:
            arrays[f"map{number}"] = expert.activation_map.astype(np.float32)
    header: dict[str, Any] = {  # Any: JSON
        "schema": SCHEMA, "film_height": result.film.height, "film_width": result.film.width,
        "view_position": result.film.provenance.view_position, "experts": experts, "lungs_extent": None,
    }  # fmt: skip
    if result.lungs is not None:
        header["lungs_extent"] = list(result.lungs.extent)
        arrays["lungs"] = np.rint(255.0 * result.lungs.probability).astype(np.uint8)
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def read_record(content: bytes) -> FilmRecord:
    """Read what `record_of` wrote.

    Raises
    ------
    StorageUnavailableError
        If it is none, or of another schema.
    """
    if len(content) > _MOST_BYTES:
        raise StorageUnavailableError(f"a film's record has {len(content)} bytes; {_MOST_BYTES} at most")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            header = json.loads(arrays["header"].tobytes())
            if header["schema"] != SCHEMA:
                raise StorageUnavailableError(f"a film's record is of schema {header['schema']}; {SCHEMA} expected")
            experts = {
                each["name"]: ExpertRecord(
                    each["name"], each["version"], each["sha256"], each["logit"], each["probability"],
                    each["decision"], tuple(each["doubts"]), arrays.get(f"map{number}"), _rectangle(each["extent"]),
                )
                for number, each in enumerate(header["experts"])
            }  # fmt: skip
            lungs = None
            if header["lungs_extent"] is not None:
                lungs = LungFields(
                    arrays["lungs"].astype(np.float32) / np.float32(255.0), _rectangle(header["lungs_extent"]),
                    header["film_height"], header["film_width"],
                )  # fmt: skip
            return FilmRecord(header["film_height"], header["film_width"], header["view_position"], experts, lungs)
    except (ValueError, KeyError, TypeError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise StorageUnavailableError(f"a film's record cannot be read: {type(error).__name__}") from error


def _rectangle(numbers: list[float]) -> Rectangle:
    x0, y0, x1, y1 = (float(number) for number in numbers)
    return x0, y0, x1, y1
