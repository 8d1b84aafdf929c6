"""The report as a page: every number of it, and nothing that a name in it could start."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.codecs.evaluation_page import evaluation_page, remark, with_bounds
from app.services.evaluation.report import EvaluationReport, FilmsOfCode, Measured, Quantiles
from tests.unit.services.evaluation.bench import REFUSED, Bench, open_bench, write_films


@pytest.fixture
def bench() -> Iterator[Bench]:
    with open_bench() as opened:
        yield opened


@pytest.fixture
def report(bench: Bench, tmp_path: Path) -> EvaluationReport:
    path = write_films(tmp_path)
    (tmp_path / "7.png").write_bytes(REFUSED)
    return bench.report(path)


def test_every_subgroup_s_numbers_are_on_the_page(report: EvaluationReport) -> None:
    page = evaluation_page(report)

    for expert in report.experts[:2]:
        for name, result in expert.subgroups.items():
            row = next(row for row in re.findall(r"<tr.*?</tr>", page) if f">{name}</td><td>{result.films}</td>" in row)
            assert row
        assert with_bounds(expert.subgroups["pooled"].auroc) in page
        for point in expert.subgroups["pooled"].points:
            assert f"sensitivity @ {point.name}" in page
            assert with_bounds(point.specificity) in page
    assert page.count("<svg") == page.count("</svg>") == 4
    assert "Research use. Not for diagnostic use." in page
    assert "No film of this evaluation has a label bacterial" in page


def test_films_without_an_answer_are_told_and_change_the_columns(bench: Bench, tmp_path: Path) -> None:
    path = write_films(tmp_path, 30)
    answered = evaluation_page(bench.report(path))
    (tmp_path / "7.png").write_bytes(REFUSED)

    page = evaluation_page(bench.report(path))

    assert "Every film was answered." in answered
    assert "missed if unanswered" not in answered.partition("How to read")[0]
    assert "1 films have no answer" in page
    assert "lateral_view" in page
    assert "… missed if unanswered" in page
    assert ">7.png</td>" in page


def test_flags_and_shares_outside_the_lungs_are_shown_where_they_are_known(report: EvaluationReport) -> None:
    shares = Quantiles(films=90, q05=0.011, q25=0.12, median=0.23, q75=0.34, q95=0.45)
    first = report.experts[0].model_copy(
        update={"outside_lungs": {"pooled": shares}, "map_flags": {"peak_outside_film": 17}}
    )
    flagged = FilmsOfCode(code="paediatric", kind="flag", films=9, share=0.1, by_source={"kids": 8, "here": 1})
    bare = evaluation_page(report.model_copy(update={"flags": ()}))

    page = evaluation_page(report.model_copy(update={"experts": (first,), "flags": (flagged,)}))

    assert "outside the lungs" not in bare.partition("How to read")[0]
    assert "No film was flagged." in bare
    assert "<td>90</td><td>0.01</td><td>0.12</td><td>0.23</td><td>0.34</td><td>0.45</td>" in page
    assert "<td>peak_outside_film</td><td>17</td>" in page
    assert "<td>paediatric</td><td>9</td><td>10.0 %</td><td class=words>kids 8, here 1</td>" in page


def test_an_expert_without_negatives_has_no_curve(bench: Bench, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.png").write_bytes(b"99")
    (tmp_path / "manifest.csv").write_text("path,covid19\na.png,1\nb.png,1\n", encoding="utf-8")

    page = evaluation_page(bench.report(tmp_path / "manifest.csv"))

    assert "<svg" not in page
    assert "one class is absent" in page


def test_names_are_text_and_never_markup(report: EvaluationReport) -> None:
    evil = '<script>alert("1")</script>'
    renamed = report.model_copy(
        update={
            "manifest": evil,
            "sources": {evil: 90},
            "experts": tuple(
                each.model_copy(
                    update={
                        "title": evil,
                        "subgroups": {evil if n == "sex F" else n: s for n, s in each.subgroups.items()},
                    }
                )
                for each in report.experts
            ),
        }
    )

    page = evaluation_page(renamed)

    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_nothing_is_fetched_from_anywhere(report: EvaluationReport) -> None:
    page = evaluation_page(report)

    assert re.findall(r"(?:href|src|url\(|@import)", page) == []
    assert set(re.findall(r"https?://[^\"<]*", page)) == {"http://www.w3.org/2000/svg"}


def test_what_is_doubtful_about_a_row_is_said(report: EvaluationReport) -> None:
    row = report.experts[0].subgroups["pooled"]
    none = Measured(value=None, low=None, high=None)

    assert remark(row) == ""
    assert remark(row.model_copy(update={"positives": 29})) == "few films of a class"
    assert (
        remark(row.model_copy(update={"auroc": Measured(value=0.6, low=0.5, high=0.7)})) == "the interval holds chance"
    )
    assert remark(row.model_copy(update={"auroc": none})) == "one class is absent"


def test_numbers_are_written_with_what_is_known_of_them() -> None:
    assert with_bounds(Measured(value=0.5, low=0.25, high=0.75)) == "0.500 (0.250-0.750)"
    assert with_bounds(Measured(value=1.0, low=None, high=None)) == "1.000"
    assert with_bounds(Measured(value=None, low=None, high=None)) == "undefined"
