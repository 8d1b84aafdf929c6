"""The ensemble's answer for one film: the members' mean, calibrated, and on request what its logits are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from app.domain.ensemble import EnsembleResult, LabelMap, combine
from app.domain.ensemble_map import EnsembleMaps, MemberMaps, calibrated_maps, mean_maps
from app.inference.catalogue import Catalogue
from app.inference.ensemble_file import FittedEnsemble
from app.inference.expert import Network
from app.services.map_measures import evidence_flags, reasons_for_doubt, share_outside_lungs
from app.services.preparation import CheckedFilm, Preparation
from app.services.stopwatch import Stopwatch

NOT_FITTED: Final = "ensemble_not_fitted"
"""Flag of a mean of several members that nothing was measured of: thresholds are the first member's."""


@dataclass(frozen=True, slots=True)
class _Answered:
    """One member's calibrated logits by label, and its maps where they were asked for."""

    logits: Mapping[str, float]
    probabilities: Mapping[str, float]
    maps: MemberMaps | None


def ask_ensemble(
    catalogue: Catalogue, checked: CheckedFilm, prepared: Preparation, stopwatch: Stopwatch, *, maps: bool
) -> EnsembleResult | None:
    """Ask every member and combine what they say.

    Parameters
    ----------
    catalogue
        Its members, and what was fitted to their mean.
    checked, prepared
        The film, and its network inputs.
    stopwatch
        Gets the stages ``networks`` and, with maps, ``ensemble_maps``.
    maps
        Whether every label's map is wanted; without, the networks compute none.

    Returns
    -------
    EnsembleResult or None
        None where the catalogue names no member.
    """
    members = catalogue.members
    if not members:
        return None
    answers = {name: _ask(network, prepared, stopwatch, maps=maps) for name, network in members.items()}
    result = _combined(members, catalogue.fitted, answers)
    reasons = _reasons(members, catalogue.fitted, checked)
    if reasons:
        undecided = tuple(replace(label, decision="indeterminate") for label in result.labels)
        result = EnsembleResult(undecided, (*result.flags, *reasons))
    if not maps:
        return result
    with stopwatch.stage("ensemble_maps"):
        return _with_maps(result, list(answers.values()), checked)


def _ask(network: Network, prepared: Preparation, stopwatch: Stopwatch, *, maps: bool) -> _Answered:
    films, placement = prepared.for_network(network)
    with stopwatch.stage("networks"):
        outputs = network(films, maps=maps)
    manifest = network.manifest
    names = [label.name for label in manifest.labels]
    calibrations = [manifest.calibration_of(name) for name in names]
    raw = outputs.logits[0].tolist()
    found = None
    if outputs.cam is not None:
        found = calibrated_maps(outputs.cam[0], network.biases, manifest.extent_of(placement), calibrations)
    return _Answered(
        {name: each.logit(logit) for name, each, logit in zip(names, calibrations, raw, strict=True)},
        {name: each.probability(logit) for name, each, logit in zip(names, calibrations, raw, strict=True)},
        found,
    )


def _combined(
    members: Mapping[str, Network], fitted: FittedEnsemble | None, answers: Mapping[str, _Answered]
) -> EnsembleResult:
    probabilities = {name: answer.probabilities for name, answer in answers.items()}
    if fitted is not None:
        return combine(
            probabilities,
            {name: label.operating_points[0].point() for name, label in fitted.labels.items()},
            {name: label.parent for name, label in fitted.labels.items()},
            {name: label.evaluated for name, label in fitted.labels.items()},
            {name: label.calibration.calibration() for name, label in fitted.labels.items()},
        )
    first = next(iter(members.values())).manifest
    result = combine(
        probabilities,
        {label.name: first.operating_point_of(label.name) for label in first.labels},
        {label.name: label.parent for label in first.labels},
        {label.name: label.evaluated for label in first.labels},
    )
    return result if len(members) == 1 else replace(result, flags=(*result.flags, NOT_FITTED))


def _reasons(members: Mapping[str, Network], fitted: FittedEnsemble | None, checked: CheckedFilm) -> tuple[str, ...]:
    """Name what puts the film outside what the ensemble, or where it was not fitted a member, was measured on."""
    measured = (
        [network.manifest.measured_on for network in members.values()] if fitted is None else [fitted.measured_on]
    )
    return tuple(dict.fromkeys(flag for each in measured for flag in reasons_for_doubt(checked, each)))


def _with_maps(result: EnsembleResult, answers: Sequence[_Answered], checked: CheckedFilm) -> EnsembleResult:
    """Put its map beside every label."""
    found = mean_maps([answer.maps for answer in answers if answer.maps is not None])
    order = list(answers[0].logits)
    labels = tuple(
        replace(
            label,
            activation_map=_label_map(found, order.index(label.name), [a.logits[label.name] for a in answers], checked),
        )
        for label in result.labels
    )
    return replace(result, labels=labels)


def _label_map(found: EnsembleMaps, index: int, logits: Sequence[float], checked: CheckedFilm) -> LabelMap:
    values = found.values[index]
    return LabelMap(
        values,
        found.extent,
        mean_logit=float(np.mean(logits)),
        bias=float(found.biases[index]),
        outside_lungs=share_outside_lungs(values, found.extent, checked),
        flags=evidence_flags(values, found.extent, checked.film),
    )
