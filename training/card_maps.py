"""The sections of the model card about an expert's maps: sanity, faithfulness, localisation."""

from training import card_text
from training.audit.faithfulness import FaithfulnessReport
from training.audit.localisation import TOGETHER, LocalisationReport
from training.audit.localisation_text import table_lines
from training.audit.report import Report
from training.audit.sanity import SanityReport
from training.card_tables import table


def localisation_section(found: LocalisationReport) -> list[str]:
    """Print where the maps point, over all films with drawings and those both experts call positive."""
    parts = ["## Localisation\n", card_text.LOCALISATION.format(interest=found.interest, overlap=found.overlap)]
    parts += [f"- {note}\n" for note in found.notes]
    for entry in found.tables:
        if entry.films and entry.part == TOGETHER and entry.subset in {"all films", "both positive"}:
            alone = entry.model_copy(update={"gains": ()})
            parts.append("\n".join(table_lines(alone, level=3)) + "\n")
    return parts


def sanity_section(found: SanityReport) -> list[str]:
    """Print how alike maps stay when weights are random."""
    parts = [
        "## Do the maps depend on the weights?\n",
        card_text.SANITY.format(films=found.films, seeds=len(found.seeds)),
    ]
    kinds = dict.fromkeys((result.method, result.randomised) for result in found.randomised)
    rows = [
        (method, which, *(found.at(method, which, stage).rank_correlation for stage in found.stages))
        for method, which in kinds
    ]
    parts.append(table(("map", "randomised", *(f"down to {stage}" for stage in found.stages)), rows))
    alike = [(entry.method, entry.baseline, entry.likeness.rank_correlation) for entry in found.baselines]
    if alike:
        parts += ["The trained maps against what no expert made:\n", table(("map", "baseline", "correlation"), alike)]
    return parts


def faithfulness_section(found: FaithfulnessReport) -> list[str]:
    """Print what taking cells away does to the margin."""
    parts = ["## Do the maps name what decides?\n"]
    parts.append(card_text.FAITHFULNESS.format(films=found.films, margin=found.margin))
    rows = [
        (
            result.order,
            result.filling,
            result.deletion,
            result.deletion_over_random,
            result.insertion,
            result.insertion_over_random,
        )
        for result in found.results
    ]
    head = ("order of the cells", "filled with", "deletion", "less random", "insertion", "less random")
    return [*parts, table(head, rows)]


def map_sections(report: Report) -> list[str]:
    """Print what was measured of the maps."""
    parts: list[str] = []
    if report.localisation is not None:
        parts += localisation_section(report.localisation)
    if report.sanity is not None:
        parts += sanity_section(report.sanity)
    if report.faithfulness is not None:
        parts += faithfulness_section(report.faithfulness)
    return parts
