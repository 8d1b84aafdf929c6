"""What the input gate does with pictures that are no frontal chest films, and with films that are."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from app.domain.errors import ImageRefusedError
from app.domain.input_gate import FACTS, Fact, GateLimits, judge, two_level_share
from app.domain.lung_geometry import lung_geometry
from app.inference.artifact import Artifact, file_sha256
from app.inference.manifest import REPORT_FILE, Manifest
from training.audit.record import Record
from training.bootstrap import Sample, wilson_interval
from training.datasets import Film, read_grey
from training.evaluate import Measured, measured
from training.lung_finder import LungFinder

_PICTURES: Final = (".png", ".jpg", ".jpeg")


class Refusals(Record):
    """Pictures of one kind and what the gate did.

    Attributes
    ----------
    refused
        Share, with a 95 % interval.
    reasons
        Refused pictures by code.
    flags
        Accepted pictures by flag.
    """

    pictures: int
    refused: Measured
    reasons: dict[str, int]
    flags: dict[str, int]


class OutOfDistribution(Record):
    """The gate over pictures that no threshold was chosen on.

    Attributes
    ----------
    non_films
        Lateral films, other body parts, CT, photographs, documents; None without such a folder.
    true_films
        Films of the part; by subgroup.
    missing
        Why something is None.
    """

    non_films: Refusals | None
    true_films: dict[str, Refusals]
    missing: dict[str, str]


class GateReport(Record):
    """Where the gate's own numbers stand: experts are served behind it."""

    lungs_model: str
    lungs_version: str
    lungs_model_sha256: str
    report_sha256: str


@dataclass(frozen=True, slots=True)
class Gate:
    """The input gate of a lungs artefact, as serving applies it."""

    manifest: Manifest
    finder: LungFinder
    limits: GateLimits

    def judge(self, grey: NDArray[np.uint8]) -> tuple[str | None, tuple[str, ...]]:
        """Give the code of the refusal, if any, and the flags of one decoded picture."""
        try:
            lungs, logits = self.finder.look(grey)
        except ImageRefusedError as refusal:
            return refusal.problem_code, ()
        facts = {
            name: Fact(
                self.manifest.calibration_of(name).probability(logits[name]),
                self.manifest.operating_point_of(name).threshold,
            )
            for name in FACTS
        }
        verdict = judge(facts, lung_geometry(lungs), two_level_share(grey), self.limits)
        refused = verdict.refusal.reason.value if verdict.refusal is not None else None
        return refused, tuple(str(flag) for flag in verdict.flags)


def open_gate(artifact: Artifact) -> Gate:
    """Load the gate of a lungs artefact."""
    return Gate(artifact.manifest, LungFinder(artifact.model_path), artifact.manifest.gate_limits())


def gate_report(artifact: Artifact) -> GateReport | None:
    """Point at the report of a lungs artefact; None where it has none."""
    path = artifact.directory / REPORT_FILE
    if not path.is_file():
        return None
    manifest = artifact.manifest
    return GateReport(
        lungs_model=manifest.name,
        lungs_version=manifest.version,
        lungs_model_sha256=manifest.model_sha256,
        report_sha256=file_sha256(path),
    )


def _refusals(said: Sequence[tuple[str | None, tuple[str, ...]]], refused: Measured) -> Refusals:
    return Refusals(
        pictures=len(said),
        refused=refused,
        reasons=dict(Counter(code for code, _ in said if code is not None).most_common()),
        flags=dict(Counter(flag for code, flags in said if code is None for flag in flags).most_common()),
    )


def measure_non_films(gate: Gate, folder: Path) -> Refusals:
    """Show the gate every PNG and JPEG below a folder; the interval is Wilson's over the pictures.

    Raises
    ------
    ValueError
        If there is none.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _PICTURES)
    if not paths:
        raise ValueError(f"{folder} holds no picture")
    said = [gate.judge(read_grey(path)) for path in tqdm(paths, desc="non-films", unit="picture", leave=False)]
    share = sum(code is not None for code, _ in said) / len(said)
    low, high = wilson_interval(share, len(said))
    return _refusals(said, Measured(value=share, low=low, high=high))


def measure_true_films(gate: Gate, films: Sequence[Film]) -> dict[str, Refusals]:
    """Show the gate films; over all, adults, children and each source, with patient-bootstrap intervals."""
    said = [gate.judge(read_grey(film.path)) for film in tqdm(films, desc="true films", unit="film", leave=False)]
    groups = np.array([film.group for film in films])
    refused = np.array([code is not None for code, _ in said])
    cuts = {
        "all": np.ones(len(films), bool),
        "adults": np.array([film.paediatric is False for film in films]),
        "children": np.array([film.paediatric is True for film in films]),
    }
    cuts |= {
        f"source {source}": np.array([film.source == source for film in films])
        for source in sorted({film.source for film in films})
    }
    rows = {}
    for name, where in cuts.items():
        if where.any():
            sample = Sample(np.ones(int(where.sum())), refused[where].astype(np.float64), groups[where])
            share = measured(sample.sensitivity(1.0))
            rows[name] = _refusals([entry for entry, kept in zip(said, where, strict=True) if kept], share)
    return rows


def measure_out_of_distribution(gate: Gate, films: Sequence[Film], non_films: Path | None) -> OutOfDistribution:
    """Measure the gate on films of a part, and on a folder of pictures that are none."""
    return OutOfDistribution(
        non_films=measure_non_films(gate, non_films) if non_films is not None else None,
        true_films=measure_true_films(gate, films),
        missing={} if non_films is not None else {"non_films": "no folder of pictures that are no films was given"},
    )
