"""Regions that experts predict beside their class, and how far maps of the classifier agree with them."""

import numpy as np

from app.domain.activation_map import lay_over_film, positive_share
from app.domain.arrays import FloatMap, HeatMap
from app.domain.overlay import overlay_size
from app.domain.predicted_region import MapAgreement, PredictedRegion, agreement, area_share, reduced, region_flags
from app.domain.preprocessing import Rectangle
from app.domain.radiograph import Radiograph
from app.domain.screening import DivergenceFinding, drawn
from app.inference.catalogue import Catalogue
from app.inference.region_network import RegionNetwork
from app.services.map_measures import evidence_flags, reasons_for_doubt
from app.services.preparation import CheckedFilm, Preparation
from app.services.stopwatch import Stopwatch

_GRID_PX = 256
"""Longer side of the picture of the film on which regions and maps are compared."""


def predict_regions(
    catalogue: Catalogue,
    checked: CheckedFilm,
    prepared: Preparation,
    divergence: DivergenceFinding | None,
    stopwatch: Stopwatch,
) -> tuple[PredictedRegion, ...] | None:
    """Ask every expert whose predicted region is served.

    Parameters
    ----------
    catalogue
        Its ``regions``.
    checked, prepared
        The film, and its network inputs.
    divergence
        Of the request; the regions are compared with it at its first amplification, where there is one.
    stopwatch
        Gets the stages ``networks`` and ``predicted_regions``.

    Returns
    -------
    tuple of PredictedRegion or None
        None where the catalogue names none.
    """
    if not catalogue.regions:
        return None
    return tuple(_predict(each, checked, prepared, divergence, stopwatch) for each in catalogue.regions.values())


def _predict(
    network: RegionNetwork,
    checked: CheckedFilm,
    prepared: Preparation,
    divergence: DivergenceFinding | None,
    stopwatch: Stopwatch,
) -> PredictedRegion:
    manifest, film = network.manifest, checked.film
    films, placement = prepared.for_network(network)
    with stopwatch.stage("networks"):
        outputs = network.predict(films)
    target = manifest.labels[1].name
    probability = manifest.calibration_of(target).probability(float(outputs.logits[0, 1]) - float(outputs.logits[0, 0]))
    doubts = reasons_for_doubt(checked, manifest.measured_on)
    with stopwatch.stage("predicted_regions"):
        region = outputs.region[0]
        on_film = _over_film(region.astype(np.float64), placement.extent, film)
        share = area_share(on_film)
        own, extent = outputs.cam[0, 1].astype(np.float64), manifest.extent_of(placement)
        display = drawn(positive_share(own), evidence_flags(own, extent, film))
        agreements = [MapAgreement("cam", agreement(on_film, _over_film(display, extent, film)))]
        if divergence is not None:
            first = divergence.maps[0]
            heat = _over_film(drawn(first.display, first.flags), divergence.extent, film)
            agreements.append(MapAgreement("divergence", agreement(on_film, heat), first.alpha))
    assert manifest.region is not None  # it is in the catalogue's regions
    return PredictedRegion(
        name=manifest.name,
        title=manifest.title,
        region_of=manifest.region.of,
        target=target,
        probability=probability,
        decision="indeterminate" if doubts else manifest.operating_point_of(target).decide(probability),
        doubts=doubts,
        values=reduced(region),
        extent=placement.extent,
        share=share,
        flags=region_flags(share),
        agreements=tuple(agreements),
    )


def _over_film(display: FloatMap, extent: Rectangle, film: Radiograph) -> HeatMap:
    height, width = overlay_size(film.height, film.width, _GRID_PX)
    return lay_over_film(display, extent, film.height, film.width, height, width)
