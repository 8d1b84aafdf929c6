"""Released models on disk: ``models/<name>/<version>/``, read and verified before anything is loaded from them."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from app.domain.errors import ArtifactError
from app.inference.manifest import MANIFEST_FILE, MODEL_FILE, REPORT_FILE, Manifest

_CHUNK_BYTES = 1 << 20


class ReleaseVerdict(BaseModel):
    """What the release gate said of a model: whether it passed, and the names of what it failed."""

    model_config = ConfigDict(frozen=True, strict=True)

    passed: bool
    failed: tuple[str, ...]


class _Report(BaseModel):
    """The part of ``report.json`` that says of which weights it speaks; the rest is for readers."""

    model_config = ConfigDict(frozen=True)

    model_sha256: str
    verdict: ReleaseVerdict


@dataclass(frozen=True, slots=True)
class Artifact:
    """A directory of one released model version and its manifest."""

    directory: Path
    manifest: Manifest

    @property
    def model_path(self) -> Path:
        """The ONNX file."""
        return self.directory / MODEL_FILE

    def path(self, name: str) -> Path:
        """Path of a file the manifest lists; `ArtifactError` if it does not list it."""
        if name not in self.manifest.files:
            raise ArtifactError(f"{self.manifest.name} {self.manifest.version} has no file {name!r}")
        return self.directory / name


def file_sha256(path: Path) -> str:
    """Hash a file in hex, reading it in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def read_artifact(directory: Path) -> Artifact:
    """Read a manifest and check that it belongs where it stands; hashes are checked by `verify_files`.

    Raises
    ------
    ArtifactError
        If the manifest is absent, unreadable, or of another name or version than its directories.
    """
    path = directory / MANIFEST_FILE
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ArtifactError(f"{directory.parent.name}/{directory.name} has no {MANIFEST_FILE}") from error
    except OSError as error:
        raise ArtifactError(
            f"{directory.parent.name}/{directory.name}/{MANIFEST_FILE} cannot be read: {error.strerror}"
        ) from error
    except ValidationError as error:
        raise ArtifactError(
            f"{directory.parent.name}/{directory.name}/{MANIFEST_FILE}: {_first(error, 'manifest')}"
        ) from error
    if (directory.parent.name, directory.name) != (manifest.name, manifest.version):
        raise ArtifactError(f"{manifest.name} {manifest.version} stands in {directory.parent.name}/{directory.name}")
    return Artifact(directory, manifest)


def _first(error: ValidationError, whole: str = "report") -> str:
    """Say where the first fault is, and which."""
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc']) or whole}: {first['msg']}"


def verify_files(artifact: Artifact) -> None:
    """Compare every listed file with its hash.

    Raises
    ------
    ArtifactError
        Naming the first file that is absent or differs.
    """
    for name, expected in artifact.manifest.files.items():
        path = artifact.directory / name
        if not path.is_file():
            raise ArtifactError(f"{artifact.manifest.name} {artifact.manifest.version}: {name} is missing")
        found = file_sha256(path)
        if found != expected:
            raise ArtifactError(
                f"{artifact.manifest.name} {artifact.manifest.version}: {name} has hash {found[:12]}…,"
                f" the manifest says {expected[:12]}…"
            )


def verify_report(artifact: Artifact) -> ReleaseVerdict:
    """Check that the release gate's report belongs to these very weights.

    Returns
    -------
    ReleaseVerdict
        Of the gate; a model that failed is reported, not refused.

    Raises
    ------
    ArtifactError
        If the manifest lists no report, it cannot be read, holds no verdict, or speaks of other weights.
    """
    manifest = artifact.manifest
    where = f"{manifest.name} {manifest.version}"
    if REPORT_FILE not in manifest.files:
        raise ArtifactError(f"{where}: there is no {REPORT_FILE}; the release gate was never run")
    try:
        report = _Report.model_validate_json(artifact.path(REPORT_FILE).read_bytes())
    except OSError as error:
        raise ArtifactError(f"{where}: {REPORT_FILE} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise ArtifactError(f"{where}: {REPORT_FILE}: {_first(error)}") from error
    if report.model_sha256 != manifest.model_sha256:
        raise ArtifactError(
            f"{where}: {REPORT_FILE} is of weights {report.model_sha256[:12]}…, not of {manifest.model_sha256[:12]}…"
        )
    return report.verdict


def find_artifacts(models_dir: Path) -> list[Artifact]:
    """Read every manifest below a models directory, ordered by name and version (oldest first).

    Raises
    ------
    ArtifactError
        If the directory is absent or one of the manifests is broken.
    """
    if not models_dir.is_dir():
        raise ArtifactError(f"there is no models directory {models_dir}")
    found = [read_artifact(path.parent) for path in models_dir.glob(f"*/*/{MANIFEST_FILE}")]
    return sorted(found, key=lambda a: (a.manifest.name, version_key(a.manifest.version)))


def newest(artifacts: Iterable[Artifact]) -> dict[str, Artifact]:
    """Keep the newest version of every name."""
    return {
        artifact.manifest.name: artifact
        for artifact in sorted(artifacts, key=lambda a: version_key(a.manifest.version))
    }


def version_key(version: str) -> tuple[int, ...]:
    """Order ``1.10.0`` after ``1.9.0``."""
    return tuple(int(part) for part in version.split("."))
