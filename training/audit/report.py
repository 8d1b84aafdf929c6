"""``report.json``: everything that was measured before a release, and the verdict."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from training.audit.calibration_error import CalibrationQuality
from training.audit.faithfulness import FaithfulnessReport
from training.audit.identity import Identity
from training.audit.localisation import LocalisationReport
from training.audit.out_of_distribution import GateReport, OutOfDistribution
from training.audit.record import Record
from training.audit.robustness import Robustness
from training.audit.sanity import SanityReport
from training.audit.shortcut_audit import Shortcuts
from training.audit.verdict import Verdict
from training.evaluate import Discrimination

Part = Literal["val", "test"]


class Report(Record):
    """The report of one network on one part.

    A section that could not be measured is null, and ``missing`` says why; so do the sections of their own parts.

    Attributes
    ----------
    files_sha256
        Of the weights that took part: lungs, partner, twin.
    manifests_sha256
        Of the data.
    """

    model: str
    version: str
    model_sha256: str
    part: Part
    created: datetime
    films: int
    refused: int
    verdict: Verdict
    identity: Identity | None
    discrimination: Discrimination | None
    shortcuts: Shortcuts | None
    sanity: SanityReport | None
    faithfulness: FaithfulnessReport | None
    localisation: LocalisationReport | None
    robustness: Robustness | None
    calibration: CalibrationQuality | None
    out_of_distribution: OutOfDistribution | GateReport | None
    missing: dict[str, str]
    files_sha256: dict[str, str]
    manifests_sha256: dict[str, str]
    code_commit: str


def summary(report: Report) -> Mapping[str, Any]:  # Any: a record for readers
    """Shorten a report to what the manifest carries: the verdict, AUROC by label and subgroup, the first trial's."""
    found = report.discrimination
    return {
        "part": report.part,
        "created": report.created.isoformat(),
        "films": report.films,
        "verdict": {"passed": report.verdict.passed, "failed": list(report.verdict.failed)},
        "auroc": {
            label: {
                name: [*result.auroc.model_dump().values(), result.positives, result.negatives]
                for name, result in rows.items()
                if result.auroc.value is not None
            }
            for label, rows in (found.labels if found is not None else {}).items()
        },
        "first_trial": [comparison.model_dump() for comparison in (found.first_trial if found is not None else ())],
    }
