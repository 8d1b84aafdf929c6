"""Failures the caller can do something about.

::

    ScreeningError
    ├── UnreadableImageError        the bytes are not the image they claim to be
    ├── InvalidRequestError         a parameter is missing, unknown or out of range
    ├── UnsupportedFormatError      readable by somebody, not by this service
    ├── TooLargeError               more bytes, pixels, frames or nesting than the limits allow
    ├── ImageRefusedError           readable, but not a film this service answers for
    ├── DivergenceError             the two maps cannot be contrasted
    ├── ModelNotFoundError          no such model, version or pair
    ├── ArtifactError               a released artefact is broken or not what its manifest says
    ├── OverloadedError             the queue is full; try again after ``retry_after_s``
    ├── DeadlineExceededError       the answer was not ready in time
    ├── IntakeRefusedError          an object that cannot be taken into the hospital's work; ``reason`` says why
    ├── StorageFullError            no room to make it durable; nothing was acknowledged
    ├── StorageUnavailableError     the job table or the spool does not answer, or lost something
    ├── JobNotFoundError            no job of this name
    ├── JobConflictError            the job is not in a state for that
    └── DestinationError            a PACS or server did not take or did not confirm results

Every class has a ``code`` that callers may match on; ``detail`` names the rule and the value, never the patient.
"""

from enum import StrEnum
from typing import ClassVar


class ScreeningError(Exception):
    """A failure with a stable code and a sentence that says what to do about it."""

    code: ClassVar[str] = "screening_failed"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    @property
    def problem_code(self) -> str:
        """The code reported to the caller."""
        return self.code


class UnreadableImageError(ScreeningError):
    """The bytes are truncated, corrupt, or not the image their first bytes announce."""

    code = "unreadable_image"


class InvalidRequestError(ScreeningError):
    """A parameter is missing, unknown or out of range."""

    code = "invalid_request"


class UnsupportedFormatError(ScreeningError):
    """The content is of a type, transfer syntax or colour space that is not read here."""

    code = "unsupported_format"


class TooLargeError(ScreeningError):
    """The upload exceeds a limit on bytes, pixels, frames, nesting or inflation."""

    code = "too_large"


class RefusalReason(StrEnum):
    """Why a readable image is not answered for."""

    NOT_A_CHEST_RADIOGRAPH = "not_a_chest_radiograph"
    LATERAL_VIEW = "lateral_view"
    LOW_CONTRAST = "low_contrast"
    FOR_PROCESSING = "for_processing"
    TOO_SMALL = "too_small"
    MULTI_FRAME = "multi_frame"
    NO_PIXELS = "no_pixels"
    MODALITY = "modality"


class ImageRefusedError(ScreeningError):
    """The image is readable but refused; ``reason`` is the code."""

    code = "refused"

    def __init__(self, reason: RefusalReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason

    @property
    def problem_code(self) -> str:
        """The refusal's own reason."""
        return self.reason.value


class DivergenceReason(StrEnum):
    """Why two maps cannot be contrasted (the codes of the golden cases)."""

    EMPTY_MAP = "EMPTY_MAP"
    SHAPE_MISMATCH = "SHAPE_MISMATCH"
    NON_FINITE_MAP = "NON_FINITE_MAP"
    INVALID_ALPHA = "INVALID_ALPHA"


class DivergenceError(ScreeningError):
    """The directed divergence of these maps is not defined; ``reason`` is the code."""

    code = "divergence_undefined"

    def __init__(self, reason: DivergenceReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason

    @property
    def problem_code(self) -> str:
        """The divergence's own reason."""
        return self.reason.value


class ModelNotFoundError(ScreeningError):
    """No model, version or pair of this name is loaded."""

    code = "model_not_found"


class ArtifactError(ScreeningError):
    """A released artefact is broken, tampered with, or not what its manifest says."""

    code = "artifact_invalid"


class OverloadedError(ScreeningError):
    """The queue is full."""

    code = "overloaded"

    def __init__(self, detail: str, retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class DeadlineExceededError(ScreeningError):
    """The answer was not ready within the request's time limit."""

    code = "deadline_exceeded"


class IntakeReason(StrEnum):
    """Why an object cannot be taken."""

    MISSING_UID = "missing_uid"
    INVALID_UID = "invalid_uid"
    NOT_DICOM = "not_dicom"
    NOT_CONFIGURED = "not_configured"
    OTHER_STUDY = "other_study"
    UID_MISMATCH = "uid_mismatch"


class IntakeRefusedError(ScreeningError):
    """The object can never be taken; ``reason`` is the code."""

    code = "intake_refused"

    def __init__(self, reason: IntakeReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason

    @property
    def problem_code(self) -> str:
        """The refusal's own reason."""
        return self.reason.value


class StorageFullError(ScreeningError):
    """There is no room to make it durable: it was not acknowledged, and may be sent again later."""

    code = "storage_full"


class StorageUnavailableError(ScreeningError):
    """The job table or the spool does not answer, or has lost what it held."""

    code = "storage_unavailable"


class JobNotFoundError(ScreeningError):
    """There is no job of this name, or it has been purged."""

    code = "job_not_found"


class JobConflictError(ScreeningError):
    """The job is not in a state in which that can be done."""

    code = "job_conflict"


class DestinationError(ScreeningError):
    """A destination did not take, or did not confirm, what was sent; ``reason`` is a short stable word."""

    code = "destination_failed"

    def __init__(self, detail: str, *, reason: str = "unreachable", permanent: bool = False) -> None:
        super().__init__(detail)
        self.reason = reason
        self.permanent = permanent
