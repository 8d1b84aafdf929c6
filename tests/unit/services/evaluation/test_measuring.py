"""Numbers of an evaluation against scikit-learn, and films without an answer, of which none is lost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.services.evaluation.answers import Answers
from app.services.evaluation.cases import Case, read_cases
from app.services.evaluation.report import EvaluationReport, ExpertResult
from tests.unit.services.evaluation.bench import BROKEN, EXPERTS, REFUSED, Bench, open_bench, write_films

metrics: Any = pytest.importorskip("sklearn.metrics")  # Any: published without types


@pytest.fixture
def bench() -> Iterator[Bench]:
    with open_bench() as opened:
        yield opened


def asked(bench: Bench, path: Path) -> tuple[list[Case], Answers]:
    cases = read_cases(path, bench.labels)
    return cases, bench.answers(cases)


def expert(report: EvaluationReport, name: str) -> ExpertResult:
    return next(each for each in report.experts if each.name == name)


def masks(cases: list[Case]) -> dict[str, list[bool]]:
    return {
        "pooled": [True for _ in cases],
        "without kids": [case.source != "kids" for case in cases],
        "source here": [case.source == "here" for case in cases],
        "source kids": [case.source == "kids" for case in cases],
        "adults": [case.paediatric is False for case in cases],
        "children": [case.paediatric is True for case in cases],
        "age not stated": [case.paediatric is None for case in cases],
        "here, adults": [case.source == "here" and case.paediatric is False for case in cases],
        "here, age not stated": [case.source == "here" and case.paediatric is None for case in cases],
        "here, children": [case.source == "here" and case.paediatric is True for case in cases],
        "view AP": [case.view == "AP" for case in cases],
        "view PA": [case.view == "PA" for case in cases],
        "sex F": [case.sex == "F" for case in cases],
        "sex M": [case.sex == "M" for case in cases],
    }


def test_every_subgroup_s_numbers_are_scikit_learn_s(bench: Bench, tmp_path: Path) -> None:
    path = write_films(tmp_path)
    cases = read_cases(path, bench.labels)

    report = bench.report(path)

    scores = np.array([bench.probability(int(case.path.read_bytes())) for case in cases])
    for column, name in enumerate(EXPERTS[:2]):
        truth = np.array([case.labels[column] for case in cases])
        rows = expert(report, name).subgroups
        assert list(rows) == list(masks(cases))
        for subgroup, where in masks(cases).items():
            known = np.array(where) & ~np.isnan(truth)
            row, (default, strict) = rows[subgroup], rows[subgroup].points
            assert row.auroc.value == pytest.approx(metrics.roc_auc_score(truth[known], scores[known]))
            assert default.sensitivity.value == pytest.approx(metrics.recall_score(truth[known], scores[known] >= 0.7))
            assert strict.specificity.value == pytest.approx(
                metrics.recall_score(truth[known] == 0, scores[known] < 0.8)
            )
            assert row.brier == pytest.approx(metrics.brier_score_loss(truth[known], scores[known]))
            assert (row.films, row.positives) == (known.sum(), (truth[known] == 1).sum())
            assert default.sensitivity_with_misses == default.sensitivity
    assert expert(report, "bacterial").subgroups == {}
    assert (report.films, report.answered, report.unanswered) == (90, 90, ())


def test_intervals_hold_the_value_and_draw_patients(bench: Bench, tmp_path: Path) -> None:
    row = expert(bench.report(write_films(tmp_path)), "covid19").subgroups["pooled"]

    assert row.patients == 45
    for found in (
        row.auroc,
        *(estimate for point in row.points for estimate in (point.sensitivity, point.specificity)),
    ):
        assert found.value is not None
        assert found.low is not None
        assert found.high is not None
        assert found.low < found.value < found.high


def test_decisions_as_served_add_up_to_the_films(bench: Bench, tmp_path: Path) -> None:
    path = write_films(tmp_path)
    (tmp_path / "8.png").write_bytes(REFUSED)

    row = expert(bench.report(path), "covid19").subgroups["pooled"]

    said = [*row.of_positives.model_dump().values(), *row.of_negatives.model_dump().values()]
    assert sum(said) == 90
    assert row.of_positives.unanswered + row.of_negatives.unanswered == 1
    assert row.of_positives.indeterminate + row.of_negatives.indeterminate > 0


def test_a_film_without_an_answer_is_listed_counted_and_a_miss_if_positive(bench: Bench, tmp_path: Path) -> None:
    path = write_films(tmp_path)
    whole = expert(bench.report(path), "covid19").subgroups["pooled"]
    cases = read_cases(path, bench.labels)
    found = [
        k
        for k, case in enumerate(cases)
        if case.labels[0] == 1 and bench.probability(int(case.path.read_bytes())) >= 0.8
    ][:3]
    for k, content in zip(found, (REFUSED, REFUSED, BROKEN), strict=True):
        cases[k].path.write_bytes(content)

    report = bench.report(path)

    row = expert(report, "covid19").subgroups["pooled"]
    assert [(film.path, film.labels["covid19"]) for film in report.unanswered] == [(f"{k}.png", 1) for k in found]
    assert [film.code for film in report.unanswered] == ["lateral_view", "lateral_view", "unreadable_image"]
    assert [(each.code, each.kind, each.films) for each in report.unanswered_codes] == [
        ("lateral_view", "refused", 2),
        ("unreadable_image", "failed", 1),
    ]
    assert report.unanswered_codes[0].share == pytest.approx(2 / 90)
    assert sum(report.unanswered_codes[0].by_source.values()) == 2
    assert (report.films, report.answered) == (90, 87)
    assert (row.films, row.positives, row.of_positives.unanswered) == (87, whole.positives - 3, 3)
    for before, after in zip(whole.points, row.points, strict=True):
        assert before.sensitivity.value is not None
        hits = round(before.sensitivity.value * whole.positives)
        assert after.sensitivity.value == pytest.approx((hits - 3) / (whole.positives - 3))
        assert after.sensitivity_with_misses.value == pytest.approx((hits - 3) / whole.positives)


def test_an_expert_whose_films_were_all_refused_has_rows_without_numbers(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(REFUSED)
    (tmp_path / "manifest.csv").write_text("path,covid19\na.png,1\n", encoding="utf-8")

    row = expert(bench.report(tmp_path / "manifest.csv"), "covid19").subgroups["pooled"]

    assert (row.films, row.auroc.value, row.of_positives.unanswered) == (0, None, 1)
    assert row.points[0].sensitivity.value is None
    assert row.points[0].sensitivity_with_misses.value == 0.0


def test_curves_are_drawn_of_the_pool_its_sources_and_ages(bench: Bench, tmp_path: Path) -> None:
    found = expert(bench.report(write_films(tmp_path)), "covid19")

    assert list(found.roc) == [
        "pooled", "without kids", "source here", "source kids", "adults", "children", "age not stated",
    ]  # fmt: skip
    curve, row = found.roc["pooled"], found.subgroups["pooled"]
    assert np.trapezoid(curve.sensitivity, curve.false_positive_share) == pytest.approx(row.auroc.value)
    gaps = [point.films * abs(point.probability - point.frequency) for point in found.reliability["pooled"]]
    assert row.calibration_error == pytest.approx(sum(gaps) / 90)
    assert all(point.low <= point.frequency <= point.high for point in found.reliability["pooled"])


def test_shares_outside_the_lungs_are_given_by_source(bench: Bench, tmp_path: Path) -> None:
    path = write_films(tmp_path)
    cases, answers = asked(bench, path)
    shares = np.linspace(0, 1, 90)
    shares[:10] = np.nan
    answers.experts["covid19"].outside_lungs = shares
    answers.experts["pneumonia"].outside_lungs = np.full(90, np.nan)

    report = bench.measured(path, cases, answers)

    found = expert(report, "covid19").outside_lungs
    assert list(found) == ["pooled", "source here", "source kids"]
    assert found["pooled"].films == 80
    assert found["pooled"].median == pytest.approx(np.median(shares[10:]))
    here = np.array([case.source == "here" for case in cases]) & ~np.isnan(shares)
    assert (found["source here"].q05, found["source here"].q95) == pytest.approx(
        tuple(np.percentile(shares[here], (5, 95)))
    )
    assert expert(report, "pneumonia").outside_lungs == {}


def test_flags_are_counted_once_a_film_with_their_share(bench: Bench, tmp_path: Path) -> None:
    path = write_films(tmp_path)
    cases, answers = asked(bench, path)
    answers.flags = {3: ("inverted", "paediatric"), 5: ("paediatric",)}

    report = bench.measured(path, cases, answers)

    assert [(each.code, each.films) for each in report.flags] == [("paediatric", 2), ("inverted", 1)]
    assert [each.share for each in report.flags] == pytest.approx([2 / 90, 1 / 90])


def test_the_report_survives_its_own_json(bench: Bench, tmp_path: Path) -> None:
    report = bench.report(write_films(tmp_path, 20))

    again = EvaluationReport.model_validate_json(report.model_dump_json(by_alias=True))

    assert again == report
    assert "discern-evaluation/1" in report.model_dump_json(by_alias=True)
