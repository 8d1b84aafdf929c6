"""What the serving path says of every film: probabilities, decisions, flags and refusals, and nothing of its pixels."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.domain.errors import ImageRefusedError
from app.domain.operating_point import Decision
from app.inference.catalogue import Catalogue
from app.services.batch import BatchItem, screen_files
from app.services.evaluation.cases import Case
from app.services.options import Part, ScreeningOptions
from app.services.screening import Screening, ScreeningService

Values: TypeAlias = NDArray[np.float64]
Kind: TypeAlias = Literal["refused", "failed"]
FAILED: Final = "failed"


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Why a film has no answer: ``refused`` by what it shows, or ``failed`` to be read or answered in time."""

    code: str
    kind: Kind


@dataclass(slots=True)
class ExpertAnswers:
    """The answers of one expert, or of one label of the ensemble.

    Attributes
    ----------
    probabilities
        ``(N,)`` calibrated; NaN where there is no answer.
    decisions
        One a film at the default operating point; None where there is no answer.
    outside_lungs
        ``(N,)`` share of the map's positive evidence outside the lungs; NaN where it is not known.
    map_flags
        Films by flag of the map.
    """

    probabilities: Values
    decisions: list[Decision | None]
    outside_lungs: Values
    map_flags: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Answers:
    """Everything that was answered.

    Attributes
    ----------
    experts
        By name; a label of the ensemble is ``ensemble:LABEL``.
    unanswered
        By the film's place among the cases.
    flags
        Flags of each answered film, by its place; films without any are left out.
    film_ms
        Processing time of each answered film.
    stages_ms
        Sums over the films, by stage.
    wall_s
        Of all films, several at a time.
    """

    experts: Mapping[str, ExpertAnswers]
    unanswered: dict[int, Unanswered] = field(default_factory=dict)
    flags: dict[int, tuple[str, ...]] = field(default_factory=dict)
    film_ms: dict[int, float] = field(default_factory=dict)
    stages_ms: dict[str, float] = field(default_factory=dict)
    wall_s: float = 0.0


def ensemble_name(label: str) -> str:
    """Name a label of the ensemble among the answers."""
    return f"ensemble:{label}"


def passes(catalogue: Catalogue) -> list[tuple[str, str]]:
    """Pair the experts so that each is asked once: the shipped pairs, then what is left, each with itself.

    Two that are not meant for each other may see different rectangles of the film, which no contrast is made of.
    """
    left = [name for name, network in catalogue.networks.items() if network.manifest.kind == "expert"]
    pairs = []
    for pair in catalogue.pairs:
        if pair.interest in left and pair.overlap in left:
            pairs.append((pair.interest, pair.overlap))
            left = [name for name in left if name not in pairs[-1]]
    return pairs + [(name, name) for name in left]


def ask(
    service: ScreeningService,
    catalogue: Catalogue,
    cases: Sequence[Case],
    at_once: int,
    advance: Callable[[int], object],
    clock: Callable[[], float] = time.perf_counter,
    *,
    ensemble: Sequence[str] = (),
) -> Answers:
    """Screen every case with every expert, and on request with the ensemble.

    Parameters
    ----------
    service, catalogue
        The serving path.
    cases
        Films, each path once.
    at_once
        Workers.
    advance
        Called with 1 after every film of every pass.
    clock
        Seconds.
    ensemble
        Labels of the ensemble whose answers are kept; none asks it nothing.

    Returns
    -------
    Answers
        A few numbers a film.
    """
    place = {case.path: index for index, case in enumerate(cases)}
    pairs = passes(catalogue)
    count = len(cases)
    answers = Answers(
        {
            name: ExpertAnswers(np.full(count, np.nan), [None] * count, np.full(count, np.nan))
            for name in dict.fromkeys([*(name for pair in pairs for name in pair), *map(ensemble_name, ensemble)])
        }
    )
    started = clock()
    for number, (interest, overlap) in enumerate(pairs):
        parts: frozenset[Part] = frozenset({"maps", "ensemble"} if ensemble and number == 0 else {"maps"})
        options = ScreeningOptions(interest=interest, overlap=overlap, include=parts)
        for item in screen_files(service, [case.path for case in cases], options, at_once):
            _note(answers, place[item.path], item)
            advance(1)
    answers.wall_s = clock() - started
    return answers


def _note(answers: Answers, index: int, item: BatchItem) -> None:
    if item.screening is not None:
        _note_answer(answers, index, item.screening)
    elif item.error is None:
        answers.unanswered[index] = Unanswered(FAILED, "failed")
    else:
        kind: Kind = "refused" if isinstance(item.error, ImageRefusedError) else "failed"
        answers.unanswered[index] = Unanswered(item.error.problem_code, kind)


def _note_answer(answers: Answers, index: int, screening: Screening) -> None:
    result = screening.result
    for name, finding in result.experts.items():
        noted = answers.experts[name]
        noted.probabilities[index] = finding.probability
        noted.decisions[index] = finding.decision
        if finding.outside_lungs is not None:
            noted.outside_lungs[index] = finding.outside_lungs
        noted.map_flags.update(set(finding.flags))
    for label in result.ensemble.labels if result.ensemble is not None else ():
        if (kept := answers.experts.get(ensemble_name(label.name))) is not None:
            kept.probabilities[index] = label.probability
            kept.decisions[index] = label.decision
    if result.flags:
        answers.flags[index] = tuple(dict.fromkeys((*answers.flags.get(index, ()), *map(str, result.flags))))
    answers.film_ms[index] = answers.film_ms.get(index, 0.0) + sum(result.timings_ms.values())
    for stage, spent_ms in result.timings_ms.items():
        answers.stages_ms[stage] = answers.stages_ms.get(stage, 0.0) + spent_ms


def paths_of(cases: Sequence[Case], manifest: Path) -> list[str]:
    """Name the films as the manifest does, relative to it where they lie below it."""
    folder = manifest.parent
    return [str(c.path.relative_to(folder)) if c.path.is_relative_to(folder) else str(c.path) for c in cases]
