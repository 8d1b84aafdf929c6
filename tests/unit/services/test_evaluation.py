"""Discrimination measured through the serving path, against scikit-learn; and manifests that are refused."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from app.domain.errors import InvalidRequestError
from app.domain.radiograph import Radiograph
from app.inference.catalogue import Catalogue, CatalogueFile
from app.inference.scheduling import WorkQueue
from app.services.evaluation import evaluate_cases, read_cases
from app.services.screening import ScreeningService
from tests.fakes import PATIENCE_S, FakeEncoder, FakeNetwork, manifest
from tests.phantoms import radiograph

metrics = pytest.importorskip("sklearn.metrics")

EXPERTS = ("covid19", "pneumonia", "bacterial")


class NumberDecoder:
    """Makes a film whose brightness is the number in the file; some are not answered."""

    def decode(self, content: bytes, *, tolerate_refusals: bool = False) -> Radiograph:
        assert not tolerate_refusals
        if not content:
            raise InvalidRequestError("nothing in it")
        return radiograph(np.full((64, 64), int(content), np.uint8))


@dataclass
class Bench:
    service: ScreeningService
    catalogue: Catalogue


@pytest.fixture
def bench() -> Iterator[Bench]:
    content = {"schema": "discern-catalogue/1", "pairs": [{"interest": "covid19", "overlap": "pneumonia"}]}
    networks = {name: FakeNetwork(manifest(name)) for name in EXPERTS}
    catalogue = Catalogue(networks, {}, CatalogueFile.model_validate(content))
    queue = WorkQueue(2, 8)
    yield Bench(ScreeningService(NumberDecoder(), FakeEncoder(), catalogue, queue), catalogue)
    assert queue.close(PATIENCE_S)


def write_films(folder: Path, films: int = 60) -> Path:
    """Write films and a manifest whose labels follow their brightness loosely."""
    random = np.random.default_rng(3)
    lines = ["path,covid19,pneumonia,dataset,patient_id,age_group,split"]
    for number in range(films):
        level = int(random.integers(1, 255))
        (folder / f"{number}.png").write_bytes(str(level).encode())
        labels = [int(level + random.normal(0, 60) > 128), int(random.integers(-1, 2))]
        source, age = ("here", "adult (19-64)") if number % 3 else ("there", "child")
        lines.append(
            f"{number}.png,{labels[0]},{labels[1]},{source},p{number // 2},{age},{'test' if number % 5 else ''}"
        )
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "manifest.csv"


def test_each_subgroup_s_auroc_is_scikit_learn_s(bench: Bench, tmp_path: Path) -> None:
    cases = read_cases(write_films(tmp_path), EXPERTS)
    done: list[int] = []

    report = evaluate_cases(bench.service, bench.catalogue, cases, 2, done.append)

    levels = np.array([int(case.path.read_bytes()) for case in cases])
    subgroups = {
        "all": np.ones(len(cases), bool),
        "source here": np.array([case.source == "here" for case in cases]),
        "source there": np.array([case.source == "there" for case in cases]),
        "age adult": np.array([case.age_group.startswith("adult") for case in cases]),
        "age child": np.array([case.age_group == "child" for case in cases]),
    }
    rows = {(row.expert, row.subgroup): row for row in report.rows}
    assert set(rows) == {(expert, subgroup) for expert in EXPERTS for subgroup in subgroups}
    for column, expert in enumerate(EXPERTS[:2]):
        truth = np.array([case.labels[column] for case in cases])
        for name, chosen in subgroups.items():
            known = chosen & ~np.isnan(truth)
            row = rows[expert, name]
            assert row.auroc.value == pytest.approx(metrics.roc_auc_score(truth[known], levels[known]))
            assert row.auroc.value is not None
            assert row.auroc.low is not None
            assert row.auroc.high is not None
            assert row.auroc.low <= row.auroc.value <= row.auroc.high
            assert row.auroc.positives + row.auroc.negatives == known.sum()
            assert row.sensitivity == 1.0  # every film of the fake is brighter than nothing: all are positive
            assert row.specificity == 0.0
    assert rows["bacterial", "all"].auroc.value is None
    assert sum(done) == len(cases)
    assert report.refused == ()


def test_refused_films_are_named_and_left_out(bench: Bench, tmp_path: Path) -> None:
    path = write_films(tmp_path, 20)
    (tmp_path / "4.png").write_bytes(b"")
    (tmp_path / "5.png").unlink()

    report = evaluate_cases(bench.service, bench.catalogue, read_cases(path, EXPERTS), 1, lambda _: None)

    assert dict(report.refused) == {"4.png": "invalid_request", "5.png": "unreadable_image"}
    all_films = next(row for row in report.rows if (row.expert, row.subgroup) == ("covid19", "all"))
    assert all_films.auroc.positives + all_films.auroc.negatives == 18
    assert report.payload()["films"] == 20
    assert "20 films, 2 refused" in report.table()
    assert "undefined" in report.table()


def test_a_manifest_of_nothing_but_refused_films_has_a_report(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("path,covid19\nmissing.png,1\n", encoding="utf-8")

    report = evaluate_cases(
        bench.service, bench.catalogue, read_cases(tmp_path / "manifest.csv", EXPERTS), 1, lambda _: None
    )

    assert len(report.refused) == 1
    assert {row.auroc.value for row in report.rows} == {None}


def test_a_part_is_chosen_by_its_split(tmp_path: Path) -> None:
    path = write_films(tmp_path, 20)

    assert len(read_cases(path, EXPERTS, "test")) == 16
    with pytest.raises(InvalidRequestError, match="no rows with split nothing"):
        read_cases(path, EXPERTS, "nothing")


def read(folder: Path, content: bytes) -> list[Path]:
    path = folder / "manifest.csv"
    path.write_bytes(content)
    return [case.path for case in read_cases(path, EXPERTS)]


def test_a_manifest_saved_by_a_spreadsheet_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeffpath,covid19\r\na.png,1\r\n".encode()) == [tmp_path / "a.png"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "needs the columns path and one of covid19", id="empty"),
        pytest.param(b"file,covid19\na.png,1\n", "needs the columns path", id="no path column"),
        pytest.param(b"path,measles\na.png,1\n", "one of covid19, pneumonia, bacterial", id="no expert"),
        pytest.param(b"path,covid19\n", "has no rows", id="no rows"),
        pytest.param(b"path,covid19\na.png,1\nb.png,yes\n", "line 3: covid19 is 'yes'", id="label"),
        pytest.param(b"path,covid19\n\n\na.png,2\n", "line 4: covid19 is '2'", id="label after blank lines"),
        pytest.param(b'path,covid19,note\na.png,1,"two\nlines"\nb.png,x,\n', "line 4: covid19", id="quoted break"),
        pytest.param(b"path,covid19\n,1\n", "line 2: path is missing", id="empty path"),
        pytest.param(b"covid19,path\n1\n", "line 2: path is missing", id="short row"),
        pytest.param(b"path,covid19\n\xff\xfe.png,1\n", "no CSV in UTF-8", id="not UTF-8"),
        pytest.param(b"path,covid19\na" + b"x" * 200_000 + b",1\n", "no CSV", id="a field without end"),
    ],
)
def test_a_manifest_that_breaks_a_rule_is_refused_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        read(tmp_path, content)


def test_a_manifest_must_exist(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="no manifest"):
        read_cases(tmp_path / "nothing.csv", EXPERTS)
