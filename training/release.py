"""One released model version: export, calibrate on validation, audit, write the card, hash everything."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from app.domain.label_hierarchy import ENSEMBLE_LABELS
from app.inference.artifact import Artifact, file_sha256, read_artifact, verify_files
from app.inference.manifest import CARD_FILE, GOLDEN_FILE, MANIFEST_FILE, MODEL_FILE, REPORT_FILE, Manifest
from training.audit.full_audit import Audit, Audited, Circumstances, calibrate_labels
from training.audit.gate_audit import audit_gate
from training.audit.plots import draw_plots
from training.audit.report import Part, Report, summary
from training.audit.scan import VARIANTS, Scan, scan
from training.audit.subject import Subject, subject_of_artifact, subject_of_run
from training.card import model_card
from training.datasets import Film
from training.export import TrainedRun
from training.lung_finder import LungFinder
from training.release_source import ReleaseSource, source_of
from training.released_manifest import Data, build_manifest, code_commit, read_data

GIT_LIMIT_BYTES: Final = 60_000_000
REJECTED: Final = Path("out/rejected")
_NO_VERSION: Final = "0.0.0"


class ReleaseError(ValueError):
    """Something that must not be done with a release: reading the test part without saying so, or without data."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a network is to be audited with; without a part it is not audited.

    Attributes
    ----------
    manifests
        CSV files of films.
    part
        The part that the numbers are of; None exports without an audit.
    lungs, partner, twin, threads, is_quick
        See `training.audit.full_audit.Circumstances`.
    non_films
        Folder of pictures that are no films, for the gate of a lung network.
    """

    manifests: tuple[Path, ...] = ()
    part: Part | None = None
    lungs: Path | None = None
    partner: Path | None = None
    twin: Path | None = None
    threads: int = 0
    is_quick: bool = False
    non_films: Path | None = None

    def circumstances(self, data: Data, part: Part) -> Circumstances:
        """Give the audit's view of it."""
        return Circumstances(data, part, self.lungs, self.partner, self.twin, self.threads, self.is_quick)


def recorded_test_reads(*directories: Path) -> list[dict[str, Any]]:  # Any: a record for readers
    """How often, and when, the test part was read for a version so far, wherever it was put."""
    reads: list[dict[str, Any]] = []
    for directory in directories:
        try:
            recorded = json.loads((directory / MANIFEST_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        reads += [read for read in recorded.get("evaluation", {}).get("test_reads", []) if read not in reads]
    return reads


def require_release(part: Part, is_release: bool) -> None:
    """Refuse the test part unless the caller says that this is the release.

    Raises
    ------
    ReleaseError
        The test part is read once per release.
    """
    if part == "test" and not is_release:
        raise ReleaseError("part test is read once per release: give --release if this is one, else --part val")


def require_films(data: Data, part: Part) -> list[Film]:
    """Give the films of a part; `ReleaseError` if there is none."""
    films = data.part(part)
    if not films:
        raise ReleaseError(f"the manifests hold no film of part {part}")
    return films


@dataclass(frozen=True, slots=True)
class _Built:
    """An exported, calibrated network in a directory; ``found`` is its scan of validation."""

    subject: Subject
    manifest: Manifest
    found: Scan | None


def _build(  # noqa: PLR0917  # what is exported, where to, by which name, and with what
    source: ReleaseSource,
    name: str,
    version: str,
    directory: Path,
    asked: Asked,
    data: Data | None,
    lungs: LungFinder | None,
    *,
    is_gated: bool,
) -> _Built:
    """Export a run, calibrate it on validation, and put its manifest together.

    ``is_gated`` compares the stored weights with full precision on validation, as a release must.
    """
    run, val = source.run, data.part("val") if data is not None else []
    export = source.export(directory, _with_known_label(val, run) if is_gated else [], lungs)
    subject = subject_of_run(run, name, directory / MODEL_FILE, asked.threads)
    found = scan(subject, val, lungs, VARIANTS if asked.part == "val" else ("untouched",)) if val else None
    calibrations = calibrate_labels(subject, found, val)
    files = {file: file_sha256(directory / file) for file in (MODEL_FILE, GOLDEN_FILE)}
    manifest = build_manifest(run, name, version, export, calibrations, data=data, files={**files, CARD_FILE: "0" * 64})
    return _Built(subject, source.completed(manifest, data, asked.part, lungs), found)


def release(
    run_directory: Path,
    name: str,
    version: str,
    models_dir: Path,
    asked: Asked = Asked(),
    *,
    is_release: bool = False,
    accept_failed: bool = False,
    rejected_dir: Path = REJECTED,
) -> Artifact:
    """Make ``models/<name>/<version>`` from a run.

    An unfinished attempt leaves nothing behind; a version that is there already is replaced. A version whose verdict
    fails is put into ``rejected_dir`` instead, unless it is accepted all the same, which its report then says.

    Parameters
    ----------
    run_directory
        A finished run.
    name, version
        Of the artefact.
    models_dir
        The models directory.
    asked
        Data and partners of the audit. Without manifests the network is exported without calibration, operating points
        or audit.
    is_release
        Must be True to read ``test``; the reading is recorded in the manifest.
    accept_failed
        Keep a version whose verdict fails.
    rejected_dir
        Where a version goes that is not kept.

    Returns
    -------
    Artifact
        As read back and verified.

    Raises
    ------
    ExportError
        If parity or identity fails.
    ReleaseError
        If a part is asked for without data, or is ``test`` without ``is_release``; or if the verdict fails.
    """
    if asked.part is not None:
        require_release(asked.part, is_release)
        if not asked.manifests:
            raise ReleaseError("an evaluation needs --manifest")
    source = source_of(run_directory)
    data = read_data(asked.manifests) if asked.manifests else None
    if asked.part is not None and data is not None:
        require_films(data, asked.part)
    final, rejected = models_dir / name / version, rejected_dir / name / version
    reads = recorded_test_reads(final, rejected)
    lungs = LungFinder(asked.lungs) if asked.lungs is not None else None
    unfinished = models_dir / name / f".{version}.part"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        built = _build(source, name, version, unfinished, asked, data, lungs, is_gated=True)
        audited = None
        if asked.part is not None and data is not None:
            found = built.found if asked.part == "val" else None
            circumstances = asked.circumstances(data, asked.part)
            audit = Audit(built.subject, built.manifest, unfinished, circumstances, lungs=lungs, found=found)
            audited = _accepted(audit.run(), accept_failed)
            if asked.part == "test":
                reads = [*reads, read_record(built.manifest)]
        _finish(built.manifest, unfinished, audited, reads, source.section(built.manifest))
        verdict = audited.report.verdict if audited is not None else None
        passed = verdict is None or verdict.passed or verdict.accepted
        target = final if passed else rejected
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        shutil.move(unfinished, target)
        if passed:
            shutil.rmtree(rejected, ignore_errors=True)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    artifact = read_artifact(target.resolve())
    verify_files(artifact)
    if not passed and verdict is not None:
        failed = ", ".join(verdict.failed)
        raise ReleaseError(f"the verdict fails ({failed}); see {target}. --accept-failed keeps it all the same")
    return artifact


def _accepted(audited: Audited, accept_failed: bool) -> Audited:
    """Note in the report that a failed verdict is accepted."""
    report = audited.report
    if report.verdict.passed or not accept_failed:
        return audited
    verdict = report.verdict.model_copy(update={"accepted": True})
    return replace(audited, report=report.model_copy(update={"verdict": verdict}))


def _finish(
    manifest: Manifest, directory: Path, audited: Audited | None, reads: list[dict[str, Any]], section: str
) -> None:
    """Write report, plots, card and manifest beside the network."""
    measured = {**manifest.evaluation, "test_reads": reads}
    names: list[str] = []
    if audited is not None:
        measured |= summary(audited.report)
        names = write_report(audited, directory)
    manifest = manifest.model_copy(update={"evaluation": measured})
    card = model_card(manifest, audited.report if audited is not None else None, names)
    (directory / CARD_FILE).write_text(f"{card}\n{section}" if section else card, encoding="utf-8")
    written = (MODEL_FILE, GOLDEN_FILE, CARD_FILE, *((REPORT_FILE, *names) if audited is not None else ()))
    files = {file: file_sha256(directory / file) for file in written}
    write_manifest(manifest.model_copy(update={"files": files}), directory)


def write_report(audited: Audited, directory: Path) -> list[str]:
    """Write ``report.json`` and the plots; give the plots' names."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / REPORT_FILE).write_text(audited.report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    plots = draw_plots(audited)
    for name, content in plots.items():
        (directory / name).write_bytes(content)
    return list(plots)


def _with_known_label(films: Sequence[Film], run: TrainedRun) -> list[Film]:
    """Films of which at least one scored label is known."""
    columns = [ENSEMBLE_LABELS.index(label) for label in run.labels]
    return [film for film in films if not np.isnan([film.targets[column] for column in columns]).all()]


def read_record(manifest: Manifest) -> dict[str, str]:
    """Record one reading of the test part."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "model_sha256": manifest.model_sha256,
        "code_commit": code_commit(),
    }


def write_manifest(manifest: Manifest, directory: Path) -> None:
    """Write ``manifest.json`` at once or not at all, after checking it against its own rules."""
    text = Manifest.model_validate(manifest.model_dump(by_alias=True)).model_dump_json(indent=1, by_alias=True)
    unfinished = directory / f"{MANIFEST_FILE}.part"
    unfinished.write_text(text + "\n", encoding="utf-8")
    unfinished.replace(directory / MANIFEST_FILE)


def evaluate_network(directory: Path, asked: Asked, out: Path, *, is_release: bool = False) -> Report:
    """Audit a released version again, or a run; write report, plots and card into a directory.

    Of a released lung network only the input gate is audited, and only the report written.

    Reading ``test`` is recorded in the artefact's manifest; nothing else of the artefact changes.

    Parameters
    ----------
    directory
        ``models/<name>/<version>``, or the directory of a finished run: it is exported and calibrated on the way.
    asked
        Manifests and a part are needed.
    out
        Where to write.
    is_release
        Must be True to read ``test``.

    Returns
    -------
    Report
        As written.

    Raises
    ------
    ReleaseError
        If the part is ``test`` without ``is_release``, or of a run: only a release of it may read that.
    ArtifactError
        If the artefact is broken.
    """
    part = asked.part
    if part is None or not asked.manifests:
        raise ReleaseError("an evaluation needs --manifest and --part")
    require_release(part, is_release)
    data = read_data(asked.manifests)
    require_films(data, part)
    circumstances = asked.circumstances(data, part)
    out.mkdir(parents=True, exist_ok=True)
    lungs = circumstances.finder()
    if (directory / MANIFEST_FILE).is_file():
        artifact = read_artifact(directory.resolve())
        verify_files(artifact)
        manifest = artifact.manifest
        if part == "test":
            reads = [*recorded_test_reads(artifact.directory), read_record(manifest)]
            manifest = manifest.model_copy(update={"evaluation": {**manifest.evaluation, "test_reads": reads}})
            write_manifest(manifest, artifact.directory)
        if manifest.kind == "lungs":
            report = audit_gate(artifact, circumstances, asked.non_films)
            (out / REPORT_FILE).write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
            return report
        subject = subject_of_artifact(artifact, asked.threads)
        audited = Audit(subject, manifest, artifact.directory, circumstances, lungs=lungs).run()
    else:
        if part == "test":
            raise ReleaseError("part test is read by the release of a run, not by its evaluation")
        source, name = source_of(directory), directory.resolve().name.lower().replace(".", "-")
        with TemporaryDirectory() as temporary:
            built = _build(source, name, _NO_VERSION, Path(temporary), asked, data, lungs, is_gated=False)
            manifest = built.manifest
            audit = Audit(built.subject, manifest, Path(temporary), circumstances, lungs=lungs, found=built.found)
            audited = audit.run()
    plots = write_report(audited, out)
    manifest = manifest.model_copy(update={"evaluation": {**manifest.evaluation, **summary(audited.report)}})
    (out / CARD_FILE).write_text(model_card(manifest, audited.report, plots), encoding="utf-8")
    return audited.report
