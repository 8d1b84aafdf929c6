"""What a deployment may change of the hospital side: spool, job table, DICOM listener, sources, destinations, audit."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

AeTitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[ -\[\]-~]+$")]
_GIB = 1 << 30


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class SpoolSettings(_Group):
    """Where received films, results and answers are kept until they may go."""

    dir: Path | None = Field(default=None, description="Folder of the spool; without it the hospital side is off")
    max_bytes: int = Field(default=50 * _GIB, gt=0, description="Most bytes held; beyond that nothing is acknowledged")
    reserve_bytes: int = Field(default=2 * _GIB, ge=0, description="Bytes that stay free on the spool's file system")
    database_url: SecretStr = Field(
        default=SecretStr(""), description="Job table: sqlite:///… or postgresql://…; empty is SQLite in the spool"
    )
    keep_days: float = Field(default=7.0, gt=0, description="Days a finished film and its objects are kept")
    keep_jobs_days: float = Field(default=365.0, gt=0, description="Days what was said of a finished film is kept")


class WorkSettings(_Group):
    """How a worker works."""

    name: str = Field(default="", max_length=100, description="This worker's name; empty is the host's name")
    films: int = Field(default=0, ge=0, description="Films answered at once; 0 is DISCERN_QUEUE__WORKERS")
    deliveries: int = Field(default=2, gt=0, description="Jobs delivered to one destination at once")
    poll_s: float = Field(default=0.25, gt=0, description="How often the worker looks for work, in seconds")
    retry_first_s: float = Field(default=2.0, gt=0, description="Wait after the first failure; doubles from then on")
    retry_most_s: float = Field(default=600.0, gt=0, description="Longest wait between two attempts")
    film_attempts: int = Field(default=20, gt=0, description="Failures after which a film is parked")
    delivery_attempts: int = Field(default=0, ge=0, description="Failures after which a delivery is parked; 0 is never")
    deadline_s: float = Field(default=900.0, gt=0, description="A film open for longer counts as overdue, an alert")

    @model_validator(mode="after")
    def _waits_grow(self) -> Self:
        if self.retry_first_s > self.retry_most_s:
            raise ValueError("work.retry_first_s is above work.retry_most_s")
        return self


class PacsSettings(_Group):
    """The DICOM listener."""

    ae_title: AeTitle = Field(default="DISCERN", description="Our AE title")
    host: str = Field(default="127.0.0.1", description="Address the DICOM listener listens on")
    port: int = Field(default=11112, ge=0, le=65535, description="Port of the DICOM listener")
    callers: tuple[AeTitle, ...] = Field(default=(), description="AE titles that may call, as JSON; empty is any")
    any_called: bool = Field(default=False, description="Answer whatever AE title is called, not only ours")
    max_associations: int = Field(default=50, gt=0, description="Associations at once")
    max_associations_per_peer: int = Field(default=20, gt=0, description="Associations at once from one address")
    max_held_bytes: int = Field(default=512 * 1024 * 1024, gt=0, description="Bytes being received at once")
    idle_s: float = Field(default=30.0, gt=0, description="An association silent for so long is ended")
    request_s: float = Field(
        default=5.0, gt=0, description="A connection that asks for no association by then is closed"
    )
    tls_certificate: Path | None = Field(
        default=None, description="PEM certificate chain; with it the listener speaks TLS"
    )
    tls_key: Path | None = Field(default=None, description="PEM key of the certificate")
    tls_client_ca: Path | None = Field(
        default=None, description="PEM authorities whose client certificates are demanded"
    )

    @model_validator(mode="after")
    def _certificate_has_a_key(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("pacs.tls_certificate and pacs.tls_key belong together")
        return self


class Credentials(_Group):
    """How we show who we are to an HTTP server."""

    user: str | None = None
    password: SecretStr | None = None
    token: SecretStr | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    ca: Path | None = None


class DestinationSettings(Credentials):
    """One place results go to."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")
    kind: Literal["stow", "c-store", "fhir"]
    url: str | None = None
    host: str | None = None
    port: int | None = None
    ae_title: AeTitle | None = None
    calling_ae_title: AeTitle | None = None
    tls: bool = False
    tls_host_name: bool = True
    commitment_s: float = Field(default=600.0, gt=0)
    confirm: Literal["qido", "content", "c-find", "storage-commitment", "none"] | None = None
    query_url: str | None = None
    objects: tuple[Literal["sc", "sr-regions", "sr-findings", "sr-text", "seg", "gsps"], ...] = (
        "sc", "sr-regions", "sr-findings",
    )  # fmt: skip
    one_by_one: bool = False
    timeout_s: float = Field(default=30.0, gt=0)

    @model_validator(mode="after")
    def _has_an_address(self) -> Self:
        if self.kind == "c-store" and not (self.host and self.port and self.ae_title):
            raise ValueError(f"destination {self.name} is c-store: host, port and ae_title expected")
        if self.kind != "c-store" and not self.url:
            raise ValueError(f"destination {self.name} is {self.kind}: url expected")
        return self

    @model_validator(mode="after")
    def _confirms_by_what_it_speaks(self) -> Self:
        if self.kind != "c-store" and self.confirm in {"c-find", "storage-commitment"}:
            raise ValueError(f"destination {self.name} is {self.kind}: it cannot confirm by {self.confirm}")
        if self.kind == "c-store" and self.confirm in {"qido", "content"} and not self.query_url:
            raise ValueError(f"destination {self.name} is to confirm by {self.confirm}: query_url expected")
        return self


class SourceSettings(Credentials):
    """One place films are fetched from."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")
    kind: Literal["orthanc", "dicomweb", "folder"]
    url: str | None = None
    dicomweb_url: str | None = None
    folder: Path | None = None
    done_folder: Path | None = None
    refused_folder: Path | None = None
    modalities: tuple[str, ...] = ("CR", "DX")
    start: Literal["now", "beginning"] = "now"
    poll_s: float = Field(default=2.0, gt=0)
    sweep_s: float = Field(default=300.0, gt=0)
    sweep_days: int = Field(default=2, gt=0)
    still_s: float = Field(default=5.0, gt=0)
    timeout_s: float = Field(default=30.0, gt=0)

    @model_validator(mode="after")
    def _has_an_address(self) -> Self:
        if self.kind == "folder" and self.folder is None:
            raise ValueError(f"source {self.name} is a folder: folder expected")
        if self.folder is not None and self.folder in {self.done_folder, self.refused_folder}:
            raise ValueError(f"source {self.name} would take what it has moved away")
        if self.kind != "folder" and not self.url:
            raise ValueError(f"source {self.name} is {self.kind}: url expected")
        return self


class WorklistSettings(_Group):
    """A modality worklist that accession numbers are looked up in."""

    host: str = Field(default="", description="Host of the modality worklist; empty is none")
    port: int = Field(default=104, gt=0, le=65535, description="Its port")
    ae_title: AeTitle = Field(default="WORKLIST", description="Its AE title")
    timeout_s: float = Field(default=10.0, gt=0, description="It is given up for a film after so long")


class FhirSettings(_Group):
    """What results as FHIR need to know of the hospital."""

    patient_system: str = Field(
        default="", description="URI of the namespace of patient IDs in FHIR, e.g. urn:oid:1.2.3; empty is none"
    )


class AuditSettings(_Group):
    """Where audit events go."""

    dir: Path | None = Field(default=None, description="Folder of the audit trail; empty is audit/ in the spool")
    syslog: str = Field(default="", description="tls://host:6514, tcp://host:514 or udp://host:514; empty is none")
    syslog_ca: Path | None = Field(default=None, description="PEM authorities of the syslog server")
    syslog_certificate: Path | None = Field(default=None, description="PEM certificate we show the syslog server")
    syslog_key: Path | None = Field(default=None, description="PEM key of that certificate")
    format: Literal["dicom", "fhir"] = Field(
        default="dicom", description="Of syslog messages: DICOM audit message or FHIR AuditEvent"
    )
    fhir_url: str = Field(default="", description="FHIR server that audit events are sent to as well; empty is none")
    fhir_token: SecretStr = Field(default=SecretStr(""), description="Bearer token for it")
    site: str = Field(default="", max_length=64, description="Name of the hospital's site in audit messages")
    keep_days: float = Field(default=730.0, gt=0, description="Days audit files are kept after they were forwarded")
