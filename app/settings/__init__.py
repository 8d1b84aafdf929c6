"""All that a deployment may change, read once at the start from ``DISCERN_*``."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.settings.hospital import (
    AuditSettings,
    DestinationSettings,
    FhirSettings,
    PacsSettings,
    SourceSettings,
    SpoolSettings,
    WorklistSettings,
    WorkSettings,
)

ENV_PREFIX = "DISCERN_"


class UnknownSettingError(ValueError):
    """An environment variable that looks like a setting but is none."""


class LimitSettings(BaseModel):
    """What an upload may cost; checked before anything is decoded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_upload_bytes: int = Field(default=64 * 1024 * 1024, gt=0, description="Bytes of one upload")
    max_waiting_bytes: int = Field(
        default=512 * 1024 * 1024, gt=0, description="Bytes of all uploads held at once; beyond that the answer is 503"
    )
    max_pixels: int = Field(default=50_000_000, gt=0, description="Width times height of one film")
    max_side_px: int = Field(default=16_384, gt=0, description="Longer side of one film")


class QueueSettings(BaseModel):
    """How much work is taken at once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: int = Field(default=0, ge=0, description="Films screened at the same time; 0 is one a processor core")
    capacity: int = Field(default=32, gt=0, description="Films waiting; beyond that the answer is 503 with Retry-After")


class Settings(BaseSettings):
    """Process configuration. ``DISCERN_QUEUE__CAPACITY=64`` sets ``queue.capacity``."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", env_parse_none_str="null", frozen=True
    )

    models_dir: Path = Field(default=Path("models"), description="Directory of the released models")
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where networks run; cuda is an error at start where there is none"
    )
    request_timeout_s: float = Field(default=30.0, gt=0, description="A film not answered by then is given up (504)")
    shutdown_timeout_s: float = Field(default=25.0, gt=0, description="Time to finish accepted films when stopping")
    log_format: Literal["json", "text"] = Field(default="text", description="One JSON object a line, or readable text")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least severity logged")
    root_path: str = Field(default="", description="Path prefix a gateway strips")
    limits: LimitSettings = LimitSettings()
    queue: QueueSettings = QueueSettings()
    spool: SpoolSettings = SpoolSettings()
    work: WorkSettings = WorkSettings()
    pacs: PacsSettings = PacsSettings()
    worklist: WorklistSettings = WorklistSettings()
    audit: AuditSettings = AuditSettings()
    fhir: FhirSettings = FhirSettings()
    destinations: tuple[DestinationSettings, ...] = Field(
        default=(), description="Where results go, a JSON list (docs/operations.md)"
    )
    sources: tuple[SourceSettings, ...] = Field(
        default=(), description="Where films are fetched from, a JSON list (docs/operations.md)"
    )

    @model_validator(mode="after")
    def _one_upload_fits(self) -> Self:
        if self.limits.max_waiting_bytes < self.limits.max_upload_bytes:
            raise ValueError("limits.max_waiting_bytes is below limits.max_upload_bytes")
        return self

    @model_validator(mode="after")
    def _upload_can_hold_a_film(self) -> Self:
        if self.limits.max_side_px**2 < self.limits.max_pixels // 4:
            raise ValueError("limits.max_side_px is too small for limits.max_pixels to be reached")
        return self

    @model_validator(mode="after")
    def _names_are_different(self) -> Self:
        for what, named in (("destinations", self.destinations), ("sources", self.sources)):
            names = [each.name for each in named]
            if len(set(names)) != len(names):
                raise ValueError(f"two {what} have the same name")
        return self

    @property
    def workers(self) -> int:
        """Worker threads really started."""
        return self.queue.workers or max(1, len(os.sched_getaffinity(0)))


def setting_names() -> dict[str, str]:
    """Every variable and its description, in order."""
    names: dict[str, str] = {}
    for name, field in Settings.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            for nested, nested_field in inner.model_fields.items():
                names[f"{ENV_PREFIX}{name}__{nested}".upper()] = nested_field.description or ""
        else:
            names[f"{ENV_PREFIX}{name}".upper()] = field.description or ""
    return names


def load_settings(environment: Mapping[str, str] | None = None, **changes: object) -> Settings:
    """Read the settings; ``changes`` (from a command line) win over the environment.

    Raises
    ------
    UnknownSettingError
        If a ``DISCERN_*`` variable is not a setting: most likely it is misspelt.
    ValidationError
        If a value is out of range.
    """
    environment = os.environ if environment is None else environment
    known = setting_names()
    unknown = sorted(name for name in environment if name.upper().startswith(ENV_PREFIX) and name.upper() not in known)
    if unknown:
        raise UnknownSettingError(f"no such setting: {', '.join(unknown)}")
    return Settings(**{name: value for name, value in changes.items() if value is not None})  # type: ignore[arg-type]  # validated by pydantic
