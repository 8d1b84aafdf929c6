"""A serving path whose networks read the number in a file, and manifests of such files."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from app.domain.errors import ImageRefusedError, RefusalReason, UnreadableImageError
from app.domain.radiograph import Radiograph
from app.inference.catalogue import Catalogue, CatalogueFile
from app.inference.manifest import Manifest
from app.inference.scheduling import WorkQueue
from app.services.evaluation.answers import Answers, ask, paths_of
from app.services.evaluation.cases import Case, read_cases
from app.services.evaluation.measuring import Setting, measure
from app.services.evaluation.report import EvaluationReport
from app.services.evaluation.subjects import Subject, label_of, subject_of
from app.services.screening import ScreeningService
from tests.fakes import PATIENCE_S, FakeEncoder, FakeNetwork, manifest
from tests.phantoms import radiograph

EXPERTS = ("covid19", "pneumonia", "bacterial")
REFUSED, BROKEN = b"refused", b""
POINTS = [
    {"name": "default", "threshold": 0.7, "indeterminate": [0.65, 0.75], "sensitivity": 0.9, "specificity": 0.8},
    {"name": "strict", "threshold": 0.8},
]


class NumberDecoder:
    """Makes a film whose brightness is the number in the file; some are not answered."""

    def decode(self, content: bytes, *, tolerate_refusals: bool = False) -> Radiograph:
        assert not tolerate_refusals
        if content == BROKEN:
            raise UnreadableImageError("nothing in it")
        if content == REFUSED:
            raise ImageRefusedError(RefusalReason.LATERAL_VIEW, "a lateral view")
        return radiograph(np.full((64, 64), int(content), np.uint8))


@dataclass
class Bench:
    """The serving path; `probability` is what it says of a number."""

    service: ScreeningService
    catalogue: Catalogue

    @property
    def manifests(self) -> Mapping[str, Manifest]:
        """Of the experts."""
        return {name: self.catalogue.expert(name).manifest for name in EXPERTS}

    @property
    def subjects(self) -> Mapping[str, Subject]:
        """The experts, as they are measured."""
        return {name: subject_of(each) for name, each in self.manifests.items()}

    @property
    def labels(self) -> tuple[str, ...]:
        """Label columns."""
        return tuple(label_of(each) for each in self.manifests.values())

    def answers(self, cases: list[Case], at_once: int = 2) -> Answers:
        """Ask for every case."""
        return ask(self.service, self.catalogue, cases, at_once, lambda _: None)

    def report(self, path: Path) -> EvaluationReport:
        """Evaluate a manifest."""
        cases = read_cases(path, self.labels)
        return self.measured(path, cases, self.answers(cases))

    def measured(self, path: Path, cases: list[Case], answers: Answers) -> EvaluationReport:
        """Measure what was answered."""
        setting = Setting(path.name, "0" * 64, "all", 2, datetime(2026, 1, 1, tzinfo=UTC))
        return measure(cases, paths_of(cases, path), answers, self.labels, self.subjects, setting)

    @staticmethod
    def probability(level: int) -> float:
        """What the fake network makes of a film of one grey level."""
        return float(1.0 / (1.0 + np.exp(-2.0 * np.float32(level) / 255.0)))


@contextmanager
def open_bench() -> Iterator[Bench]:
    """Open a serving path of three experts, two of them a shipped pair."""
    content = {"schema": "discern-catalogue/1", "pairs": [{"interest": "covid19", "overlap": "pneumonia"}]}
    networks = {name: FakeNetwork(manifest(name, operating_points={name: POINTS})) for name in EXPERTS}
    catalogue = Catalogue(networks, {}, CatalogueFile.model_validate(content))
    queue = WorkQueue(2, 8)
    yield Bench(ScreeningService(NumberDecoder(), FakeEncoder(), catalogue, queue), catalogue)
    assert queue.close(PATIENCE_S)


def write_films(folder: Path, films: int = 90) -> Path:
    """Write films and a manifest whose labels follow their brightness loosely; two films a patient."""
    random = np.random.default_rng(3)
    lines = ["path,covid19,pneumonia,dataset,patient_id,age_group,view,sex"]
    for number in range(films):
        level = int(random.integers(1, 255))
        (folder / f"{number}.png").write_bytes(str(level).encode())
        labels = [int(level + random.normal(0, 60) > 128), int(random.integers(-1, 2))]
        patient = number // 2
        source, age = ("here", ("adult", "child", "")[patient % 3]) if patient % 4 else ("kids", "child")
        lines.append(
            f"{number}.png,{labels[0]},{labels[1]},{source},p{patient},{age},{('AP', 'PA')[number % 2]},"
            f"{('F', 'M', '')[patient % 3]}"
        )
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "manifest.csv"
