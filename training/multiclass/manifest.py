"""The manifest of a released network of several classes."""

from collections import Counter
from pathlib import Path
from typing import Any

from app.inference.artifact import file_sha256
from app.inference.manifest import (
    CARD_FILE,
    GOLDEN_FILE,
    MODEL_FILE,
    CalibrationEntry,
    ExplanationEntry,
    InputEntry,
    LabelEntry,
    Manifest,
    MeasuredOnEntry,
)
from training.calibrate import FEWEST_OF_A_CLASS
from training.multiclass.export import ClassesExport
from training.multiclass.finished import FinishedRun
from training.multiclass.names import title_of
from training.multiclass.report import ClassesReleaseReport
from training.multiclass.run import RunData
from training.networks import anatomy_of
from training.onnx_graph import OPSET


def classes_manifest(
    run: FinishedRun, report: ClassesReleaseReport, export: ClassesExport, data: RunData, directory: Path
) -> Manifest:
    """Put the manifest together; the files' hashes are those of what is written so far."""
    specification, no_cam = run.recipe.specification, anatomy_of(run.network).no_cam
    used = (*data.parts.train, *data.parts.validation)
    licences = Counter(film.licence or "not stated" for film in used)
    return Manifest(
        schema="discern-manifest/1",
        name=report.model,
        version=report.version,
        kind="multiclass",
        title=f"{' / '.join(map(title_of, run.classes))} ({run.recipe.architecture})",
        architecture=run.recipe.architecture,
        labels=tuple(LabelEntry(name=name) for name in run.classes),
        input=InputEntry.of(specification),
        opset=OPSET,
        outputs=export.outputs,
        explanation=ExplanationEntry(kind="none", reason="no_global_average_pooling", detail=no_cam)
        if no_cam
        else ExplanationEntry(kind="cam"),
        operating_points={},
        calibration={
            name: CalibrationEntry(method="temperature", slope=report.evaluation.slope) for name in run.classes
        },
        measured_on=_measured_on(data),
        precision=export.precision,
        training=_training_record(run, data),
        evaluation={"parity": report.parity},
        licences=tuple(licence for licence, _ in licences.most_common()),
        code_commit=report.code_commit,
        created=report.created,
        files={file: file_sha256(directory / file) for file in (MODEL_FILE, GOLDEN_FILE)} | {CARD_FILE: "0" * 64},
    )


def _measured_on(data: RunData) -> MeasuredOnEntry | None:
    """Name the age groups of which fifteen held-out films of every class are there."""
    names = {"adult": False, "paediatric": True}
    held = {
        name: min(
            sum(film.label == k and film.paediatric is paediatric for film in data.parts.held_out)
            for k in range(len(data.films.classes))
        )
        for name, paediatric in names.items()
    }
    found = [name for name, fewest in held.items() if fewest >= FEWEST_OF_A_CLASS]
    return MeasuredOnEntry.model_validate({"age_groups": found}) if found else None


def _training_record(run: FinishedRun, data: RunData) -> dict[str, Any]:  # Any: a JSON object
    recipe = dict(run.record["recipe"])
    weights = Path(recipe["initial_weights"])
    if len(weights.parts) > 1:
        recipe["initial_weights"] = "/".join(weights.parts[-2:])  # no path of the machine it was made on
    sources = Counter((film.source, data.films.classes[film.label]) for film in data.parts.train)
    return {
        "recipe": recipe,
        "stage": run.stage,
        "epoch": run.epoch,
        "stages": run.record["stages"],
        "class_weights": run.record["class_weights"],
        "lists_sha256": run.record["lists_sha256"],
        "films": run.record["films"],
        "train_by_source": {f"{source}, {name}": count for (source, name), count in sorted(sources.items())},
        "versions": run.record["versions"],
    }
