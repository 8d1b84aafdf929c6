"""Numbers, plots and text of a network of several classes, against scikit-learn and by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, f1_score, log_loss, precision_score, recall_score, roc_auc_score

from app.domain.multiclass import class_probabilities
from training.multiclass.evaluation import ClassesReport, evaluated, fitted_slope, measured, thresholds_of
from training.multiclass.films import CLASSES, LabelledFilm
from training.multiclass.names import positive_of, title_of
from training.multiclass.plots import (
    CONFUSION_FILE,
    ROC_FILE,
    confusion_figure,
    draw_class_plots,
    roc_figure,
    row_shares,
)
from training.multiclass.text import confusion_table, evaluation_markdown

COUNT = 240


def _films(count: int = COUNT) -> list[LabelledFilm]:
    """Two films a patient; three classes; two sources that hold all of them, and one of children without COVID-19."""
    films = []
    for k in range(count):
        patient = k // 2
        label = patient % 3
        source = ("alpha", "beta", "kids" if label else "alpha")[patient // 3 % 3]
        films.append(LabelledFilm(Path(f"{k}.png"), "val", f"p{patient}", source, label, source == "kids"))
    return films


def _logits(films: list[LabelledFilm], strength: float = 1.0, seed: int = 0) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    truth = np.eye(3)[[film.label for film in films]]
    return (strength * truth + random.normal(size=truth.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def films() -> list[LabelledFilm]:
    return _films()


@pytest.fixture(scope="module")
def report(films: list[LabelledFilm]) -> ClassesReport:
    train = [replace(film, group=f"t{film.group}") for film in films]
    return evaluated(
        _logits(films), films, CLASSES, "covid19", slope=0.8, thresholds={"sensitivity-0.90": 0.2}, train=train
    )


def test_pooled_numbers_agree_with_scikit_learn(films: list[LabelledFilm], report: ClassesReport) -> None:
    labels = np.array([film.label for film in films])
    shares = class_probabilities(_logits(films), 0.8)
    said = shares.argmax(axis=1)

    pooled = report.subgroups["pooled"]

    assert pooled.accuracy.value == pytest.approx((said == labels).mean())
    assert pooled.macro_f1.value == pytest.approx(f1_score(labels, said, average="macro"))
    each = [roc_auc_score(labels == k, shares[:, k]) for k in range(3)]
    assert pooled.macro_auroc.value == pytest.approx(np.mean(each))
    covid = pooled.classes["covid19"]
    assert covid["precision"].value == pytest.approx(precision_score(labels == 0, said == 0))
    assert covid["recall"].value == pytest.approx(recall_score(labels == 0, said == 0))
    assert covid["f1"].value == pytest.approx(f1_score(labels == 0, said == 0))
    assert covid["auroc"].value == pytest.approx(each[0])
    assert np.array_equal(pooled.confusion, confusion_matrix(labels, said))
    for metric in (pooled.accuracy, pooled.macro_f1, pooled.macro_auroc, covid["f1"]):
        assert metric.low is not None
        assert metric.high is not None
        assert metric.value is not None
        assert metric.low < metric.value < metric.high


def test_intervals_resample_patients_not_films(films: list[LabelledFilm]) -> None:
    labels = np.array([film.label for film in films])
    shares = class_probabilities(
        np.repeat(_logits(films[::2]), 2, axis=0)
    )  # both films of a patient are answered alike
    by_patient = np.array([film.group for film in films])

    paired = measured(shares, labels, by_patient, CLASSES).macro_f1
    apart = measured(shares, labels, np.arange(COUNT).astype(str), CLASSES).macro_f1

    assert paired.value == apart.value
    assert paired.high is not None
    assert paired.low is not None
    assert apart.high is not None
    assert apart.low is not None
    assert paired.high - paired.low > 1.2 * (apart.high - apart.low)


def test_a_pooled_number_never_stands_alone(report: ClassesReport) -> None:
    assert {"pooled", "without kids", "source alpha", "source beta", "source kids", "adults", "children"} <= set(
        report.subgroups
    )
    assert report.subgroups["source kids"].classes["covid19"]["recall"].undefined
    sizes = [report.subgroups[f"source {name}"].films for name in ("alpha", "beta", "kids")]
    assert sum(sizes) == report.subgroups["pooled"].films == COUNT


def test_what_the_source_alone_tells_is_its_most_frequent_class(films: list[LabelledFilm]) -> None:
    sources = {0: "covids", 1: "clinic", 2: "clinic"}
    told = [replace(film, source=sources[film.label]) for film in films]
    train = [*told, *(film for film in told if film.label == 2)]

    alone = evaluated(_logits(told), told, CLASSES, "covid19", slope=1.0, thresholds={}, train=train).source_alone

    assert alone is not None
    assert alone.classes["covid19"]["f1"].value == 1.0
    assert alone.classes["normal"]["recall"].value == 0.0
    assert alone.classes["pneumonia"]["recall"].value == 1.0


@settings(max_examples=20)
@given(st.floats(0.3, 8), st.integers(0, 3))
def test_the_slope_is_the_likeliest_one(factor: float, seed: int) -> None:
    films = _films(90)
    logits = _logits(films, 2.0, seed)
    labels = np.array([film.label for film in films])

    slope = fitted_slope(logits * np.float32(factor), labels)

    found = log_loss(labels, class_probabilities(logits * np.float32(factor), slope))
    for other in (slope * 0.97, slope * 1.03):
        assert found <= log_loss(labels, class_probabilities(logits * np.float32(factor), other)) + 1e-9
    assert slope * factor == pytest.approx(fitted_slope(logits, labels), rel=1e-3)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40))
def test_thresholds_keep_the_promised_share_of_positives_and_are_the_highest_that_do(
    drawn: list[tuple[float, bool]],
) -> None:
    shares, truth = np.array([s for s, _ in drawn]), np.array([t for _, t in drawn])

    found = thresholds_of(shares, truth)

    assert set(found) == ({"sensitivity-0.90", "sensitivity-0.95"} if truth.any() else set())
    for name, threshold in found.items():
        target = float(name.removeprefix("sensitivity-"))
        assert (shares[truth] >= threshold).mean() >= target - 1e-9
        higher = shares[truth][shares[truth] > threshold]
        if higher.size:
            assert (shares[truth] >= higher.min()).mean() < target


def test_operating_points_lie_on_the_roc_curve(report: ClassesReport) -> None:
    assert report.roc is not None
    by_share, said = {p.name: p for p in report.points}["sensitivity-0.90"], report.points[0]

    curve = np.array([report.roc.false_positive_share, report.roc.sensitivity]).T
    assert by_share.specificity.value is not None
    point = np.array([1 - by_share.specificity.value, by_share.sensitivity.value])
    assert np.abs(curve - point).sum(axis=1).min() < 0.02
    assert (said.name, said.threshold) == ("most probable class", None)
    assert said.sensitivity.value == report.subgroups["pooled"].classes["covid19"]["recall"].value


def test_without_a_positive_film_there_is_no_roc_and_no_threshold(films: list[LabelledFilm]) -> None:
    others = [film for film in films if film.label]

    found = evaluated(_logits(others), others, CLASSES, "covid19", slope=1.0, thresholds={})

    assert found.roc is None
    assert found.source_alone is None
    assert found.points[0].sensitivity.undefined
    assert set(draw_class_plots(found)) == {CONFUSION_FILE}
    assert "| COVID-19 | 0 | 0 | 0 | 0 |" in confusion_table(found)


def test_the_confusion_matrix_shows_counts_and_is_coloured_by_row_share(report: ClassesReport) -> None:
    counts = np.array(report.subgroups["pooled"].confusion)

    panel = confusion_figure(report).axes[0]

    coloured = panel.images[0].get_array()
    assert coloured is not None
    np.testing.assert_allclose(coloured, counts / counts.sum(axis=1, keepdims=True))
    assert [text.get_text() for text in panel.texts] == [str(n) for n in counts.ravel()]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["COVID-19", "Normal", "Pneumonia"]


def test_an_empty_row_has_no_colour() -> None:
    np.testing.assert_array_equal(row_shares(np.array([[0.0, 0.0], [1.0, 3.0]])), [[0.0, 0.0], [0.25, 0.75]])


def test_every_operating_point_is_marked_and_named(report: ClassesReport) -> None:
    figure = roc_figure(report)

    assert figure is not None
    legend = figure.axes[0].get_legend()
    assert legend is not None
    names = [text.get_text() for text in legend.get_texts()]
    assert names[1:] == ["most probable class", "sensitivity-0.90: share ≥ 0.2"]
    assert draw_class_plots(report)[ROC_FILE].startswith(b"\x89PNG")


def test_the_text_has_every_subgroup_and_the_source_alone_beside_the_pooled_row(report: ClassesReport) -> None:
    text = evaluation_markdown(report)

    assert text.index("| pooled |") < text.index("| *source alone* |") < text.index("| source alpha |")
    assert all(f"| {name} |" in text for name in report.subgroups)
    assert "sensitivity-0.90" in text


def test_the_positive_class_is_covid_where_there_is_one() -> None:
    assert positive_of(CLASSES) == "covid19"
    assert positive_of(("bkl", "mel")) == "bkl"
    assert positive_of(("bkl", "mel"), "mel") == "mel"
    assert (title_of("covid19"), title_of("mel")) == ("COVID-19", "mel")
    with pytest.raises(ValueError, match="one of bkl, mel expected"):
        positive_of(("bkl", "mel"), "covid19")
