"""The whole audit of one network on one part: every section of the report, then the verdict."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.inference.artifact import file_sha256, read_artifact
from app.inference.manifest import GOLDEN_FILE, MANIFEST_FILE, MODEL_FILE, Manifest
from training.audit.calibration_error import CalibrationQuality, measure_label_calibration
from training.audit.criteria import identity_criteria, label_criteria
from training.audit.expert_pair import Expert
from training.audit.faithfulness import measure_faithfulness
from training.audit.identity import measure_identity
from training.audit.localisation import measure_localisation
from training.audit.map_criteria import MapsAudit, maps_criteria
from training.audit.marked_films import read_marked_films
from training.audit.out_of_distribution import GateReport, gate_report
from training.audit.report import Part, Report
from training.audit.robustness import Twin, measure_robustness
from training.audit.sanity import MOST_FILMS, measure_sanity
from training.audit.scan import Scan, scan
from training.audit.shortcut_audit import FEWEST_OF_A_CLASS, Partner, measure_shortcuts, truths_of
from training.audit.subject import Decider, Subject, opened
from training.audit.trivial_cues import CueReader
from training.audit.verdict import verdict_of
from training.calibrate import LabelCalibration, calibrate_label, uncalibrated
from training.datasets import Film
from training.evaluate import evaluate
from training.lung_finder import LungFinder
from training.onnx_graph import rebuild_network
from training.released_manifest import Data, code_commit


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a network is audited with.

    Attributes
    ----------
    data
        Films of every part.
    part
        The part that the numbers are of.
    lungs
        Artefact, or ONNX file, of the lung network.
    partner
        Artefact or run of the expert of the overlapping class.
    twin
        Artefact or run of the same recipe and another seed.
    threads
        Threads to compute with; 0 leaves it to the engine.
    is_quick
        Leave out sanity, faithfulness and localisation, which take most of the time.
    """

    data: Data
    part: Part
    lungs: Path | None = None
    partner: Path | None = None
    twin: Path | None = None
    threads: int = 0
    is_quick: bool = False

    @property
    def films(self) -> list[Film]:
        """Films of the part."""
        return self.data.part(self.part)

    def finder(self) -> LungFinder | None:
        """Load the lung network."""
        return LungFinder(self.lungs) if self.lungs is not None else None


@dataclass(frozen=True, slots=True)
class Audited:
    """A report, and what its plots are drawn from.

    Attributes
    ----------
    films, scan
        Of the part.
    probabilities
        ``(N, K)`` calibrated; NaN where refused.
    subject
        The network.
    partner
        Of an expert.
    """

    report: Report
    films: Sequence[Film]
    scan: Scan
    probabilities: NDArray[np.float64]
    subject: Subject
    partner: Partner | None


def calibrate_labels(subject: Subject, found: Scan | None, val: Sequence[Film]) -> dict[str, LabelCalibration]:
    """Calibrate every label of a network on validation films, from its scores of them."""
    if found is None:
        return {label: uncalibrated("no validation films were given") for label in subject.labels}
    scores = found.scores["untouched"]
    return {
        label: calibrate_label(val, truths_of(val, label), scores[:, column])
        for column, label in enumerate(subject.labels)
    }


def _deciders(subject: Subject, val: Sequence[Film], lungs: LungFinder | None) -> Mapping[str, Decider]:
    """Give what another network decides by: as released, or calibrated on validation here."""
    if subject.deciders:
        return subject.deciders
    calibrations = calibrate_labels(subject, scan(subject, val, lungs, ("untouched",)) if val else None, val)
    return {
        label: Decider(entry.calibration.calibration(), entry.points[0].threshold)
        for label, entry in calibrations.items()
    }


def _as_expert(subject: Subject, decider: Decider) -> Expert:
    """Give a network to those who ask it film by film."""

    def explain(inputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        outputs = subject.network.outputs(inputs)
        return outputs.logits, outputs.cam

    return Expert(subject.labels[0], subject.specification, explain, decider.positive_from)


class Audit:
    """The audit of one network.

    Parameters
    ----------
    subject
        The network in its session.
    manifest
        Of its artefact, calibrated; it need not be written yet.
    directory
        Where ``model.onnx`` and ``golden.npz`` lie.
    circumstances
        What it is audited with.
    lungs
        The lung network of the circumstances, if it is loaded already.
    found
        The network's scan of the part, if there is one already.
    """

    def __init__(
        self,
        subject: Subject,
        manifest: Manifest,
        directory: Path,
        circumstances: Circumstances,
        *,
        lungs: LungFinder | None = None,
        found: Scan | None = None,
    ) -> None:
        self.subject, self.manifest, self.directory, self.given = subject, manifest, directory, circumstances
        self.lungs = lungs if lungs is not None else circumstances.finder()
        self.films = circumstances.films
        self.found = found if found is not None else scan(subject, self.films, self.lungs)
        self.scores = self.found.scores["untouched"]
        self.missing: dict[str, str] = {}
        self.files: dict[str, str] = {}

    def run(self) -> Audited:
        """Measure everything."""
        given, subject, manifest = self.given, self.subject, self.manifest
        is_expert = subject.kind == "expert"
        with ExitStack() as stack:
            partner = self._partner(stack) if is_expert else None
            identity = measure_identity(
                subject,
                self.found,
                self.films,
                lungs=self.lungs,
                precision=manifest.precision,
                golden=self.directory / GOLDEN_FILE,
            )
            discrimination = evaluate(manifest, self.films, self.scores)
            shortcuts = measure_shortcuts(
                subject, self.found, self.films, given.data.part("train"), CueReader(), partner
            )
            robustness = measure_robustness(
                subject,
                self.found,
                self.films,
                lungs=self.lungs,
                deciders={label: self._decider(label) for label in self._audited_labels()},
                twin=self._twin(stack),
            )
            calibration = self._calibration()
            maps = self._maps(partner)
        criteria = [*identity_criteria(identity), *(maps_criteria(maps) if is_expert else ())]
        for label in self._audited_labels() if not is_expert else subject.labels:
            rows = discrimination.labels.get(label, {})
            criteria += label_criteria(label, rows, shortcuts, calibration, robustness, is_expert=is_expert)
        report = Report(
            model=manifest.name,
            version=manifest.version,
            model_sha256=subject.model_sha256,
            part=given.part,
            created=datetime.now(UTC).replace(microsecond=0),
            films=len(self.films),
            refused=self.found.refused,
            verdict=verdict_of(criteria),
            identity=identity,
            discrimination=discrimination,
            shortcuts=shortcuts,
            sanity=maps.sanity,
            faithfulness=maps.faithfulness,
            localisation=maps.localisation,
            robustness=robustness,
            calibration=calibration,
            out_of_distribution=self._gate(),
            missing=self.missing,
            files_sha256=self.files,
            manifests_sha256=given.data.sha256,
            code_commit=code_commit(),
        )
        probabilities = np.stack(
            [self._decider(label).probability(self.scores[:, k]) for k, label in enumerate(subject.labels)], axis=1
        )
        return Audited(report, self.films, self.found, probabilities, subject, partner)

    def _decider(self, label: str) -> Decider:
        point = self.manifest.operating_point_of(label)
        return Decider(self.manifest.calibration_of(label), point.threshold)

    def _audited_labels(self) -> list[str]:
        """Labels of which the part holds enough films of each class."""
        truths = {label: truths_of(self.films, label) for label in self.subject.labels}
        return [label for label, of in truths.items() if min((of == 0).sum(), (of == 1).sum()) >= FEWEST_OF_A_CLASS]

    def _partner(self, stack: ExitStack) -> Partner | None:
        if self.given.partner is None:
            return None
        subject = stack.enter_context(opened(self.given.partner, self.given.threads))
        if subject.kind != "expert" or subject.labels == self.subject.labels:
            raise ValueError(f"{subject.name} is no partner: an expert of another class is needed")
        self.files["partner"] = subject.model_sha256
        return Partner(subject, scan(subject, self.films, self.lungs, ("untouched",)))

    def _twin(self, stack: ExitStack) -> Twin | None:
        if self.given.twin is None:
            return None
        subject = stack.enter_context(opened(self.given.twin, self.given.threads))
        if subject.labels != self.subject.labels or subject.specification != self.subject.specification:
            raise ValueError(f"{subject.name} is no twin: same labels and same input are needed")
        self.files["twin"] = subject.model_sha256
        deciders = _deciders(subject, self.given.data.part("val"), self.lungs)
        return Twin(subject, scan(subject, self.films, self.lungs, ("untouched",)), deciders)

    def _calibration(self) -> CalibrationQuality:
        return CalibrationQuality(
            fitted_here=self.given.part == "val",
            labels={
                label: measure_label_calibration(
                    self.films,
                    truths_of(self.films, label),
                    self.scores[:, self.subject.labels.index(label)],
                    self.manifest.calibration[label],
                )
                for label in self._audited_labels()
                if label in self.manifest.calibration
            },
        )

    def _maps(self, partner: Partner | None) -> MapsAudit:
        """Ask what needs both experts: sanity, faithfulness and localisation of their maps."""
        why = None
        if self.subject.kind != "expert":
            why = "only maps of two experts are contrasted"
        elif self.given.is_quick:
            why = "left out on request (--quick)"
        elif partner is None:
            why = "no partner expert was given"
        elif partner.subject.specification != self.subject.specification:
            why = f"{partner.subject.name} sees films in another way"
        if why is not None or partner is None:
            self.missing |= dict.fromkeys(("sanity", "faithfulness", "localisation"), why or "")
            return MapsAudit()
        other = _deciders(partner.subject, self.given.data.part("val"), self.lungs)
        mine = _as_expert(self.subject, self._decider(self.subject.labels[0]))
        theirs = _as_expert(partner.subject, other[partner.subject.labels[0]])
        spread = self.films[:: max(1, len(self.films) // (2 * MOST_FILMS))]
        sanity = measure_sanity(
            rebuild_network(self.subject.model),
            rebuild_network(partner.subject.model),
            self.subject.specification,
            spread,
            self.lungs,
            names=(mine.name, theirs.name),
        )
        faithfulness = measure_faithfulness(mine, theirs, spread, self.lungs)
        marked = [film for folder in self.given.data.folders for film in read_marked_films(folder, self.films)]
        if not marked:
            self.missing["localisation"] = "nothing is drawn on any film of this part"
        localisation = measure_localisation(mine, theirs, marked, self.lungs) if marked else None
        return MapsAudit(sanity, faithfulness, localisation)

    def _gate(self) -> GateReport | None:
        path = self.given.lungs
        if path is None:
            self.missing["out_of_distribution"] = "no lung network was given: its report has the numbers of the gate"
            return None
        self.files["lungs"] = file_sha256(path / MODEL_FILE if path.is_dir() else path)
        found = gate_report(read_artifact(path.resolve())) if (path / MANIFEST_FILE).is_file() else None
        if found is None:
            self.missing["out_of_distribution"] = "the lung network has no report; it has the numbers of the gate"
        return found
