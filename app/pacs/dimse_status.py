"""Failures as DIMSE statuses (PS3.4, B.2.3; PS3.7, C): which may be tried again, and why, in 64 characters."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from app.domain.errors import (
    ArtifactError,
    DeadlineExceededError,
    DestinationError,
    DivergenceError,
    ImageRefusedError,
    IntakeRefusedError,
    InvalidRequestError,
    JobConflictError,
    JobNotFoundError,
    ModelNotFoundError,
    OverloadedError,
    ScreeningError,
    StorageFullError,
    StorageUnavailableError,
    TooLargeError,
    UnreadableImageError,
    UnsupportedFormatError,
)

SUCCESS: Final = 0x0000
OUT_OF_RESOURCES: Final = 0xA700
DATA_SET_MISMATCH: Final = 0xA900
CANNOT_UNDERSTAND: Final = 0xC000
PROCESSING_FAILURE: Final = 0x0110

STATUS_OF: Final[Mapping[type[ScreeningError], int]] = MappingProxyType(
    {
        StorageFullError: OUT_OF_RESOURCES,
        StorageUnavailableError: OUT_OF_RESOURCES,
        OverloadedError: OUT_OF_RESOURCES,
        DeadlineExceededError: OUT_OF_RESOURCES,
        TooLargeError: CANNOT_UNDERSTAND,
        UnreadableImageError: CANNOT_UNDERSTAND,
        UnsupportedFormatError: CANNOT_UNDERSTAND,
        IntakeRefusedError: DATA_SET_MISMATCH,
        ImageRefusedError: DATA_SET_MISMATCH,
        InvalidRequestError: CANNOT_UNDERSTAND,
        DivergenceError: PROCESSING_FAILURE,
        ModelNotFoundError: PROCESSING_FAILURE,
        ArtifactError: PROCESSING_FAILURE,
        JobNotFoundError: PROCESSING_FAILURE,
        JobConflictError: PROCESSING_FAILURE,
        DestinationError: PROCESSING_FAILURE,
    }
)
"""The complete table; a test holds it so. 0xA7xx asks the sender to try again later, the others not to."""

_COMMENT_CHARACTERS: Final = 64


def status_of(error: ScreeningError) -> tuple[int, str]:
    """Give status and Error Comment (0000,0902), which names the rule and never the patient."""
    comment = f"{error.problem_code}: {error.detail}".encode("ascii", "replace").decode()
    return STATUS_OF[type(error)], comment[:_COMMENT_CHARACTERS]
