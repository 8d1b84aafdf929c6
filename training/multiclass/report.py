"""The report of a released network of several classes, and the criteria of its release gate."""

from datetime import datetime
from typing import Final

from training.audit.record import Record
from training.audit.verdict import Criterion, Verdict, at_least, at_most
from training.export import AUROC_LIMIT, PARITY_LIMIT
from training.multiclass.evaluation import ClassesReport
from training.multiclass.export import ClassesExport

MISSING: Final = (
    "not measured for networks of several classes: lungs blacked out, sanity, faithfulness, localisation, robustness,"
    " out-of-distribution films"
)
_FEWEST_WITHIN: Final = 10


class ClassesReleaseReport(Record):
    """``report.json``: what was measured before a release, on films that neither trained nor chose."""

    model: str
    version: str
    model_sha256: str
    held_out: str
    created: datetime
    verdict: Verdict
    parity: dict[str, float]
    precision: dict[str, float]
    evaluation: ClassesReport
    films: dict[str, dict[str, int]]
    lists_sha256: dict[str, str]
    missing: str
    code_commit: str


def criteria_of(evaluation: ClassesReport, export: ClassesExport) -> list[Criterion]:
    """Give the release gate's criteria.

    Within a source that holds ten films of the positive class and ten others the source gives nothing away; pooled, the
    network must at least know more than the source alone tells.
    """
    found = [
        at_most("identity", "Is the graph the network, and are the maps the logits?",
                max(value for name, value in export.parity.items() if name != "films"), PARITY_LIMIT),
        at_most("precision", "Does storing the weights change an AUROC?",
                export.precision.gates.get("max_auroc_change", 0.0) if export.precision.storage == "fp16" else 0.0,
                AUROC_LIMIT),
    ]  # fmt: skip
    column = evaluation.classes.index(evaluation.positive)
    for name, result in evaluation.subgroups.items():
        positives = sum(result.confusion[column])
        if name.startswith("source ") and min(positives, result.films - positives) >= _FEWEST_WITHIN:
            area = result.classes[evaluation.positive]["auroc"]
            lower = area.low if area.low is not None else area.value  # 0 and 1 have no interval
            found.append(
                at_least("within_source", "Is it above chance where the source gives nothing away?", lower, 0.5, name)
            )
    if evaluation.source_alone is not None:
        pooled, alone = evaluation.subgroups["pooled"].macro_f1.value, evaluation.source_alone.macro_f1.value
        beyond = None if pooled is None or alone is None else pooled - alone
        found.append(
            at_least("beats_source", "Does it know more than the source alone tells?", beyond, 0.0, "macro F1")
        )
    return found
