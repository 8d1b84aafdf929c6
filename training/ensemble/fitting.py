"""From released members to ``ensemble.json`` with its report and card."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from app.inference.artifact import Artifact, file_sha256, find_artifacts, newest, verify_files
from app.inference.catalogue import CATALOGUE_FILE, read_catalogue_file
from app.inference.ensemble_file import ENSEMBLE_FILE, ENSEMBLE_NAME, FittedEnsemble, read_ensemble_file
from app.inference.manifest import REPORT_FILE
from training.audit.report import Part
from training.ensemble.answers import EnsembleError, Members
from training.ensemble.card import ensemble_card
from training.ensemble.fit import as_labels, fit_labels, fitted_ensemble, reported
from training.ensemble.report import ENSEMBLE, EnsembleReport, measure_ensemble
from training.label_metrics import AUROC
from training.lung_finder import LungFinder
from training.release import require_films, require_release
from training.released_manifest import code_commit, read_data

CARD: Final = "ENSEMBLE.md"
FOLDER: Final = ENSEMBLE_NAME
"""Beside the models; no model, as it holds no versions."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What an ensemble is fitted from, and measured on.

    Attributes
    ----------
    models
        The models directory; the newest version of every member is taken.
    members
        Their names, in the order in which answers name them.
    manifests
        CSV files of films; validation films fit.
    part
        The films that the report is of.
    lungs
        Artefact of the lung network, where a member is fed with the lungs' part of a film.
    """

    models: Path
    members: tuple[str, ...]
    manifests: tuple[Path, ...]
    part: Part = "val"
    lungs: Path | None = None


def fit_ensemble(asked: Asked, out: Path, *, is_release: bool = False) -> EnsembleReport:
    """Fit the mean of released members on validation, measure it, and write everything.

    Parameters
    ----------
    asked
        Members and films.
    out
        Where ``ensemble.json`` and the folder with report and card go: a models directory, to serve it.
    is_release
        Must be True to read ``test``; the reading is recorded.

    Returns
    -------
    EnsembleReport
        As written.

    Raises
    ------
    EnsembleError
        If a member is not released, stands twice, or the members do not fit each other.
    ReleaseError
        If the part is ``test`` without ``is_release``, or a part has no film.
    ArtifactError
        If a member is broken.
    """
    require_release(asked.part, is_release)
    data = read_data(asked.manifests)
    val, films = require_films(data, "val"), require_films(data, asked.part)
    members = Members(_artifacts(asked))
    manifests = {name: network.manifest for name, network in members.networks.items()}
    first = next(iter(manifests.values()))
    lungs = LungFinder(asked.lungs) if asked.lungs is not None else None
    on_val = members.ask(val, lungs)
    fitted = fit_labels(val, on_val, first)
    labels = as_labels(fitted, first)
    answers = on_val if asked.part == "val" else members.ask(films, lungs)
    answerers, ahead, calibration = measure_ensemble(films, answers, reported(answers, labels), labels, manifests)
    asked_for = (on_val,) if asked.part == "val" else (on_val, answers)
    law = np.concatenate([found.law_errors[found.answered] for found in asked_for])
    time_ms = members.run_time_ms()
    report = EnsembleReport(
        members={name: manifest.version for name, manifest in manifests.items()},
        model_sha256={name: manifest.model_sha256 for name, manifest in manifests.items()},
        part=asked.part,
        fitted_here=asked.part == "val",
        created=datetime.now(UTC).replace(microsecond=0),
        films=len(films),
        refused=int((~answers.answered).sum()),
        labels=tuple(name for name, label in labels.items() if label.evaluated),
        answerers=answerers,
        ahead=ahead,
        calibration=calibration,
        law_error=float(law.max()),
        law_films=law.size,
        run_time_ms={**time_ms, ENSEMBLE: sum(time_ms.values())},
        parity={name: _parity(manifest.evaluation) for name, manifest in manifests.items()},
        manifests_sha256=data.sha256,
        code_commit=code_commit(),
    )
    reads = _test_reads(out, report)
    files = _write_report(report, out)
    evaluation = {"part": asked.part, "test_reads": reads, **_summary(report)}
    _write(fitted_ensemble(fitted, manifests, data.sha256, evaluation, files), out)
    return report


def _artifacts(asked: Asked) -> dict[str, Artifact]:
    if len(set(asked.members)) != len(asked.members):
        raise EnsembleError("a member stands twice")
    there = newest(find_artifacts(asked.models))
    missing = [name for name in asked.members if name not in there]
    if missing or not asked.members:
        raise EnsembleError(f"no model {', '.join(missing) or 'is named'}; {asked.models} holds {', '.join(there)}")
    chosen = {name: there[name] for name in asked.members}
    for artifact in chosen.values():
        verify_files(artifact)
    return chosen


def _parity(evaluation: dict[str, Any]) -> dict[str, float]:  # Any: a record for readers
    return {name: float(value) for name, value in evaluation.get("parity", {}).items()}


def _summary(report: EnsembleReport) -> dict[str, Any]:  # Any: a record for readers
    """Shorten the report to what the file carries."""
    pooled = report.answerers["pooled"]
    return {
        "films": report.films,
        "macro_auroc": {name: found.at_points.macro[AUROC].model_dump() for name, found in pooled.items()},
        "ahead": {name: found.model_dump() for name, found in report.ahead.items()},
        "calibration_error": {name: row.model_dump() for name, row in report.calibration.items()},
        "law_error": report.law_error,
        "run_time_ms": report.run_time_ms,
    }


def _test_reads(out: Path, report: EnsembleReport) -> list[dict[str, Any]]:  # Any: a record for readers
    """How often the test part was read for an ensemble of this place, this reading among them."""
    reads: list[dict[str, Any]] = []
    if (out / ENSEMBLE_FILE).is_file():
        before = json.loads((out / ENSEMBLE_FILE).read_text(encoding="utf-8"))
        reads = list(before.get("evaluation", {}).get("test_reads", []))
    if report.part == "test":
        reads.append(
            {
                "at": report.created.isoformat(timespec="seconds"),
                "members": report.model_sha256,
                "code_commit": report.code_commit,
            }
        )
    return reads


def _write_report(report: EnsembleReport, out: Path) -> dict[str, str]:
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REPORT_FILE).write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (folder / CARD).write_text(ensemble_card(report), encoding="utf-8")
    return {f"{FOLDER}/{name}": file_sha256(folder / name) for name in (REPORT_FILE, CARD)}


def _write(fitted: FittedEnsemble, out: Path) -> None:
    """Write ``ensemble.json`` at once or not at all, and read it back."""
    unfinished = out / f"{ENSEMBLE_FILE}.part"
    unfinished.write_text(fitted.model_dump_json(indent=1, by_alias=True) + "\n", encoding="utf-8")
    unfinished.replace(out / ENSEMBLE_FILE)
    read_ensemble_file(out)


def served_members(models: Path) -> Sequence[str]:
    """Name the members that the catalogue of a models directory has; none where it has no catalogue."""
    return read_catalogue_file(models).ensemble.members if (models / CATALOGUE_FILE).is_file() else ()
