"""The ensemble's report in words and tables: ``models/ensemble/ENSEMBLE.md``."""

from typing import Final

from app.domain.label_hierarchy import DISPLAY_NAMES
from app.domain.subgroups import POOLED
from training.card_tables import number, significant, table, with_bounds
from training.ensemble.report import ENSEMBLE, Answerer, EnsembleReport
from training.label_metrics import AUROC, METRICS, LabelMetrics

_FIRST: Final = "resnet18"

INTRODUCTION: Final = """\
Mean of the members' calibrated probabilities, calibrated again per label on validation films, held at or below the
parent label's; a member is shown as it would answer alone. Below: part `{part}`, {films} films, {refused} refused,
intervals 95 % over resampled patients. Averages are over the {count} labels of which validation holds enough films
({labels}); the other labels are answered, and not evaluated.
"""
FLATTERED: Final = "These films also chose the calibration and the thresholds: the numbers flatter.\n"
CALIBRATION: Final = """\
Expected calibration error over fifteen bins of equal mass: of the mean as it is, calibrated again, and as it is
reported, held at or below the parent's. Films of purely paediatric sources without the label are left out.
"""
LAW: Final = """\
Mean map plus mean bias differs from the mean logit by {error} at most, over {films} films and all labels.
"""


def ensemble_card(report: EnsembleReport) -> str:
    """Write the card."""
    members = ", ".join(f"{name} {version}" for name, version in report.members.items())
    pooled = report.answerers[POOLED]
    parts = [
        f"# The ensemble of {members}\n\nResearch use. Not for diagnostic use.\n",
        INTRODUCTION.format(
            part=report.part,
            films=report.films,
            refused=report.refused,
            count=len(report.labels),
            labels=", ".join(report.labels),
        ),
        FLATTERED if report.fitted_here else "",
        "## Averages\n",
        "Each at its own operating points (sensitivity 0.90 on validation).\n",
        averages_table(pooled, at_half=False),
        "\nAt a threshold of 0.5 for every label, as the paper has it.\n",
        averages_table(pooled, at_half=True),
        "\nMacro AUROC of the ensemble minus the member's, on the same patients:\n",
        table(["member", "difference (95 %)"], [(name, with_bounds(found)) for name, found in report.ahead.items()]),
        "\n## Every label\n",
        label_table(pooled),
        "\n## Subgroups\n",
        "Over a single source or age group, a label that is rare there counts as much as another.\n",
        subgroup_table(report),
        "\n## Calibration\n",
        CALIBRATION,
        table(
            ["label", "films", "mean", "calibrated", "reported"],
            [
                (name, row.films, number(row.mean), number(row.calibrated), number(row.reported))
                for name, row in report.calibration.items()
            ],
        ),
        "\n## What the answer is made of\n",
        LAW.format(error=significant(report.law_error), films=report.law_films),
        "## Cost and parity\n",
        cost_table(report),
        f"\nCode {report.code_commit[:12]}, {report.created:%Y-%m-%d}.\n",
    ]
    return "\n".join(parts)


def averages_table(answerers: dict[str, Answerer], *, at_half: bool) -> str:
    """Micro and macro of every answerer."""
    head = ["", *(f"micro {name}" for name in METRICS), *(f"macro {name}" for name in (*METRICS, AUROC))]
    rows = []
    for name, answerer in answerers.items():
        found = answerer.at_half if at_half else answerer.at_points
        micro = [with_bounds(found.micro[each]) for each in METRICS]
        rows.append([name, *micro, *(with_bounds(found.macro[each]) for each in (*METRICS, AUROC))])
    return table(head, rows)


def label_table(answerers: dict[str, Answerer]) -> str:
    """AUROC, F1, recall and specificity of every label and answerer."""
    labels = next(iter(answerers.values())).at_points.labels
    rows = []
    for label, counted in labels.items():
        for name, answerer in answerers.items():
            found = answerer.at_points.labels[label]
            is_first = name == ENSEMBLE
            rows.append(
                [
                    f"{DISPLAY_NAMES.get(label, label)} (+{counted.positives} of {counted.films})" if is_first else "",
                    name,
                    *(with_bounds(found.metrics[each]) for each in (AUROC, *METRICS)),
                ]
            )
    return table(["label", "", AUROC.upper(), *METRICS], rows)


def subgroup_table(report: EnsembleReport) -> str:
    """Macro AUROC, macro and micro F1 by subgroup."""
    rows = []
    for cut, answerers in report.answerers.items():
        for name, answerer in answerers.items():
            found: LabelMetrics = answerer.at_points
            films = max(label.films for label in found.labels.values())
            rows.append(
                [
                    f"{cut} ({films})" if name == ENSEMBLE else "",
                    name,
                    with_bounds(found.macro[AUROC]),
                    with_bounds(found.macro["f1"]),
                    with_bounds(found.micro["f1"]),
                ]
            )
    return table(["films", "", "macro AUROC", "macro F1", "micro F1"], rows)


def cost_table(report: EnsembleReport) -> str:
    """Time of one film, and parity, by member."""
    spent_by = report.run_time_ms
    base = _FIRST if _FIRST in spent_by else min(spent_by, key=lambda name: spent_by[name])
    rows = []
    for name, spent in spent_by.items():
        parity = report.parity.get(name, {})
        rows.append(
            [
                name,
                f"{spent:.0f}",
                f"{spent / spent_by[base]:.2f}",
                *(significant(parity.get(each)) for each in ("logits", "features", "cam", "identity")),
            ]
        )
    head = ["", "ms a film, one thread", f"times {base}", "logits", "features", "cam", "identity (logits)"]
    return table(head, rows)
