"""A screening as the JSON of the API: plain values, nothing that JSON cannot carry."""

from collections.abc import Sequence
from datetime import datetime

from app.api.ensemble_payload import ensemble_payload
from app.api.multiclass_payload import multiclass_list_payload
from app.api.parts import Json, picture_payload, signed_map_payload
from app.api.predicted_region_payload import predicted_region_payload
from app.domain.arrays import ActivationMap
from app.domain.directed_divergence import DirectedDivergence
from app.domain.operating_point import OperatingPoint, PostTest
from app.domain.preprocessing import Rectangle
from app.domain.regions import Region
from app.domain.screening import FORCED, NOTICE, DivergenceFinding, ExpertFinding, ScreeningResult
from app.services.rendering import Picture
from app.services.screening import Screening


def screening_payload(identifier: str, created: datetime, screening: Screening) -> Json:
    """Give the body of ``POST /v1/screenings``.

    Parameters
    ----------
    identifier
        Of this answer.
    created
        Aware UTC.
    screening
        Result and pictures.

    Returns
    -------
    dict
        As `app.api.schemas.ScreeningDocument` describes it; arrays stay numpy arrays for the serialiser.
    """
    result, options, pictures = screening.result, screening.options, screening.pictures
    with_maps = "maps" in options.include
    return {
        "id": identifier,
        "created": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "notice": NOTICE,
        "device": result.models[0].device,
        "image": _image(result),
        "models": [
            {"name": m.name, "version": m.version, "sha256": m.sha256, "precision": m.precision, "device": m.device}
            for m in result.models
        ],
        "experts": {
            name: _expert(finding, with_maps, pictures.experts.get(name) if pictures else None)
            for name, finding in result.experts.items()
        },
        "divergence": None
        if result.divergence is None
        else _divergence(result.divergence, with_maps, pictures.divergence if pictures else ()),
        "ensemble": None
        if result.ensemble is None
        else ensemble_payload(result.ensemble, pictures.labels if pictures else {}),
        "multiclass": multiclass_list_payload(
            result.multiclass, pictures.multiclass if pictures else {}, with_maps=with_maps
        ),
        "predicted_regions": None
        if result.predicted_regions is None
        else [
            predicted_region_payload(each, pictures.predicted if pictures else {}) for each in result.predicted_regions
        ],
        "film": picture_payload(pictures.film) if pictures and pictures.film else None,
        "flags": list(result.flags),
        "timings_ms": {stage: round(value, 3) for stage, value in result.timings_ms.items()},
    }


def divergence_map_payload(divergence: DirectedDivergence, extent: Rectangle | None = None) -> Json:
    """Give one element of ``divergence.maps`` without regions and overlay."""
    k = divergence.k
    return {
        "alpha": divergence.alpha,
        "log_k": divergence.log_k,
        "k": k,
        "extent": list(extent) if extent is not None else None,
        "log_k_min": float(divergence.log_k.min()),
        "log_k_max": float(divergence.log_k.max()),
        "display": divergence.display,
        "entropy_nats": divergence.entropy_nats,
        "top_cell_share": divergence.top_cell_share,
        "outside_lungs": None,
        "flags": list(divergence.flags),
    }


def _image(result: ScreeningResult) -> Json:
    film, provenance = result.film, result.film.provenance
    return {
        "format": provenance.format,
        "width": film.width,
        "height": film.height,
        "sha256": provenance.sha256,
        "view_position": provenance.view_position,
        "photometric_interpretation": provenance.photometric_interpretation,
        "pixel_spacing_mm": list(provenance.pixel_spacing_mm) if provenance.pixel_spacing_mm else None,
        "flags": [flag for flag in result.flags if flag != FORCED],
    }


def operating_point_payload(point: OperatingPoint) -> Json:
    """Give an operating point."""
    return {
        "name": point.name,
        "threshold": point.threshold,
        "sensitivity": point.sensitivity,
        "specificity": point.specificity,
        "indeterminate": list(point.indeterminate) if point.indeterminate is not None else None,
    }


def post_test_payload(found: PostTest) -> Json:
    """Give a post-test probability with the likelihood ratio it was computed with, or the reason there is none."""
    return {
        "pretest_probability": found.pretest,
        "probability": found.probability,
        "likelihood_ratio": found.likelihood_ratio,
        "measured_on": found.measured_on,
        "reason": found.reason,
    }


def _expert(finding: ExpertFinding, with_maps: bool, picture: Picture | None) -> Json:
    return {
        "title": finding.title,
        "logit": finding.logit,
        "probability": finding.probability,
        "decision": finding.decision,
        "flags": list(finding.doubts),
        "operating_point": operating_point_payload(finding.operating_point),
        "post_test_probability": finding.post_test.probability if finding.post_test else None,
        "post_test": post_test_payload(finding.post_test) if finding.post_test else None,
        "map": _map(finding, finding.activation_map) if with_maps and finding.activation_map is not None else None,
        "overlay": picture_payload(picture) if picture else None,
    }


def _map(finding: ExpertFinding, values: ActivationMap) -> Json:
    return signed_map_payload(values, finding.extent, finding.outside_lungs, finding.flags)


def _divergence(finding: DivergenceFinding, with_maps: bool, pictures: Sequence[Picture]) -> Json:
    maps = []
    for number, each in enumerate(finding.maps):
        entry = divergence_map_payload(each, finding.extent)
        if not with_maps:
            entry |= {"log_k": None, "k": None, "display": None}
        entry["outside_lungs"] = finding.outside_lungs[number]
        entry["regions"] = [_region(region) for region in finding.regions[number]] if finding.regions else []
        entry["overlay"] = picture_payload(pictures[number]) if pictures else None
        maps.append(entry)
    return {
        "interest": finding.interest,
        "overlap": finding.overlap,
        "intended_use": finding.intended_use,
        "reason": finding.reason,
        "maps": maps,
    }


def _region(region: Region) -> Json:
    return {"box": list(region.box), "zone": region.zone, "share": region.share}
