"""One released version of a network of several classes: export, calibration, evaluation, verdict, card."""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.domain.multiclass import class_probabilities
from app.inference.artifact import Artifact, file_sha256, read_artifact, verify_files
from app.inference.manifest import (
    CARD_FILE,
    GOLDEN_FILE,
    MODEL_FILE,
    REPORT_FILE,
    Manifest,
)
from training.audit.verdict import verdict_of
from training.multiclass.card import classes_card
from training.multiclass.evaluation import evaluated, fitted_slope, thresholds_of
from training.multiclass.export import export_classes, exported_logits
from training.multiclass.films import LabelledFilm
from training.multiclass.finished import FinishedRun, load_multiclass_run, network_inputs
from training.multiclass.manifest import classes_manifest
from training.multiclass.names import positive_of
from training.multiclass.plots import draw_class_plots
from training.multiclass.report import MISSING, ClassesReleaseReport, criteria_of
from training.multiclass.run import RunData
from training.onnx_session import ExportedNetwork
from training.release import REJECTED, ReleaseError, recorded_test_reads, write_manifest
from training.released_manifest import code_commit


@dataclass(frozen=True, slots=True)
class ClassesAsked:
    """What is to be released, and as what.

    Attributes
    ----------
    run_directory, stage
        A finished run; the stage whose best epoch is taken (None: the one that validation liked best).
    name, version
        Of the artefact.
    positive
        The class that is binarised; None takes COVID-19, or the first.
    accept_failed
        Keep a version whose verdict fails.
    """

    run_directory: Path
    name: str
    version: str
    stage: str | None = None
    positive: str | None = None
    accept_failed: bool = False


def check_same_data(run: FinishedRun, data: RunData) -> None:
    """Refuse other films than those the run was made with: its validation part would be another.

    Raises
    ------
    ReleaseError
        Naming what differs.
    """
    if run.record["lists_sha256"] != data.films.sha256 or run.record["held_out"] != data.held_out:
        raise ReleaseError(
            "the lists, or the held-out part, are not those of the run: it may have trained on these films"
        )


def calibrated(
    logits: NDArray[np.float32], films: tuple[LabelledFilm, ...], column: int
) -> tuple[float, dict[str, float]]:
    """Fit the slope and choose the thresholds on validation films."""
    labels = np.array([film.label for film in films], np.int64)
    slope = fitted_slope(logits, labels)
    return slope, thresholds_of(class_probabilities(logits, slope)[:, column], labels == column)


def release_classes(asked: ClassesAsked, data: RunData, models_dir: Path, rejected_dir: Path = REJECTED) -> Artifact:
    """Make ``models/<name>/<version>`` from a run of several classes.

    An unfinished attempt leaves nothing behind; a version that is there already is replaced. One whose verdict fails is
    put into ``rejected_dir`` instead, unless it is accepted all the same, which its report then says.

    Parameters
    ----------
    asked
        What, as what.
    data
        The run's films; those that are held out are measured.
    models_dir, rejected_dir
        Where it goes.

    Raises
    ------
    ReleaseError
        If the films are not the run's, none is held out, or the verdict fails.
    ExportError
        If the run is not finished, or parity or identity fails.
    """
    run = load_multiclass_run(asked.run_directory, asked.stage)
    check_same_data(run, data)
    if not data.parts.held_out:
        raise ReleaseError("no film is held out: there is nothing to measure on")
    positive = positive_of(run.classes, asked.positive)
    final, rejected = models_dir / asked.name / asked.version, rejected_dir / asked.name / asked.version
    reads = recorded_test_reads(final, rejected)
    unfinished = models_dir / asked.name / f".{asked.version}.part"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        report, manifest = _measured(run, asked, data, positive, unfinished)
        if data.held_out == "test":
            reads = [*reads, {"at": report.created.isoformat(), "model_sha256": report.model_sha256,
                              "code_commit": report.code_commit}]  # fmt: skip
        _finish(run, report, manifest, reads, unfinished)
        passed = report.verdict.passed or report.verdict.accepted
        target = final if passed else rejected
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        shutil.move(unfinished, target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    artifact = read_artifact(target.resolve())
    verify_files(artifact)
    if not passed:
        failed = ", ".join(report.verdict.failed)
        raise ReleaseError(f"the verdict fails ({failed}); see {target}. --accept-failed keeps it all the same")
    return artifact


def _measured(
    run: FinishedRun, asked: ClassesAsked, data: RunData, positive: str, directory: Path
) -> tuple[ClassesReleaseReport, Manifest]:
    """Export, calibrate on validation, measure on what is held out."""
    validation = data.parts.validation
    films = network_inputs(validation, run.recipe)
    export = export_classes(run, directory, films, np.array([film.label for film in validation], np.int64))
    session = ExportedNetwork(directory / MODEL_FILE)
    slope, thresholds = calibrated(exported_logits(session, films), validation, run.classes.index(positive))
    held_out = data.parts.held_out
    logits = exported_logits(session, network_inputs(held_out, run.recipe))
    evaluation = evaluated(
        logits, held_out, run.classes, positive, slope=slope, thresholds=thresholds, train=data.parts.train
    )
    criteria = criteria_of(evaluation, export)
    verdict = verdict_of(criteria)
    report = ClassesReleaseReport(
        model=asked.name,
        version=asked.version,
        model_sha256=file_sha256(directory / MODEL_FILE),
        held_out=data.held_out,
        created=datetime.now(UTC).replace(microsecond=0),
        verdict=verdict.model_copy(update={"accepted": asked.accept_failed and not verdict.passed}),
        parity=export.parity,
        precision=export.precision.gates,
        evaluation=evaluation,
        films=data.counts(),
        lists_sha256=data.films.sha256,
        missing=MISSING,
        code_commit=code_commit(),
    )
    return report, classes_manifest(run, report, export, data, directory)


def _finish(
    run: FinishedRun, report: ClassesReleaseReport, manifest: Manifest, reads: list[dict[str, Any]], directory: Path
) -> None:
    """Write report, plots, card and manifest beside the network."""
    (directory / REPORT_FILE).write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    plots = draw_class_plots(report.evaluation)
    for name, content in plots.items():
        (directory / name).write_bytes(content)
    summary = {
        "part": report.held_out,
        "verdict": {"passed": report.verdict.passed, "failed": list(report.verdict.failed)},
        "macro_f1": report.evaluation.subgroups["pooled"].macro_f1.model_dump(),
        "test_reads": reads,
    }
    manifest = manifest.model_copy(update={"evaluation": {**manifest.evaluation, **summary}})
    card = classes_card(manifest, report, list(plots), run.record)
    (directory / CARD_FILE).write_text(card, encoding="utf-8")
    written = (MODEL_FILE, GOLDEN_FILE, CARD_FILE, REPORT_FILE, *plots)
    write_manifest(
        manifest.model_copy(update={"files": {file: file_sha256(directory / file) for file in written}}), directory
    )
