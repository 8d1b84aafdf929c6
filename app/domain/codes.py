"""Coded terms of results, as plain triples: `app.pacs` writes them into DICOM, `app.fhir` into FHIR.

No validator notices a wrong code with a right meaning, so tests/unit/domain/test_codes.py holds every triple to
pydicom's dictionary, or to the list of those it does not have. What has no standard code has one of our private scheme.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from app.domain.label_hierarchy import DISPLAY_NAMES
from app.domain.lungs import SIDES, THIRDS

PRIVATE_SCHEME: Final = "99DISCERN"
"""Coding scheme designators of ours begin with 99 (PS3.16, 8.2)."""


@dataclass(frozen=True, slots=True)
class Code:
    """A coded term: code value, coding scheme designator, code meaning."""

    value: str
    scheme: str
    meaning: str


PROBABILITY: Final = Code("122157", "DCM", "Probability")
FINDINGS: Final = Code("121070", "DCM", "Findings")
DIAGNOSTIC_REPORT: Final = Code("18748-4", "LN", "Diagnostic Imaging Report")
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
ANATOMICAL_STRUCTURE: Final = Code("91723000", "SCT", "Anatomical Structure")
SPATIAL_CONCEPT: Final = Code("309825002", "SCT", "Spatial and Relational Concept")
IMAGING_PROCEDURE: Final = Code("363679005", "SCT", "Imaging procedure")
ARTIFICIAL_INTELLIGENCE: Final = Code("123110", "DCM", "Artificial Intelligence")
CLASS_ACTIVATION: Final = Code("130402", "DCM", "Class activation")
DIRECTED_DIVERGENCE: Final = Code("divergence", PRIVATE_SCHEME, "Amplified directed divergence of two maps")
THRESHOLD: Final = Code("threshold", PRIVATE_SCHEME, "Threshold of the operating point")
SHARE: Final = Code("share", PRIVATE_SCHEME, "Share of the map within the region")
NOT_EVALUATED: Final = Code("not_evaluated", PRIVATE_SCHEME, "Not evaluated for this label")
NOT_ANALYSED: Final = Code("not_analysed", PRIVATE_SCHEME, "Image not analysed")
REASON_NOT_ANALYSED: Final = Code("reason", PRIVATE_SCHEME, "Reason why not analysed")
UNITY: Final = Code("1", "UCUM", "no units")

ZONES: Final[Mapping[str, Code]] = MappingProxyType(
    {each: Code(f"{each}_zone", PRIVATE_SCHEME, f"{each.capitalize()} zone of lung") for each in THIRDS}
)
"""Thirds of a lung's height on the film: zones are no lobes, and have no code in the standard's context groups."""

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


def place_of(zone: str | None, *, lungs_known: bool) -> tuple[Code, ...]:
    """Give the codes of where a region lies.

    Parameters
    ----------
    zone
        Of `app.domain.regions.Region`, e.g. ``"right lower"``.
    lungs_known
        Whether there were lungs to name zones of.

    Returns
    -------
    tuple of Code
        The lung, its side and its zone; without a zone the chest alone where the lungs are known, else the lung alone.
    """
    side, _, third = (zone or "").partition(" ")
    if side not in SIDES:
        return (CHEST if lungs_known else LUNG,)
    return LUNG, {"right": RIGHT, "left": LEFT}[side], ZONES[third]


def finding_code(label: str) -> Code:
    """Give the code of what a network looks for: standard where it is certain, else private.

    Parameters
    ----------
    label
        Of an expert or of the ensemble, e.g. ``"covid19"``.
    """
    return _FINDINGS.get(label) or Code(label, PRIVATE_SCHEME, DISPLAY_NAMES.get(label, label))


def reason_code(problem: str) -> Code:
    """Give the code of why a film was not analysed: a problem code of the HTTP interface, in our private scheme.

    Parameters
    ----------
    problem
        E.g. ``"lateral_view"``. One that is on no list is ``other``; the document's words say which it is.
    """
    value, meaning = _REASONS.get(problem, ("other", "Another reason"))
    return Code(value, PRIVATE_SCHEME, meaning)


# fmt: off
_REASONS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType({
    "screening_failed": ("failed", "Screening failed"),
    "unreadable_image": ("unreadable_image", "Image is truncated or corrupt"),
    "invalid_request": ("invalid_request", "Parameter missing, unknown or out of range"),
    "unsupported_format": ("unsupported", "Format, transfer syntax or colour space not supported"),
    "too_large": ("too_large", "Image exceeds a limit of size"),
    "refused": ("refused", "Image refused"),
    "not_a_chest_radiograph": ("not_chest_film", "Not a chest radiograph"),
    "lateral_view": ("lateral_view", "Lateral view"),
    "low_contrast": ("low_contrast", "Too little contrast"),
    "for_processing": ("for_processing", "Image for processing, not for presentation"),
    "too_small": ("too_small", "Too few pixels"),
    "multi_frame": ("multi_frame", "More than one frame"),
    "no_pixels": ("no_pixels", "No pixels"),
    "modality": ("modality", "Modality is not radiography"),
    "divergence_undefined": ("no_divergence", "Maps cannot be contrasted"),
    "EMPTY_MAP": ("empty_map", "A map is empty"),
    "SHAPE_MISMATCH": ("shape_mismatch", "Maps of different shapes"),
    "NON_FINITE_MAP": ("non_finite_map", "A map is not finite"),
    "INVALID_ALPHA": ("invalid_alpha", "Amplification out of range"),
    "model_not_found": ("model_not_found", "No such model"),
    "artifact_invalid": ("artifact_invalid", "Model is broken"),
    "overloaded": ("overloaded", "Service overloaded"),
    "deadline_exceeded": ("deadline", "Not answered in time"),
    "intake_refused": ("intake_refused", "Object cannot be taken"),
    "missing_uid": ("missing_uid", "Identifier missing"),
    "invalid_uid": ("invalid_uid", "Identifier is no UID"),
    "uid_mismatch": ("uid_mismatch", "Object is not the one announced"),
    "not_dicom": ("not_dicom", "Not a DICOM object"),
    "not_configured": ("not_configured", "Service not configured for it"),
    "other_study": ("other_study", "Object of another study"),
    "storage_full": ("storage_full", "No room to store it"),
    "storage_unavailable": ("storage_down", "Storage unavailable"),
    "job_not_found": ("job_not_found", "No such job"),
    "job_conflict": ("job_conflict", "Job not in a state for that"),
    "destination_failed": ("destination", "Destination failed"),
    "stopped_the_worker": ("stopped_worker", "Analysis never came to an end"),
    "internal_error": ("internal_error", "Defect of the service"),
})
# fmt: on
"""Problem codes to code value (16 characters at most: PS3.5, 6.2) and meaning (64 at most)."""
