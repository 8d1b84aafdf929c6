"""Coded terms of results, as plain triples: `app.pacs` writes them into DICOM, `app.fhir` into FHIR.

No validator notices a wrong code with a right meaning, so tests/unit/domain/test_codes.py holds every triple to
pydicom's dictionary, or to the list of those it does not have. What has no standard code has one of our private scheme.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from app.domain.label_hierarchy import DISPLAY_NAMES

PRIVATE_SCHEME: Final = "99DISCERN"
"""Coding scheme designators of ours begin with 99 (PS3.16, 8.2)."""


@dataclass(frozen=True, slots=True)
class Code:
    """A coded term: code value, coding scheme designator, code meaning."""

    value: str
    scheme: str
    meaning: str


PROBABILITY: Final = Code("122157", "DCM", "Probability")
FINDING: Final = Code("121071", "DCM", "Finding")
ALGORITHM_NAME: Final = Code("111001", "DCM", "Algorithm Name")
ALGORITHM_PARAMETERS: Final = Code("111002", "DCM", "Algorithm Parameters")
ALGORITHM_VERSION: Final = Code("111003", "DCM", "Algorithm Version")
PRESENT: Final = Code("52101004", "SCT", "Present")
ABSENT: Final = Code("272519000", "SCT", "Absent")
INDETERMINATE: Final = Code("82334004", "SCT", "Indeterminate")
LUNG: Final = Code("39607008", "SCT", "Lung")
CHEST: Final = Code("816094009", "SCT", "Chest")
RIGHT: Final = Code("24028007", "SCT", "Right")
LEFT: Final = Code("7771000", "SCT", "Left")
IMAGING_PROCEDURE: Final = Code("363679005", "SCT", "Imaging procedure")
ARTIFICIAL_INTELLIGENCE: Final = Code("123110", "DCM", "Artificial Intelligence")
CLASS_ACTIVATION: Final = Code("130402", "DCM", "Class activation")
DIRECTED_DIVERGENCE: Final = Code("directed_divergence", PRIVATE_SCHEME, "Amplified directed divergence of two maps")
THRESHOLD: Final = Code("threshold", PRIVATE_SCHEME, "Threshold of the operating point")
NOT_EVALUATED: Final = Code("not_evaluated", PRIVATE_SCHEME, "Not evaluated for this label")
NOT_ANALYSED: Final = Code("not_analysed", PRIVATE_SCHEME, "Image not analysed")
REASON_NOT_ANALYSED: Final = Code("reason", PRIVATE_SCHEME, "Reason why not analysed")
UNITY: Final = Code("1", "UCUM", "no units")

DECISIONS: Final[Mapping[str, Code]] = MappingProxyType(
    {"positive": PRESENT, "negative": ABSENT, "indeterminate": INDETERMINATE}
)
"""What a decision says of a finding."""

_FINDINGS: Final[Mapping[str, Code]] = MappingProxyType(
    {
        "covid19": Code("840539006", "SCT", "COVID-19"),
        "pneumonia": Code("233604007", "SCT", "Pneumonia"),
        "viral": Code("75570004", "SCT", "Viral pneumonia"),
        "bacterial": Code("53084003", "SCT", "Bacterial pneumonia"),
        "ards": Code("67782005", "SCT", "Acute respiratory distress syndrome"),
    }
)


def finding_code(label: str) -> Code:
    """Give the code of what a network looks for: standard where it is certain, else private.

    Parameters
    ----------
    label
        Of an expert or of the ensemble, e.g. ``"covid19"``.
    """
    return _FINDINGS.get(label) or Code(label, PRIVATE_SCHEME, DISPLAY_NAMES.get(label, label))


def reason_code(problem: str) -> Code:
    """Give the code of why a film was not analysed: the problem codes of the HTTP interface in our private scheme.

    Parameters
    ----------
    problem
        E.g. ``"lateral_view"``; one longer than a code value may be (16 characters, PS3.5 6.2) is named by its first.
    """
    return Code(problem[:16], PRIVATE_SCHEME, problem.replace("_", " ").capitalize())
