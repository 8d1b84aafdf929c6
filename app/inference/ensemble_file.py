"""``models/ensemble.json``: what was fitted to the mean of the members, and to which weights of theirs.

The mean of calibrated probabilities is not calibrated, and no member's threshold is the mean's: both are measured for
these very members, and belong to no others.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.domain.errors import ArtifactError
from app.inference.artifact import file_sha256
from app.inference.manifest import CalibrationEntry, Manifest, MeasuredOnEntry, OperatingPointEntry, Sha256

ENSEMBLE_FILE: Final = "ensemble.json"
ENSEMBLE_NAME: Final = "ensemble"
"""What it is called where models are listed; its report lies in a folder of this name."""
_AGAIN: Final = "fit the ensemble again (python -m training ensemble)"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MemberEntry(_Part):
    """The weights of one member that the ensemble was fitted with."""

    name: str
    version: str
    model_sha256: Sha256


class FittedLabel(_Part):
    """One label of the mean: its calibration, its operating points (the first is the default), and what it is worth.

    ``evaluated`` is False where validation holds too few films of a class; ``reason`` says so.
    """

    parent: str | None = None
    calibration: CalibrationEntry = CalibrationEntry()
    operating_points: tuple[OperatingPointEntry, ...] = Field(min_length=1)
    evaluated: bool = True
    reason: str | None = None


class FittedEnsemble(_Part):
    """The whole file; unknown fields are an error. ``files`` are hashes of the report's files, by their paths."""

    schema_: Literal["discern-ensemble/1"] = Field(default="discern-ensemble/1", alias="schema")
    members: tuple[MemberEntry, ...] = Field(min_length=1)
    labels: dict[str, FittedLabel] = Field(min_length=1)
    measured_on: MeasuredOnEntry | None = None
    training: dict[str, Any] = Field(default_factory=dict)  # Any: a record for readers, never interpreted by serving
    evaluation: dict[str, Any] = Field(default_factory=dict)  # Any: the report's numbers, as measured
    code_commit: str
    created: datetime
    files: dict[str, Sha256] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        names = [member.name for member in self.members]
        if len(set(names)) != len(names):
            raise ValueError("a member stands twice")
        for name, label in self.labels.items():
            if label.parent is not None and label.parent not in self.labels:
                raise ValueError(f"the parent {label.parent!r} of {name!r} is no label")
        return self

    def check_members(self, manifests: Mapping[str, Manifest]) -> None:
        """Check that it was fitted to these very members.

        Parameters
        ----------
        manifests
            Of the members, by name, in their order.

        Raises
        ------
        ArtifactError
            Naming what differs: the members, a version, a hash, or the labels.
        """
        fitted = [member.name for member in self.members]
        if fitted != list(manifests):
            here = ", ".join(manifests) or "none"
            raise ArtifactError(f"{ENSEMBLE_FILE} is of {', '.join(fitted)}, the members here are {here}; {_AGAIN}")
        for member in self.members:
            manifest = manifests[member.name]
            if (member.version, member.model_sha256) != (manifest.version, manifest.model_sha256):
                raise ArtifactError(
                    f"{ENSEMBLE_FILE} is of {member.name} {member.version} with hash {member.model_sha256[:12]}…,"
                    f" here is {manifest.version} with hash {manifest.model_sha256[:12]}…; {_AGAIN}"
                )
            labels = [label.name for label in manifest.labels]
            if labels != list(self.labels):
                raise ArtifactError(f"{ENSEMBLE_FILE} has other labels than {member.name} has; {_AGAIN}")


def read_ensemble_file(models_dir: Path) -> FittedEnsemble | None:
    """Read ``ensemble.json`` and verify the files of its report; None where nothing was fitted.

    Raises
    ------
    ArtifactError
        If it cannot be read, breaks a rule, or a file of its report is absent or has another hash.
    """
    path = models_dir / ENSEMBLE_FILE
    if not path.exists():
        return None
    try:
        found = FittedEnsemble.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ArtifactError(f"{ENSEMBLE_FILE} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ArtifactError(f"{ENSEMBLE_FILE}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    for name, expected in found.files.items():
        file = models_dir / name
        if not file.is_file():
            raise ArtifactError(f"{ENSEMBLE_FILE}: {name} is missing")
        if file_sha256(file) != expected:
            raise ArtifactError(f"{ENSEMBLE_FILE}: {name} has another hash than {ENSEMBLE_FILE} says")
    return found
