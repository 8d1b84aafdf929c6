"""Parts that several documents of the API have: pictures and signed maps."""

import base64
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from app.domain.arrays import ActivationMap
from app.domain.preprocessing import Rectangle
from app.services.rendering import Picture

Json: TypeAlias = dict[str, Any]  # Any: JSON's values


def signed_map_payload(
    values: ActivationMap, extent: Rectangle, outside_lungs: float | None, flags: Sequence[str]
) -> Json:
    """Give a signed map in logits with what is said beside it; the array stays one for the serialiser."""
    return {
        "values": np.ascontiguousarray(values),
        "extent": list(extent),
        "min": float(values.min()),
        "max": float(values.max()),
        "outside_lungs": outside_lungs,
        "flags": list(flags),
    }


def picture_payload(picture: Picture) -> Json:
    """Give a picture with its PNG in base64."""
    return {"png": base64.b64encode(picture.png).decode("ascii"), "width": picture.width, "height": picture.height}
