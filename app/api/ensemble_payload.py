"""The ensemble's part of a screening as the JSON of the API."""

from collections.abc import Mapping

from app.api.parts import Json, picture_payload, signed_map_payload
from app.domain.ensemble import EnsembleResult, LabelFinding, LabelMap
from app.services.rendering import Picture


def ensemble_payload(ensemble: EnsembleResult, pictures: Mapping[str, Picture]) -> Json:
    """Give all labels, each with its map and its picture where there are any."""
    return {
        "labels": [_label(label, pictures.get(label.name)) for label in ensemble.labels],
        "flags": list(ensemble.flags),
    }


def _label(label: LabelFinding, picture: Picture | None) -> Json:
    return {
        "name": label.name,
        "parent": label.parent,
        "probability": label.probability,
        "mean": label.mean,
        "spread": label.spread,
        "members": dict(label.members),
        "threshold": label.operating_point.threshold,
        "decision": label.decision,
        "evaluated": label.evaluated,
        "map": None if label.activation_map is None else _map(label.activation_map),
        "overlay": picture_payload(picture) if picture else None,
    }


def _map(found: LabelMap) -> Json:
    payload = signed_map_payload(found.values, found.extent, found.outside_lungs, found.flags)
    return payload | {"mean_logit": found.mean_logit, "bias": found.bias}
