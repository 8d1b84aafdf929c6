"""Predicted regions as the JSON of the API."""

from collections.abc import Mapping

from app.api.parts import Json, picture_payload
from app.domain.predicted_region import NO_EXPLANATION, MapAgreement, PredictedRegion
from app.services.rendering import Picture


def predicted_region_payload(found: PredictedRegion, pictures: Mapping[str, Picture]) -> Json:
    """Give one network's predicted region; its grid stays an array for the serialiser."""
    picture = pictures.get(found.name)
    return {
        "name": found.name,
        "title": found.title,
        "notice": NO_EXPLANATION,
        "target": found.target,
        "probability": found.probability,
        "decision": found.decision,
        "flags": list(found.doubts),
        "region": {
            "of": found.region_of,
            "values": found.values,
            "extent": list(found.extent),
            "area_share": found.share,
            "flags": list(found.flags),
        },
        "overlay": picture_payload(picture) if picture else None,
        "agreement": [_agreement(each) for each in found.agreements],
    }


def _agreement(each: MapAgreement) -> Json:
    return {
        "with": each.with_map,
        "alpha": each.alpha,
        "iou": each.found.iou,
        "energy_inside": each.found.energy_inside,
        "correlation": each.found.correlation,
    }
