"""UIDs of results: the same for the same film, model version and kind, so that a result sent twice is one object."""

import uuid
from enum import StrEnum
from typing import Final

_NAMESPACE: Final = uuid.UUID("a5bd53c0-3f0e-5c4c-9f0a-6a2b6f6f6e01")
"""Ours; changing it would make a second object of every result ever sent."""


class ResultKind(StrEnum):
    """What a result object is."""

    SECONDARY_CAPTURE = "sc"
    """RGB picture with legend and disclaimer."""
    REGIONS_REPORT = "sr-regions"
    """Comprehensive 3D SR with a measurement group per region (TID 1500, 1410)."""
    FINDINGS_REPORT = "sr-findings"
    """Comprehensive 3D SR with every label (TID 1500, 1501)."""
    TEXT_REPORT = "sr-text"
    """Basic Text SR, for viewers that show nothing else."""
    SEGMENTATION = "seg"
    """BINARY segmentation: the regions' pixels and both lungs."""
    PRESENTATION_STATE = "gsps"
    """Grayscale Softcopy Presentation State: the regions as annotations of the film itself."""
    NOT_ANALYSED = "not-analysed"
    """The coded reason why there is no answer, as an SR; a picture of it is a `SECONDARY_CAPTURE`."""
    FHIR_BUNDLE = "fhir"
    """A FHIR R4 transaction with the answer or the reason why there is none; no DICOM object."""


def result_uid(source_uid: str, model_version: str, part: str) -> str:
    """Give the UID of a result object, or of the series it is in.

    Parameters
    ----------
    source_uid
        SOP Instance UID of the film.
    model_version
        Of everything that made the result: networks, and the release of the service where it changes the objects.
    part
        A `ResultKind`, or ``"series:"`` and a kind.

    Returns
    -------
    str
        ``2.25.`` and the decimal UUIDv5 of the three (PS3.5, B.2): at most 44 characters.

    Raises
    ------
    ValueError
        If a part is empty.
    """
    if not (source_uid and model_version and part):
        raise ValueError("a result's UID needs a source, a model version and a part")
    return f"2.25.{uuid.uuid5(_NAMESPACE, chr(0).join((source_uid, model_version, part))).int}"
