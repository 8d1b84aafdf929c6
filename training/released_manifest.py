"""The manifest of a release: what the network is, what it was made of, and what was measured when it was exported."""

import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from app.domain.label_hierarchy import DISPLAY_NAMES, ENSEMBLE_LABELS, PARENT_OF
from app.inference.artifact import file_sha256
from app.inference.manifest import InputEntry, LabelEntry, Manifest, MeasuredOnEntry, RatesEntry
from training.calibrate import FEWEST_OF_A_CLASS, LabelCalibration, chosen_on
from training.datasets import Film, manifest_sha256, read_manifest
from training.export import Export, TrainedRun
from training.networks import grid_rectangle
from training.onnx_graph import OPSET
from training.splits import check_groups


@dataclass(frozen=True, slots=True)
class Data:
    """Films of the given manifests, with the hash of each manifest and the folders they lie in."""

    films: tuple[Film, ...]
    sha256: dict[str, str]
    folders: tuple[Path, ...] = ()

    def part(self, part: str) -> list[Film]:
        """Films of one part."""
        return [film for film in self.films if film.part == part]


def read_data(manifests: Sequence[Path]) -> Data:
    """Read manifests; fail if a patient group stands in two parts."""
    films = [film for manifest in manifests for film in read_manifest(manifest)]
    check_groups(films)
    hashes = {_manifest_key(manifest): manifest_sha256(manifest) for manifest in manifests}
    return Data(tuple(films), hashes, tuple(dict.fromkeys(manifest.parent for manifest in manifests)))


def _manifest_key(manifest: Path) -> str:
    """Name a manifest by its folder and file: several are called manifest.csv."""
    return f"{manifest.resolve().parent.name}/{manifest.name}"


def code_commit() -> str:
    """Commit of the code that runs, ``-dirty`` where the tree has changes; ``unknown`` outside a repository."""
    root = Path(__file__).resolve().parent.parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]  # fixed words, nothing from outside
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)  # noqa: S603
        return done.stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        return f"{commit}-dirty" if git("status", "--porcelain", "--", "training", "app") else commit
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def training_record(run: TrainedRun, data: Data | None) -> dict[str, Any]:  # Any: a JSON object
    """Make the manifest's training entry: recipe, seed, versions, curves, data hashes, films by part and source."""
    recipe = run.recipe.model_dump(mode="json")
    weights = Path(run.recipe.initial_weights)
    if weights.is_file() or len(weights.parts) > 1:
        recipe["initial_weights"] = "/".join(weights.parts[-2:])
    record: dict[str, Any] = {
        "recipe": recipe,
        "seed": run.recipe.seed,
        "versions": run.record.get("versions", {}),
        "manifests_sha256": run.record.get("manifests_sha256", {}),
        "films": run.record.get("films", {}),
        "best_epoch": run.epoch,
        "best_validation": run.record.get("best_validation"),
        "curves": run.record.get("curves", []),
    }
    if weights.is_file():
        record["initial_weights_sha256"] = file_sha256(weights)
    if data is not None:
        kept = [film for film in data.films if film.source not in run.recipe.exclude_sources]
        record["release_manifests_sha256"] = data.sha256
        record["sources"] = {
            part: _source_counts([film for film in kept if film.part == part], run.labels) for part in ("train", "val")
        }
        record["licences_by_source"] = _licences_by_source(kept)
    return record


def _source_counts(films: Sequence[Film], labels: Sequence[str]) -> dict[str, dict[str, int]]:
    """Films, patients and positives of each label, by source."""
    counts: dict[str, dict[str, int]] = {}
    for source in sorted({film.source for film in films}):
        mine = [film for film in films if film.source == source]
        counts[source] = {"films": len(mine), "groups": len({film.group for film in mine})}
        for label in labels:
            column = ENSEMBLE_LABELS.index(label)
            counts[source][label] = sum(film.targets[column] == 1 for film in mine)
    return counts


def _licences_by_source(films: Sequence[Film]) -> dict[str, dict[str, int]]:
    """Films by source and stated licence."""
    counts = Counter((film.source, film.licence or "not stated") for film in films if film.part != "test")
    by_source: dict[str, dict[str, int]] = {}
    for (source, licence), count in sorted(counts.items(), key=lambda item: (item[0][0], -item[1])):
        by_source.setdefault(source, {})[licence] = count
    return by_source


def measured_on(calibrations: Mapping[str, LabelCalibration]) -> MeasuredOnEntry | None:
    """Name the age groups of which validation holds enough films of each class of a label; None if there is none."""
    points = [entry.points[0] for entry in calibrations.values()]
    measured: list[Literal["adult", "paediatric"]] = []
    groups: tuple[tuple[Literal["adult", "paediatric"], list[RatesEntry | None]], ...] = (
        ("adult", [point.adults for point in points]),
        ("paediatric", [point.children for point in points]),
    )
    for name, rates in groups:
        if any(entry is not None and min(entry.positives, entry.negatives) >= FEWEST_OF_A_CLASS for entry in rates):
            measured.append(name)
    return MeasuredOnEntry(age_groups=tuple(measured)) if measured else None


def build_manifest(
    run: TrainedRun,
    name: str,
    version: str,
    export: Export,
    calibrations: dict[str, LabelCalibration],
    *,
    data: Data | None,
    files: dict[str, str],
) -> Manifest:
    """Put the manifest together, without evaluation."""
    specification, target = run.specification, run.recipe.target
    channels, height, width = export.feature_shape
    if target is not None:
        entry = calibrations[target]
        labels = tuple(
            LabelEntry(name=label, evaluated=entry.evaluated, reason=entry.reason)
            for label in (f"not_{target}", target)
        )
    else:
        labels = tuple(
            LabelEntry(
                name=label,
                parent=PARENT_OF[label],
                evaluated=calibrations[label].evaluated,
                reason=calibrations[label].reason,
            )
            for label in ENSEMBLE_LABELS
        )
    return Manifest(
        schema="discern-manifest/1",
        name=name,
        version=version,
        kind=run.recipe.kind,
        title=(
            f"{DISPLAY_NAMES[target]} expert ({run.recipe.architecture})"
            if target is not None
            else f"Multi-label member ({run.recipe.architecture})"
        ),
        architecture=run.recipe.architecture,
        target=target,
        labels=labels,
        input=InputEntry.of(specification),
        opset=OPSET,
        outputs={
            "logits": ("N", len(labels)),
            "features": ("N", channels, height, width),
            "cam": ("N", len(labels), height, width),
        },
        grid_px=grid_rectangle(run.network, specification.size_px),
        operating_points={label: entry.points for label, entry in calibrations.items()},
        calibration={label: entry.calibration for label, entry in calibrations.items()},
        measured_on=measured_on(calibrations),
        precision=export.precision,
        training=training_record(run, data),
        evaluation={
            "parity": export.parity,
            "operating_points_on": chosen_on(calibrations),
        },
        licences=_licences(run, data),
        code_commit=code_commit(),
        created=datetime.now(UTC).replace(microsecond=0),
        files=files,
    )


def _licences(run: TrainedRun, data: Data | None) -> tuple[str, ...]:
    """Stated licences of the films of training and validation, the most frequent first."""
    if data is None:
        return ()
    kept = [film for film in data.films if film.source not in run.recipe.exclude_sources and film.part != "test"]
    counts = Counter(film.licence or "not stated" for film in kept)
    return tuple(licence for licence, _ in counts.most_common())
