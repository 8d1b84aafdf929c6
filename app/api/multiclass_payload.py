"""What networks of exclusive classes said, as the JSON of the API."""

from collections.abc import Mapping

from app.api.parts import Json, picture_payload, signed_map_payload
from app.domain.multiclass import ClassesFinding
from app.services.rendering import Picture


def multiclass_payload(finding: ClassesFinding, picture: Picture | None, *, with_maps: bool) -> Json:
    """Give one network's classes, its prediction, and the predicted class's map or why there is none."""
    evidence = finding.activation_map if with_maps else None
    return {
        "name": finding.name,
        "title": finding.title,
        "classes": [{"name": name, "probability": value} for name, value in finding.probabilities.items()],
        "predicted": finding.predicted,
        "flags": list(finding.flags),
        "explanation": {
            "kind": finding.explanation.kind,
            "reason": finding.explanation.reason,
            "detail": finding.explanation.detail,
        },
        "map": None
        if evidence is None
        else signed_map_payload(evidence, finding.extent, finding.outside_lungs, finding.map_flags),
        "overlay": picture_payload(picture) if picture else None,
    }


def multiclass_list_payload(
    findings: tuple[ClassesFinding, ...] | None, pictures: Mapping[str, Picture], *, with_maps: bool
) -> list[Json] | None:
    """Give every network's answer; null where none is shipped or none was asked for."""
    if findings is None:
        return None
    return [multiclass_payload(each, pictures.get(each.name), with_maps=with_maps) for each in findings]
