"""One released model version: export, calibrate on validation, evaluate, write the card, hash everything."""

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.domain.label_hierarchy import ENSEMBLE_LABELS
from app.inference.artifact import Artifact, file_sha256, read_artifact, verify_files
from app.inference.manifest import (
    CARD_FILE,
    GOLDEN_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    Manifest,
)
from training.calibrate import LabelCalibration, calibrate_label, uncalibrated
from training.card import model_card
from training.datasets import Film
from training.evaluate import Evaluation, Part, evaluate, scored_labels, summary
from training.export import TrainedRun, export_network, load_run
from training.onnx_session import ExportedNetwork, score_films
from training.released_manifest import Data, build_manifest, code_commit, read_data

REPORT_FILE: Final = "report.json"
GIT_LIMIT_BYTES: Final = 60_000_000


class ReleaseError(ValueError):
    """Something that must not be done with a release: reading the test part without saying so, or without data."""


def recorded_test_reads(directory: Path) -> list[dict[str, Any]]:  # Any: a record for readers
    """How often, and when, the test part was read for this version so far."""
    try:
        recorded = json.loads((directory / MANIFEST_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    reads: list[dict[str, Any]] = recorded.get("evaluation", {}).get("test_reads", [])
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


def calibrate_on(run: TrainedRun, model: Path, val: Sequence[Film]) -> dict[str, LabelCalibration]:
    """Calibrate every label on validation, through the exported network."""
    if not val:
        return {label: uncalibrated("no validation films were given") for label in run.labels}
    scores = score_films(ExportedNetwork(model), val, run.specification, run.recipe.kind)
    truths = np.array([film.targets for film in val], np.float64)
    return {
        label: calibrate_label(val, truths[:, ENSEMBLE_LABELS.index(label)], scores[:, column])
        for column, label in enumerate(run.labels)
    }


def release(
    run_directory: Path,
    name: str,
    version: str,
    models_dir: Path,
    manifests: Sequence[Path] = (),
    part: Part | None = None,
    *,
    is_release: bool = False,
) -> Artifact:
    """Make ``models/<name>/<version>`` from a run.

    An unfinished attempt leaves nothing behind; a version that is there already is replaced.

    Parameters
    ----------
    run_directory
        A finished run.
    name, version
        Of the artefact.
    models_dir
        The models directory.
    manifests
        Data manifests. With none the network is exported without calibration, operating points or evaluation.
    part
        What to evaluate on; None skips the evaluation.
    is_release
        Must be True to read ``test``; the reading is recorded in the manifest.

    Returns
    -------
    Artifact
        As read back and verified.

    Raises
    ------
    ExportError
        If parity or identity fails.
    ReleaseError
        If ``part`` is asked for without data, or is ``test`` without ``is_release``.
    """
    if part is not None:
        require_release(part, is_release)
        if not manifests:
            raise ReleaseError("an evaluation needs --manifest")
    run = load_run(run_directory)
    data = read_data(manifests) if manifests else None
    if part is not None and data is not None:
        require_films(data, part)
    final = models_dir / name / version
    reads = recorded_test_reads(final)
    unfinished = models_dir / name / f".{version}.part"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        val = data.part("val") if data is not None else []
        export = export_network(run, unfinished, _with_known_label(val, run))
        calibrations = calibrate_on(run, unfinished / MODEL_FILE, val)
        files = {file: file_sha256(unfinished / file) for file in (MODEL_FILE, GOLDEN_FILE)}
        manifest = build_manifest(
            run, name, version, export, calibrations, data=data, files={**files, CARD_FILE: "0" * 64}
        )
        evaluation = None
        if part is not None and data is not None:
            evaluation = evaluate_model(manifest, unfinished / MODEL_FILE, data, part)
            (unfinished / REPORT_FILE).write_text(evaluation.model_dump_json(indent=1) + "\n", encoding="utf-8")
            files[REPORT_FILE] = file_sha256(unfinished / REPORT_FILE)
            if part == "test":
                reads = [*reads, read_record(manifest)]
        measured = {**manifest.evaluation, "test_reads": reads}
        if evaluation is not None:
            measured |= summary(evaluation)
        manifest = manifest.model_copy(update={"evaluation": measured})
        (unfinished / CARD_FILE).write_text(model_card(manifest, evaluation), encoding="utf-8")
        files[CARD_FILE] = file_sha256(unfinished / CARD_FILE)
        write_manifest(manifest.model_copy(update={"files": files}), unfinished)
        shutil.rmtree(final, ignore_errors=True)
        unfinished.replace(final)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    artifact = read_artifact(final)
    verify_files(artifact)
    return artifact


def _with_known_label(films: Sequence[Film], run: TrainedRun) -> list[Film]:
    """Films of which at least one scored label is known."""
    columns = [ENSEMBLE_LABELS.index(label) for label in run.labels]
    return [film for film in films if not np.isnan([film.targets[column] for column in columns]).all()]


def evaluate_model(manifest: Manifest, model: Path, data: Data, part: Part) -> Evaluation:
    """Score one part through ONNX Runtime and measure it.

    Raises
    ------
    ReleaseError
        If the part holds no film.
    """
    films = require_films(data, part)
    scores: NDArray[np.float64] = score_films(
        ExportedNetwork(model), films, manifest.input.specification(), manifest.kind
    )
    if scores.shape[1] != len(scored_labels(manifest)):
        raise ReleaseError(
            f"the network gives {scores.shape[1]} scores, the manifest names {len(scored_labels(manifest))}"
        )
    return evaluate(manifest, films, scores, part, datetime.now(UTC).replace(microsecond=0), data.sha256)


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


def evaluate_artifact(
    directory: Path, manifests: Sequence[Path], part: Part, is_release: bool, out: Path
) -> Evaluation:
    """Evaluate a released version again and write the result as JSON.

    Reading ``test`` is recorded in the artefact's manifest; nothing else of the artefact changes.

    Raises
    ------
    ReleaseError
        If ``part`` is ``test`` without ``is_release``.
    ArtifactError
        If the artefact is broken.
    """
    require_release(part, is_release)
    artifact = read_artifact(directory.resolve())
    verify_files(artifact)
    data = read_data(manifests)
    if part == "test":
        reads = [*recorded_test_reads(artifact.directory), read_record(artifact.manifest)]
        recorded = {**artifact.manifest.evaluation, "test_reads": reads}
        write_manifest(artifact.manifest.model_copy(update={"evaluation": recorded}), artifact.directory)
    evaluation = evaluate_model(artifact.manifest, artifact.model_path, data, part)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(evaluation.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return evaluation
