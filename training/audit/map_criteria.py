"""Criteria of an expert's maps: they depend on its weights, name what decides, and point at what people drew."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from training.audit.faithfulness import FaithfulnessReport
from training.audit.localisation import LocalisationReport, LocalisationTable
from training.audit.map_methods import cam_name, divergence_name
from training.audit.sanity import SanityReport, Which
from training.audit.verdict import Criterion, at_least, at_most

ALPHA: Final = 15.0
LIKENESS_LIMIT: Final = 0.50
"""Rank correlation with the trained map after all weights are random: half of the order may be the film's own."""
HALF_LIKENESS_LIMIT: Final = 0.80
"""The same where one expert stays as it was: its half of the divergence stays too, but not all of it may."""
TWO_LUNGS: Final = "two-lungs prior"
_FILLING: Final = "blurred film"
_NOT_MEASURED: Final = "not measured"


@dataclass(frozen=True, slots=True)
class MapsAudit:
    """What was measured of two experts' maps; None where it was not."""

    sanity: SanityReport | None = None
    faithfulness: FaithfulnessReport | None = None
    localisation: LocalisationReport | None = None


def sanity_criteria(sanity: SanityReport | None) -> Iterator[Criterion]:
    """Ask whether maps change when their weights are random."""
    question = "How alike is the {map} to the trained one when all weights of {what} are random (rank correlation)?"
    cam, both, each = None, None, {}
    if sanity is not None:
        last, addk = sanity.stages[-1], f"ADDK {sanity.interest} over {sanity.overlap}"
        cam = sanity.at(cam_name(sanity.interest), "interest", last).rank_correlation.value
        both = sanity.at(addk, "both", last).rank_correlation.value
        names: tuple[Which, ...] = ("interest", "overlap")
        each = {
            f"{which} random": value
            for which in names
            if (value := sanity.at(addk, which, last).rank_correlation.value) is not None
        }
    worst = max(each, key=lambda name: each[name]) if each else None
    for name, map_name, what, value, limit, remark in (
        ("sanity_cam", "class activation map", "the expert", cam, LIKENESS_LIMIT, ""),
        ("sanity_addk", "directed divergence", "both experts", both, LIKENESS_LIMIT, ""),
        (
            "sanity_addk_each",
            "directed divergence",
            "either expert",
            each[worst] if worst is not None else None,
            HALF_LIKENESS_LIMIT,
            worst or "",
        ),
    ):
        said = remark if value is not None else _NOT_MEASURED
        yield at_most(name, question.format(map=map_name, what=what), value, limit, said)


def faithfulness_criteria(faithfulness: FaithfulnessReport | None) -> Iterator[Criterion]:
    """Ask whether cells taken in the divergence's order move the margin more than cells at random."""
    found = None
    if faithfulness is not None:
        found = faithfulness.result(f"ADDK {faithfulness.interest} over {faithfulness.overlap}", _FILLING)
    yield at_most(
        "faithful_deletion",
        "Does the margin between the experts fall faster by the divergence's order than at random (95 % upper end)?",
        found.deletion_over_random.high if found is not None else None,
        0.0,
        _FILLING if found is not None else _NOT_MEASURED,
    )
    yield at_least(
        "faithful_insertion",
        "Does it rise faster by the divergence's order than at random (95 % lower end)?",
        found.insertion_over_random.low if found is not None else None,
        0.0,
        _FILLING if found is not None else _NOT_MEASURED,
    )


def _best_table(localisation: LocalisationReport | None) -> LocalisationTable | None:
    """Take the drawings of which the largest share is positive for the expert of interest; of these, all films."""
    if localisation is None:
        return None
    positive = [table for table in localisation.tables if table.subset == "interest positive" and table.films]
    if not positive:
        return None
    most = max(positive, key=lambda one: (one.films / localisation.table(one.kind, one.part).films, one.films))
    return localisation.table(most.kind, most.part)


def localisation_criteria(localisation: LocalisationReport | None) -> Iterator[Criterion]:
    """Ask whether the maps find what radiologists drew more often than knowing where lungs usually are."""
    table = _best_table(localisation)
    for name, map_name in (("cam_finds_lesions", "class activation map"), ("addk_finds_lesions", "divergence")):
        gain, remark = None, _NOT_MEASURED
        if table is not None and localisation is not None:
            interest, overlap = localisation.interest, localisation.overlap
            method = cam_name(interest) if name.startswith("cam") else divergence_name(interest, overlap, ALPHA)
            mine, prior = table.row(method).hit.value, table.row(TWO_LUNGS).hit.value
            if mine is not None and prior is not None:
                gain, remark = mine - prior, f"{table.kind}, {table.films} films: {mine:.2f} against {prior:.2f}"
        question = f"How much more often than a map of two typical lungs does the {map_name} hit what was drawn?"
        yield at_least(name, question, gain, 0.0, remark)


def maps_criteria(maps: MapsAudit) -> Iterator[Criterion]:
    """Ask everything about the maps of two experts."""
    yield from sanity_criteria(maps.sanity)
    yield from faithfulness_criteria(maps.faithfulness)
    yield from localisation_criteria(maps.localisation)
