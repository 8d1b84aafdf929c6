"""`discern evaluate` in process, over a toy release: a manifest in, tables, files and exit codes out."""

import json
from pathlib import Path

import pytest

from app.cli import main
from app.cli.exit_codes import OK, SOME_FAILED, UNUSABLE
from app.services.evaluation.report import EvaluationReport
from tests.phantoms import chest_film, png_bytes

Captured = pytest.CaptureFixture[str]
FILMS = 12


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, release: Path, tmp_path: Path) -> None:
    monkeypatch.setenv("DISCERN_MODELS_DIR", str(release))
    monkeypatch.setenv("DISCERN_QUEUE__WORKERS", "2")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Twelve films of two sources with both labels; a third of them in part val."""
    lines = ["path,covid19,pneumonia,dataset,patient_id,split"]
    for number in range(FILMS):
        (tmp_path / f"{number}.png").write_bytes(png_bytes(chest_film(96, 80, seed=number)))
        part = "val" if number % 3 == 0 else "test"
        lines.append(f"{number}.png,{number % 2},{number // 6},{'ab'[number % 2]},p{number},{part}")
    path = tmp_path / "films.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def read_report(text: str) -> EvaluationReport:
    return EvaluationReport.model_validate_json(text)


def test_tables_are_printed_and_the_report_is_written(manifest: Path, tmp_path: Path, capsys: Captured) -> None:
    code = main(["evaluate", str(manifest), "--out", "new/answers"])

    said, folder = capsys.readouterr(), tmp_path / "new" / "answers"
    report = read_report((folder / "report.json").read_text(encoding="utf-8"))
    assert code == OK
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json"]
    assert [(each.name, each.version) for each in report.experts] == [("covid19", "1.0.0"), ("pneumonia", "1.0.0")]
    assert (report.films, report.answered, report.part) == (FILMS, FILMS, "all")
    assert report.sources == {"a": 6, "b": 6}
    assert "12 films, 0 without an answer. Research use. Not for diagnostic use." in said.out
    assert "films/s with 2 workers" in said.out
    for name in report.experts[0].subgroups:
        assert f"\n{name} " in said.out
    assert "<svg" in (folder / "report.html").read_text(encoding="utf-8")


def test_labels_of_the_ensemble_are_measured_on_request(manifest: Path, release: Path, capsys: Captured) -> None:
    code = main(["evaluate", str(manifest), "--json", "--ensemble"])

    report = read_report(capsys.readouterr().out)
    main(["screen", str(manifest.parent / "3.png"), "--json"])
    label = json.loads(capsys.readouterr().out)["ensemble"]["labels"][0]
    member = json.loads((release / "ensemble-toy" / "1.0.0" / "manifest.json").read_text(encoding="utf-8"))
    names = [each["name"] for each in member["labels"] if each["evaluated"]]
    assert code == OK
    assert [each.name for each in report.experts[2:]] == [f"ensemble:{name}" for name in names]
    pneumonia = next(each for each in report.experts if each.name == "ensemble:pneumonia")
    assert pneumonia.version == "ensemble-toy 1.0.0"
    assert (pneumonia.subgroups["pooled"].films, pneumonia.subgroups["pooled"].positives) == (FILMS, FILMS // 2)
    assert pneumonia.subgroups["pooled"].points[0].threshold == label["threshold"]
    viral = next(each for each in report.experts if each.name == "ensemble:viral")
    assert viral.subgroups == {}


def test_json_is_the_report_and_nothing_else(manifest: Path, tmp_path: Path, capsys: Captured) -> None:
    before = set(tmp_path.iterdir())

    code = main(["evaluate", str(manifest), "--json", "--part", "val"])

    report = read_report(capsys.readouterr().out)
    assert code == OK
    assert (report.films, report.part) == (4, "val")
    assert set(tmp_path.iterdir()) == before


def test_a_film_that_cannot_be_read_is_named_and_the_others_are_measured(manifest: Path, capsys: Captured) -> None:
    (manifest.parent / "3.png").write_bytes(b"broken")

    code = main(["evaluate", str(manifest), "--json"])

    said = capsys.readouterr()
    report = read_report(said.out)
    assert code == SOME_FAILED
    assert said.err.splitlines()[-1] == "3.png: unsupported_format"
    assert (report.films, report.answered) == (FILMS, FILMS - 1)
    assert report.unanswered[0].labels == {"covid19": 1, "pneumonia": 0}


def test_of_many_films_that_cannot_be_read_the_first_are_named(manifest: Path, capsys: Captured) -> None:
    lines = ["path,covid19"]
    for number in range(25):
        (manifest.parent / f"x{number}.png").write_bytes(b"broken")
        lines.append(f"x{number}.png,1")
    manifest.write_text("\n".join(lines), encoding="utf-8")

    assert main(["evaluate", str(manifest)]) == SOME_FAILED
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == "and 5 more without an answer"
    assert "failed   unsupported_format" in said.out


def test_a_limit_and_workers_are_kept(manifest: Path, capsys: Captured) -> None:
    assert main(["evaluate", str(manifest), "--json", "--limit", "5", "--workers", "1"]) == OK

    report = read_report(capsys.readouterr().out)
    assert (report.films, report.timing.workers) == (5, 1)


def test_other_models_can_be_named_before_or_after_the_verb(manifest: Path, capsys: Captured, release: Path) -> None:
    assert main(["evaluate", str(manifest), "--models", "nowhere"]) == UNUSABLE
    assert "nowhere" in capsys.readouterr().err
    assert main(["--models-dir", "nowhere", "evaluate", str(manifest)]) == UNUSABLE
    assert "nowhere" in capsys.readouterr().err
    assert main(["--models-dir", "nowhere", "evaluate", str(manifest), "--models", str(release), "--json"]) == OK


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,measles\n0.png,1\n", "discern: films.csv needs the columns path and one of covid19, pneumonia"),
        ("path,covid19\n0.png,perhaps\n", "discern: films.csv: 1 rows cannot be used: line 2: covid19 is 'perhaps'"),
        ("path,covid19\n0.png,1\ngone.png,0\n", "discern: films.csv: 1 of 2 files are not there: line 3: "),
        ("path,covid19\n0.png,-1\n", "discern: films.csv: no film has a label of 1 or 0 in covid19 or pneumonia"),
    ],
)
def test_a_manifest_that_cannot_be_used_says_why_before_the_first_film(
    manifest: Path, content: str, message: str, capsys: Captured
) -> None:
    manifest.write_text(content, encoding="utf-8")

    assert main(["evaluate", str(manifest), "--out", "answers"]) == UNUSABLE

    assert capsys.readouterr().err.splitlines()[-1].startswith(message)


def test_a_folder_that_cannot_be_made_is_said_before_the_first_film(manifest: Path, capsys: Captured) -> None:
    assert main(["evaluate", str(manifest), "--out", str(manifest / "answers")]) == UNUSABLE
    assert "discern: " in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--limit", "0"], ["--workers", "two"], ["--limit", "-3"]])
def test_numbers_below_one_are_refused(arguments: list[str], capsys: Captured) -> None:
    with pytest.raises(SystemExit) as exit_code:
        main(["evaluate", "films.csv", *arguments])

    assert exit_code.value.code == UNUSABLE
    assert "is no number of 1 or more" in capsys.readouterr().err


def test_the_report_has_the_fields_that_are_documented(manifest: Path, capsys: Captured) -> None:
    main(["evaluate", str(manifest), "--json"])

    page = Path(__file__).parents[3].joinpath("docs", "evaluate.md").read_text(encoding="utf-8")
    found = json.loads(capsys.readouterr().out)
    assert [field for field in found if f"`{field}`" not in page] == []
    assert [field for field in found["experts"][0] if f"`{field}`" not in page] == []
