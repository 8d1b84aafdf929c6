"""Metrics of many labels against scikit-learn, torchmetrics and the golden file; what is empty stays undefined."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score
from torchmetrics.classification import MultilabelF1Score, MultilabelSpecificity

from app.domain.discrimination import auroc
from training.label_metrics import AUROC, METRICS, label_counts, label_metrics, metrics_of

Values = NDArray[np.float64]
_LABELS = ("one", "two", "three", "four")
_KINDS: tuple[Literal["micro", "macro"], ...] = ("micro", "macro")
_GOLDEN = Path(__file__).parents[2] / "golden" / "addk.json"


def _films(count: int = 90, seed: int = 3) -> tuple[Values, Values, NDArray[np.str_]]:
    """Truth, probabilities and patients (two films each) of four labels that are told apart moderately well."""
    random = np.random.default_rng(seed)
    truth = (random.random((count, 4)) < (0.5, 0.3, 0.2, 0.4)).astype(np.float64)
    probabilities = np.clip(0.35 * truth + random.random((count, 4)) * 0.7, 0, 1)
    return truth, probabilities, (np.arange(count) // 2).astype(str)


def _value(metric: object) -> float:
    value = getattr(metric, "value", None)
    assert isinstance(value, float)
    return value


@pytest.mark.parametrize("average", ["micro", "macro", None])
def test_precision_recall_and_f1_are_those_of_scikit_learn(average: str | None) -> None:
    truth, probabilities, groups = _films()
    thresholds = np.array([0.5, 0.4, 0.3, 0.6])

    found = label_metrics(truth, probabilities, groups, _LABELS, thresholds, rounds=0)

    expected = precision_recall_fscore_support(truth, probabilities >= thresholds, average=average)[:3]
    for name, values in zip(METRICS, expected, strict=False):
        if average is None:
            np.testing.assert_allclose([_value(row.metrics[name]) for row in found.labels.values()], values)
        else:
            assert _value(getattr(found, average)[name]) == pytest.approx(values)


def test_specificity_and_f1_are_those_of_torchmetrics() -> None:
    truth, probabilities, groups = _films()

    found = label_metrics(truth, probabilities, groups, _LABELS, rounds=0)

    scores, there = torch.from_numpy(probabilities), torch.from_numpy(truth).int()
    for name, oracle in (("specificity", MultilabelSpecificity), ("f1", MultilabelF1Score)):
        micro, macro = (float(oracle(num_labels=4, average=kind)(scores, there)) for kind in _KINDS)
        assert _value(found.micro[name]) == pytest.approx(micro, abs=1e-6)
        assert _value(found.macro[name]) == pytest.approx(macro, abs=1e-6)


def test_every_auroc_is_that_of_scikit_learn_and_of_the_domain() -> None:
    truth, probabilities, groups = _films()

    found = label_metrics(truth, probabilities, groups, _LABELS, rounds=0)

    areas = [_value(row.metrics[AUROC]) for row in found.labels.values()]
    np.testing.assert_allclose(areas, roc_auc_score(truth, probabilities, average=None))
    np.testing.assert_allclose(areas, [auroc(truth[:, k], probabilities[:, k]) for k in range(4)])
    assert _value(found.macro[AUROC]) == pytest.approx(np.mean(areas))


def test_the_averages_are_those_of_the_golden_file() -> None:
    case = json.loads(_GOLDEN.read_text(encoding="utf-8"))["extras"]["micro_macro"]
    tp, fp, fn = (np.array(case["per_class"][name], np.float64) for name in ("TP", "FP", "FN"))
    counts = np.stack([tp, fp, np.full(3, 50.0), fn])

    macro, micro = metrics_of(counts).mean(axis=1), metrics_of(counts.sum(axis=1))

    for k, (name, golden) in enumerate((("precision", "precision"), ("recall", "recall"), ("f1", "f1_mean_of_f1"))):
        assert macro[k] == pytest.approx(case["macro"][golden], rel=1e-12)
        assert micro[k] == pytest.approx(case["micro"][name], rel=1e-12)


def test_films_that_give_the_golden_counts_give_the_golden_averages() -> None:
    case = json.loads(_GOLDEN.read_text(encoding="utf-8"))["extras"]["micro_macro"]
    columns = []
    for tp, fp, fn in zip(*(case["per_class"][name] for name in ("TP", "FP", "FN")), strict=True):
        answers = [(1.0, 0.9)] * tp + [(0.0, 0.8)] * fp + [(1.0, 0.2)] * fn
        columns.append(np.array(answers + [(0.0, 0.1)] * (60 - len(answers))))
    truth, probabilities = np.stack(columns, axis=1).transpose(2, 0, 1)

    found = label_metrics(truth, probabilities, np.arange(60).astype(str), ("a", "b", "c"), rounds=0)

    assert _value(found.macro["f1"]) == pytest.approx(case["macro"]["f1_mean_of_f1"])
    assert _value(found.macro["f1"]) != pytest.approx(case["macro"]["f1_of_macro_pr"], abs=1e-4)
    assert _value(found.micro["f1"]) == pytest.approx(case["micro"]["f1"])


def test_unknown_labels_and_refused_films_are_counted_nowhere() -> None:
    truth, probabilities, groups = _films()
    masked, refused = truth.copy(), probabilities.copy()
    masked[::3, 1] = np.nan
    refused[1::3, 1] = np.nan

    found = label_metrics(masked, refused, groups, _LABELS, rounds=0)

    left = np.arange(len(truth)) % 3 == 2
    alone = label_metrics(truth[left][:, [1]], probabilities[left][:, [1]], groups[left], ("two",), rounds=0)
    assert found.labels["two"] == alone.labels["two"]
    assert found.labels["two"].films == left.sum()
    assert found.labels["one"] == label_metrics(truth, probabilities, groups, _LABELS, rounds=0).labels["one"]


def test_a_label_without_a_positive_is_undefined_and_averages_leave_it_out() -> None:
    truth, probabilities, groups = _films()
    truth[:, 2] = 0

    found = label_metrics(truth, probabilities, groups, _LABELS, rounds=0)

    empty = found.labels["three"]
    assert empty.fp > 0
    for name in ("precision", "recall", "f1", AUROC):
        assert empty.metrics[name].value is None
        assert empty.metrics[name].undefined
    assert _value(empty.metrics["specificity"]) == pytest.approx(empty.tn / (empty.tn + empty.fp))
    others = [found.labels[label].metrics["f1"] for label in ("one", "two", "four")]
    assert _value(found.macro["f1"]) == pytest.approx(np.mean([_value(metric) for metric in others]))


def test_false_alarms_of_an_empty_label_still_cost_micro_precision() -> None:
    truth, probabilities, groups = _films()
    truth[:, 2] = 0
    without = label_metrics(truth[:, :2], probabilities[:, :2], groups, _LABELS[:2], rounds=0)

    with_empty = label_metrics(truth[:, :3], probabilities[:, :3], groups, _LABELS[:3], rounds=0)

    assert _value(with_empty.micro["precision"]) < _value(without.micro["precision"])
    assert with_empty.micro["recall"].value == without.micro["recall"].value


def test_a_label_that_is_never_said_has_no_precision_but_an_f1_of_zero() -> None:
    found = label_metrics(np.array([[1.0], [0.0]]), np.array([[0.1], [0.2]]), np.array(["p", "q"]), ("x",), rounds=0)

    metrics = found.labels["x"].metrics
    assert metrics["precision"].undefined
    assert metrics["recall"].value == 0
    assert metrics["f1"].value == 0


def test_a_probability_at_the_threshold_says_yes() -> None:
    counts = label_counts(np.array([[1.0]]), np.array([[0.5]]), np.array([0.5]))

    np.testing.assert_array_equal(counts[:, 0, 0], [1, 0, 0, 0])


def test_intervals_hold_the_value_and_copies_of_films_do_not_narrow_them() -> None:
    truth, probabilities, groups = _films(240)
    once = label_metrics(truth, probabilities, groups, _LABELS)

    twice = label_metrics(
        np.concatenate([truth, truth]),
        np.concatenate([probabilities, probabilities]),
        np.concatenate([groups, groups]),
        _LABELS,
    )

    for metric in (*once.micro.values(), *once.macro.values(), *once.labels["one"].metrics.values()):
        assert metric.low is not None
        assert metric.high is not None
        assert metric.low < _value(metric) < metric.high
    assert twice.micro["f1"].low == pytest.approx(once.micro["f1"].low)


def test_a_perfect_share_of_few_patients_is_not_certain() -> None:
    truth, probabilities = np.array([[1.0], [1.0], [0.0]]), np.array([[0.9], [0.8], [0.1]])

    found = label_metrics(truth, probabilities, np.array(["p", "q", "r"]), ("x",))

    recall = found.labels["x"].metrics["recall"]
    assert recall.value == 1
    assert recall.low is not None
    assert recall.low < 0.4
    assert found.labels["x"].metrics["f1"].low is None


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    truth, probabilities, groups = _films()

    with pytest.raises(ValueError, match="4 labels"):
        label_metrics(truth[:, :3], probabilities, groups, _LABELS)
