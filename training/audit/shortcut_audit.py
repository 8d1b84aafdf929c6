"""How much of a network's score is shortcut: SPEC 6.3 in one section of the report."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from app.domain.label_hierarchy import ENSEMBLE_LABELS
from training.audit.blackout import BlackoutRow, measure_blackout
from training.audit.outside_lungs import OutsideLungs, measure_outside_lungs
from training.audit.record import Record
from training.audit.scan import Scan, Values
from training.audit.source_probe import SourcePrediction, measure_source_prediction
from training.audit.subject import Subject
from training.audit.trivial_cues import CueReader, TrivialCues, measure_trivial_cues
from training.datasets import Film

FEWEST_OF_A_CLASS: Final = 10


class LabelShortcuts(Record):
    """Of one label; a part that could not be measured is null, and ``missing`` of the section says why."""

    trivial_cues: TrivialCues | None
    blackout: dict[str, BlackoutRow] | None
    outside_lungs: OutsideLungs | None


class Shortcuts(Record):
    """The shortcut audit.

    Attributes
    ----------
    labels
        Labels of which the part holds at least ten films of each class.
    source_prediction
        From the pooled features.
    films_without_lungs
        Scored films on which not both lungs were found: they are in no number that needs lungs.
    missing
        What could not be measured, and why.
    """

    labels: dict[str, LabelShortcuts]
    source_prediction: SourcePrediction
    films_without_lungs: int
    missing: dict[str, str]


@dataclass(frozen=True, slots=True)
class Partner:
    """The expert of the overlapping class, already run over the same films."""

    subject: Subject
    scan: Scan


def truths_of(films: Sequence[Film], label: str) -> Values:
    """Truth of one label over films, ``(N,)`` 0, 1 or NaN."""
    column = ENSEMBLE_LABELS.index(label)
    return np.array([film.targets[column] for film in films], np.float64)


def measure_shortcuts(
    subject: Subject,
    scan: Scan,
    films: Sequence[Film],
    train: Sequence[Film],
    cues: CueReader,
    partner: Partner | None = None,
) -> Shortcuts:
    """Audit one network over one part.

    Parameters
    ----------
    subject
        The network.
    scan
        Of the part's films, every variant.
    films
        The part's films.
    train
        Films of part ``train``; sources that the network's training left out are left out here too.
    cues
        Describes films for the baseline.
    partner
        Of an expert; None leaves the directed divergence out.

    Returns
    -------
    Shortcuts
        See there.
    """
    has_lungs = any(lungs is not None for lungs in scan.lungs)
    groups = np.array([film.group for film in films])
    trained = [film for film in train if film.source not in subject.excluded_sources]
    missing: dict[str, str] = {}
    if not has_lungs:
        missing |= dict.fromkeys(("blackout", "outside_lungs"), "no lungs were found: give a lung network")
    if partner is None:
        missing["outside_lungs.addk"] = "no partner expert was given"
    elif partner.subject.specification != subject.specification:
        missing["outside_lungs.addk"] = f"{partner.subject.name} sees films in another way: no divergence is defined"
        partner = None
    if not trained:
        missing["trivial_cues"] = "the manifests hold no film of part train"
    labels, truths = {}, {}
    for column, label in enumerate(subject.labels):
        truth = truths_of(films, label)
        if min((truth == 0).sum(), (truth == 1).sum()) < FEWEST_OF_A_CLASS:
            continue
        truths[label] = truth
        other = (partner.scan, partner.subject.map_index(0)) if partner is not None else None
        labels[label] = LabelShortcuts(
            trivial_cues=measure_trivial_cues(trained, films, label, cues) if trained else None,
            blackout=measure_blackout(films, truth, scan.scores, column) if has_lungs else None,
            outside_lungs=(
                measure_outside_lungs(scan, subject.map_index(column), truth, groups, other) if has_lungs else None
            ),
        )
    sources = np.array([film.source for film in films])
    scored = [placement is not None for placement in scan.placements]
    return Shortcuts(
        labels=labels,
        source_prediction=measure_source_prediction(scan.pooled, sources, groups, truths),
        films_without_lungs=sum(
            is_scored and lungs is None for is_scored, lungs in zip(scored, scan.lungs, strict=True)
        ),
        missing=missing,
    )
