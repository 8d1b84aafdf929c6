"""How much an answer changes when nothing that matters has changed: small perturbations, and another seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from app.domain.activation_map import interpolate
from app.domain.arrays import ActivationMap
from app.domain.errors import ImageRefusedError
from app.domain.lung_input import to_lung_input
from app.domain.lungs import lung_window
from app.domain.preprocessing import Placement
from app.domain.radiograph import Provenance, Radiograph
from training.audit.perturbations import PERTURBATIONS, Grey
from training.audit.record import Record
from training.audit.scan import Scan, Values
from training.audit.subject import Decider, Subject
from training.datasets import Film, read_grey
from training.lung_finder import LungFinder
from training.onnx_session import raw_scores

FILMS: Final = 100
_SAMPLES_PER_CELL: Final = 4


class Change(Record):
    """What changed over some films.

    Attributes
    ----------
    films
        Answered both times.
    median, p95
        Of the absolute change of the calibrated probability.
    flips
        Share of the decisions at the default operating point that changed.
    map_correlation, map_correlation_p05
        Median and 5th percentile of Pearson's correlation of the class activation map with the untouched one; None
        where every map is flat.
    """

    films: int
    median: float | None
    p95: float | None
    flips: float | None
    map_correlation: float | None
    map_correlation_p05: float | None


class Robustness(Record):
    """By label.

    Attributes
    ----------
    perturbations
        By label and perturbation.
    newly_refused
        By perturbation: films that were answered untouched and are not any more.
    twin
        By label: against a network of the same recipe and another seed, each with its own calibration and threshold;
        None without one.
    missing
        Why something is None.
    """

    perturbations: dict[str, dict[str, Change]]
    newly_refused: dict[str, int]
    twin: dict[str, Change] | None
    missing: dict[str, str]


@dataclass(frozen=True, slots=True)
class Twin:
    """A network of another seed, already run over the same films."""

    subject: Subject
    scan: Scan
    deciders: Mapping[str, Decider]


@dataclass(frozen=True, slots=True)
class _Answer:
    """One film's scores ``(K,)`` and maps ``(K', h, w)``, and where the maps lie."""

    scores: Values
    cam: NDArray[np.float32]
    placement: Placement


def correlation(one: ActivationMap, other: ActivationMap) -> float:
    """Pearson's correlation of two maps of the same shape; NaN where one is flat."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    a, b = (np.asarray(values, np.float64).ravel() - float(np.mean(values)) for values in (one, other))
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def _correlation(before: _Answer, after: _Answer, plane: int) -> float:
    """Compare two maps over the rectangle of the film that the first one covers."""
    over = before.placement.extent
    height, width = (_SAMPLES_PER_CELL * side for side in before.cam.shape[1:])
    first, second = (
        interpolate(answer.cam[plane].astype(np.float64), answer.placement.extent, over, height, width)
        for answer in (before, after)
    )
    return correlation(first, second)


def _answer(subject: Subject, grey: Grey, lungs: LungFinder | None) -> _Answer | None:
    """Answer one decoded film as serving does; None where it is refused."""
    fields = lungs.fields(grey) if lungs is not None and subject.specification.crop != "film" else None
    if subject.specification.crop != "film" and (fields is None or lung_window(fields, 0.0) is None):
        return None
    try:
        films, placement = to_lung_input(Radiograph(grey, Provenance("png", "")), subject.specification, fields)
    except ImageRefusedError:
        return None
    outputs = subject.network.outputs(films)
    return _Answer(raw_scores(outputs.logits, subject.kind)[0], outputs.cam[0], placement)


def change_of(
    before: Sequence[_Answer | None],
    after: Sequence[_Answer | None],
    column: int,
    plane: int,
    deciders: Sequence[Decider],
) -> Change:
    """Summarise one label over films that were answered both times; ``deciders`` of before and after."""
    pairs = [(a, b) for a, b in zip(before, after, strict=True) if a is not None and b is not None]
    if not pairs:
        return Change(films=0, median=None, p95=None, flips=None, map_correlation=None, map_correlation_p05=None)
    first, second = (
        decider.probability(np.array([pair[k].scores[column] for pair in pairs])) for k, decider in enumerate(deciders)
    )
    changed = np.abs(first - second)
    correlations = np.array([_correlation(a, b, plane) for a, b in pairs])
    known = correlations[~np.isnan(correlations)]
    return Change(
        films=len(pairs),
        median=float(np.median(changed)),
        p95=float(np.percentile(changed, 95)),
        flips=float(((first >= deciders[0].threshold) != (second >= deciders[1].threshold)).mean()),
        map_correlation=float(np.median(known)) if known.size else None,
        map_correlation_p05=float(np.percentile(known, 5)) if known.size else None,
    )


def _from_scan(scan: Scan, index: int) -> _Answer | None:
    placement = scan.placements[index]
    return None if placement is None else _Answer(scan.scores["untouched"][index], scan.cam[index], placement)


def measure_robustness(
    subject: Subject,
    scan: Scan,
    films: Sequence[Film],
    *,
    lungs: LungFinder | None,
    deciders: Mapping[str, Decider],
    twin: Twin | None = None,
    seed: int = 0,
) -> Robustness:
    """Perturb up to a hundred films of a part, evenly spread, and ask again.

    Parameters
    ----------
    subject
        The network.
    scan
        Of ``films``: the untouched answers.
    films
        Of the part.
    lungs
        Finds the lungs of the perturbed film anew, as serving would.
    deciders
        Of the labels that are looked at.
    twin
        Another seed.
    seed
        Of the noise.
    """
    chosen = [k for k, placement in enumerate(scan.placements) if placement is not None]
    chosen = chosen[:: -(-len(chosen) // FILMS)]
    before = [_from_scan(scan, index) for index in chosen]
    changes: dict[str, dict[str, Change]] = {label: {} for label in deciders}
    refused = {}
    answers: dict[str, list[_Answer | None]] = {name: [] for name in PERTURBATIONS}
    random = np.random.default_rng(seed)
    for index in tqdm(chosen, desc="perturbing films", unit="film", leave=False):
        grey = read_grey(films[index].path)
        for name, perturb in PERTURBATIONS.items():
            answers[name].append(_answer(subject, perturb(grey, random), lungs))
    for name, after in answers.items():
        refused[name] = sum(answer is None for answer in after)
        for label, decider in deciders.items():
            column = subject.labels.index(label)
            changes[label][name] = change_of(before, after, column, subject.map_index(column), (decider, decider))
    against = None
    if twin is not None:
        against = {
            label: change_of(
                before,
                [_from_scan(twin.scan, index) for index in chosen],
                subject.labels.index(label),
                subject.map_index(subject.labels.index(label)),
                (decider, twin.deciders[label]),
            )
            for label, decider in deciders.items()
        }
    return Robustness(
        perturbations=changes,
        newly_refused=refused,
        twin=against,
        missing={} if twin is not None else {"twin": "no network of another seed was given"},
    )
