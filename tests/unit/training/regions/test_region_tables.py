"""Measuring region networks, and tables of them: hand-made networks with known answers, sklearn as the oracle."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score
from torch import Tensor

from app.domain.preprocessing import place
from training.__main__ import main
from training.networks.saliency import SaliencyNetwork, SaliencyPredictionNetwork
from training.regions.examples import MeasuredExample, load_birds
from training.regions.experiment import planned, run_experiment
from training.regions.measuring import Marks, MeasuredFilm, MeasuredRun, classification, entropy_nats, measure
from training.regions.recipe import load_region_recipe
from training.regions.tables import RegionTable, region_table
from training.regions.tables_text import table_markdown

SIDE = 32


def _film(label: int, logits: tuple[float, ...], group: str, region_iou: float | None = 0.5) -> MeasuredFilm:
    marks = None
    if region_iou is not None:
        marks = Marks(share=0.1, map_hit=1.0, map_energy=0.3, map_iou=0.2, region_iou=region_iou)
    return MeasuredFilm(
        group=group,
        label=label,
        logits=logits,
        is_clear=region_iou is None,
        outline=marks,
        part=None,
        area=0.0 if region_iou is None else 0.2,
        flags=("empty_region",) if region_iou is None else (),
        map_entropy=1.0,
        agreement_iou=None,
        agreement_energy=None,
        agreement_correlation=None,
    )


def _run(row: str, seed: int, films: list[MeasuredFilm]) -> MeasuredRun:
    return MeasuredRun(
        row=row, seed=seed, classes=("a", "b", "c"), part="val", outlines_shown=3, seconds=1.0, films=tuple(films)
    )


def _random_films(seed: int, classes: int = 3, count: int = 60) -> list[MeasuredFilm]:
    random = np.random.default_rng(seed)
    labels = np.random.default_rng(99).integers(0, classes, count)
    return [
        _film(int(label), tuple(random.normal(0, 1, classes) + 1.5 * np.eye(classes)[label]), f"p{k // 2}")
        for k, label in enumerate(labels)
    ]


def test_the_averages_over_classes_are_sklearns_and_their_mean_is_over_seeds() -> None:
    runs = [_run("cross-entropy:1", seed, _random_films(seed)) for seed in (1, 2, 3)]

    cells = region_table("t", runs, rounds=200).rows[0].cells

    each = []
    for run in runs:
        truth, said = [f.label for f in run.films], [int(np.argmax(f.logits)) for f in run.films]
        each.append(precision_recall_fscore_support(truth, said, average="macro")[:3])
    for name, values in zip(("precision", "sensitivity", "f1"), np.array(each).T, strict=True):
        assert cells[name].value == pytest.approx(values.mean())
        assert cells[name].deviation == pytest.approx(values.std(ddof=1))
        low, high = cells[name].low, cells[name].high
        assert low is not None
        assert high is not None
        assert low < values.mean() < high


def test_the_area_under_the_curve_of_two_and_of_more_classes_is_sklearns() -> None:
    for classes in (2, 3):
        films = _random_films(5, classes)
        logits, truth = np.array([f.logits for f in films]), np.array([f.label for f in films])
        if classes == 2:
            expected = roc_auc_score(truth, logits[:, 1] - logits[:, 0])
        else:
            expected = np.mean([roc_auc_score(truth == k, logits[:, k]) for k in range(classes)])

        cell = region_table("t", [_run("l1:1", 1, films)], rounds=150).rows[0].cells["auroc"]

        assert cell.value == pytest.approx(expected)
        assert classification(logits.astype(np.float32), truth.tolist())["auroc"] == pytest.approx(expected)


def test_a_gain_is_the_difference_on_the_same_draws_and_nothing_beside_itself() -> None:
    same = _random_films(1)
    runs = [_run("cross-entropy:1", 1, same), _run("baseline", 1, same)]

    first, baseline = region_table("t", runs, rounds=150).rows

    assert (first.gains["f1"].value, first.gains["f1"].low, first.gains["f1"].high) == (0.0, 0.0, 0.0)
    assert baseline.gains == {}


def test_a_plain_classifier_has_no_region_in_the_table() -> None:
    runs = [_run("cross-entropy:1", 1, _random_films(1)), _run("baseline", 1, _random_films(2))]

    table = region_table("t", runs, rounds=150)

    assert table.rows[0].cells["region_iou"].value == pytest.approx(0.5)
    assert table.rows[1].cells["region_iou"].value is None
    assert "|baseline|3|-|" in table_markdown(table)


def test_films_without_outline_count_only_where_nothing_should_be_found() -> None:
    films = [*_random_films(1), *(_film(0, (1.0, 0.0, 0.0), f"q{k}", None) for k in range(4))]

    row = region_table("t", [_run("l2:1", 1, films)], rounds=150).rows[0]

    assert row.outlined == 60
    assert row.cells["region_iou"].value == pytest.approx(0.5)
    assert row.cells["region_nothing"].value == 0.0
    assert row.cells["region_empty_if_clear"].value == 1.0


def test_runs_on_other_films_are_not_averaged() -> None:
    with pytest.raises(ValueError, match="different films"):
        region_table("t", [_run("l1:1", 1, _random_films(1)), _run("l1:1", 2, _random_films(1)[:-1])])
    with pytest.raises(ValueError, match="no run"):
        region_table("t", [])


class _BrighterThanHalf(SaliencyPredictionNetwork):
    """Even odds where the first feature is a half, on the features' own grid."""

    def forward(self, features: Tensor, size_px: int) -> Tensor:
        cells = torch.nn.functional.interpolate(features[:, :1], size=(size_px, size_px), mode="nearest")
        return 40.0 * (cells - 0.5)


class _Planted(SaliencyNetwork):
    """Its features are the film itself in cells of eight pixels; its region is what is brighter than half."""

    def __init__(self) -> None:
        super().__init__("resnet18", 2)
        self.spn = _BrighterThanHalf(512)

    def features(self, films: Tensor) -> Tensor:
        cells = torch.nn.functional.avg_pool2d(films[:, :1] * 0.229 + 0.485, 8)
        return torch.cat([cells, torch.zeros(len(films), 511, *cells.shape[2:])], 1)


def _planted() -> SaliencyNetwork:
    network = _Planted().eval()
    head = network.trunk.get_submodule("fc")
    assert isinstance(head, torch.nn.Linear)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
        head.weight[1, 0] = 3.0
    return network


def test_a_network_that_sees_the_outline_hits_it_and_agrees_with_itself() -> None:
    canvas = np.zeros((SIDE, SIDE), np.float32)
    canvas[8:16, 16:24] = 1.0
    placement = place(SIDE, SIDE, SIDE)
    inside, beside = canvas > 0, np.roll(canvas > 0, 16, axis=0)
    films = [MeasuredExample(canvas, placement, outline, None, False, 1, "p") for outline in (inside, beside, None)]

    hit, missed, without = measure(_planted(), films)

    assert hit.outline is not None
    assert missed.outline is not None
    assert (hit.outline.region_iou, hit.outline.map_hit) == (1.0, 1.0)
    assert (missed.outline.region_iou, missed.outline.map_hit) == (0.0, 0.0)
    assert hit.outline.share == pytest.approx(64 / SIDE**2)
    assert hit.area == pytest.approx(64 / SIDE**2)
    assert hit.map_entropy == pytest.approx(0.0)
    assert hit.agreement_correlation is not None
    assert hit.agreement_correlation > 0.7
    assert without.outline is None
    assert without.flags == ()


def test_a_film_on_which_nothing_is_found_is_flagged_empty() -> None:
    dark = MeasuredExample(np.zeros((SIDE, SIDE), np.float32), place(SIDE, SIDE, SIDE), None, None, True, 0, "p")

    (found,) = measure(_planted(), [dark])

    assert found.flags == ("empty_region",)
    assert found.map_entropy is None
    assert found.agreement_iou is None


def test_entropy_is_that_of_equal_cells_and_of_one() -> None:
    assert entropy_nats(np.ones((4, 4))) == pytest.approx(np.log(16))
    assert entropy_nats(np.eye(1)) == 0.0


def test_an_experiment_is_every_row_times_every_seed_and_the_plain_classifier() -> None:
    base = load_region_recipe("birds")

    plan = planned(base, ["l1:1", "l2:0.25"], [4, 5], ["resnet18", "resnet34"])

    assert len(plan) == 2 * 3 * 2
    assert len({one.folder for one in plan}) == len(plan)
    assert [one.recipe.label_ratio for one in plan if one.row.endswith("baseline")] == [0.0] * 4
    assert {one.recipe.localisation_loss for one in plan if "l2" in one.row} == {"l2"}
    with pytest.raises(ValueError, match="LOSS:RATIO"):
        planned(base, ["l1"], [1])
    with pytest.raises(ValueError, match="localisation_loss"):
        planned(base, ["dice:1"], [1])


def test_an_experiment_is_carried_on_with_and_leaves_no_checkpoints(tmp_path: Path) -> None:
    base = load_region_recipe("birds")
    small = {"stages": [{"epochs": 1, "size_px": 32}], "architecture": "resnet18", "mixed_precision": False}
    base = type(base).model_validate({**base.model_dump(), **small})
    data = load_birds(32, {"train": 4, "val": 1, "test": 2})
    plan = planned(base, ["cross-entropy:0.25"], [1])

    table = run_experiment("birds", plan, data, tmp_path)
    written = (tmp_path / "cross-entropy-0.25-seed1" / "measured.json").stat().st_mtime_ns
    again = run_experiment("birds", plan, data, tmp_path)

    assert again == table == RegionTable.model_validate_json((tmp_path / "table.json").read_text())
    assert [row.row for row in table.rows] == ["cross-entropy:0.25", "baseline"]
    assert [row.outlines_shown for row in table.rows] == [4.0, 0.0]
    assert table.part == "test"
    assert (tmp_path / "cross-entropy-0.25-seed1" / "measured.json").stat().st_mtime_ns == written
    assert not list(tmp_path.rglob("*.pt"))


def test_the_verb_refuses_a_manifest_where_birds_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["region-tables", "--recipe", "birds", "--manifest", "films.csv", "--out", str(tmp_path)]

    assert main(given) == 1
    assert "drawn birds" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["regions", "region-tables"])
def test_the_verbs_explain_themselves(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([verb, "--help"])

    assert left.value.code == 0
    said = capsys.readouterr().out
    assert "--recipe" in said
    assert "opacities" in said
