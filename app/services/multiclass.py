"""What the shipped networks of exclusive classes say of one film."""

import numpy as np

from app.domain.arrays import FloatMap
from app.domain.multiclass import ClassesFinding, class_probabilities
from app.inference.catalogue import Catalogue
from app.inference.expert import Network
from app.services.map_measures import evidence_flags, reasons_for_doubt, share_outside_lungs
from app.services.preparation import CheckedFilm, Preparation
from app.services.stopwatch import Stopwatch


def ask_multiclass(
    catalogue: Catalogue, checked: CheckedFilm, prepared: Preparation, stopwatch: Stopwatch, *, maps: bool
) -> tuple[ClassesFinding, ...] | None:
    """Ask every network of exclusive classes.

    Parameters
    ----------
    catalogue
        Its networks.
    checked, prepared
        The film, and its network inputs.
    stopwatch
        Gets the stage ``networks``.
    maps
        Whether the predicted class's map is wanted; a network that has none says so either way.

    Returns
    -------
    tuple of ClassesFinding or None
        In the catalogue's order; None where it names no such network.
    """
    networks = catalogue.multiclass
    if not networks:
        return None
    return tuple(_ask(network, checked, prepared, stopwatch, maps=maps) for network in networks.values())


def _ask(
    network: Network, checked: CheckedFilm, prepared: Preparation, stopwatch: Stopwatch, *, maps: bool
) -> ClassesFinding:
    films, placement = prepared.for_network(network)
    manifest = network.manifest
    explanation = manifest.explained()
    with stopwatch.stage("networks"):
        outputs = network(films, maps=maps and explanation.kind == "cam")
    names = [label.name for label in manifest.labels]
    probabilities = class_probabilities(outputs.logits[0], manifest.calibration_of(names[0]).slope)
    best = int(np.argmax(outputs.logits[0]))
    extent = manifest.extent_of(placement)
    evidence: FloatMap | None = None if outputs.cam is None else outputs.cam[0, best].astype(np.float64)
    return ClassesFinding(
        name=manifest.name,
        title=manifest.title,
        probabilities=dict(zip(names, probabilities.tolist(), strict=True)),
        predicted=names[best],
        explanation=explanation,
        activation_map=evidence,
        extent=extent,
        outside_lungs=None if evidence is None else share_outside_lungs(evidence, extent, checked),
        map_flags=() if evidence is None else evidence_flags(evidence, extent, checked.film),
        flags=reasons_for_doubt(checked, manifest.measured_on),
    )
