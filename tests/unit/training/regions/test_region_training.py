"""Training of region networks: what is drawn, which gradients flow, and that no outline means a plain classifier."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.unit.training.regions.outlined_films import tiny_region_recipe, write_outlined
from training.__main__ import main
from training.networks.saliency import SaliencyNetwork
from training.regions.batches import RegionBatch, RegionDrawer, drawing_chances
from training.regions.drawn_birds import KINDS, draw_bird
from training.regions.examples import RegionData, load_birds
from training.regions.recipe import RegionRecipe, load_region_recipe, region_recipe_names
from training.regions.run import RegionRun, load_region_run
from training.regions.sources import load_data
from training.regions.task import RegionTask


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_outlined(tmp_path_factory.mktemp("outlined"))


@pytest.fixture(scope="module")
def data(manifest: Path) -> RegionData:
    return load_data(tiny_region_recipe(), [manifest], None)[0]


@pytest.fixture(scope="module")
def trained(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("run")
    given = ["--manifest", str(manifest), "--out", str(directory)]
    recipe = directory / "recipe.yaml"
    recipe.write_text(tiny_region_recipe().model_dump_json(), encoding="utf-8")  # JSON is YAML
    assert main(["regions", "--recipe", str(recipe), *given]) == 0
    return directory


def _batch(films: int, outlined: list[int], size_px: int = 32) -> RegionBatch:
    random = torch.Generator().manual_seed(3)
    return RegionBatch(
        torch.randn(films, 3, size_px, size_px, generator=random),
        torch.arange(films) % 2,
        torch.tensor(outlined, dtype=torch.int64),
        (torch.rand(len(outlined), 1, size_px, size_px, generator=random) < 0.4).float(),
    )


def test_every_outline_and_no_other_is_read_onto_the_films(data: RegionData) -> None:
    outlined = [e for e in data.train if e.outline is not None]

    assert {e.label for e in outlined} == {1}
    assert len(outlined) == sum(e.label for e in data.train)
    for example in outlined:
        assert example.outline is not None
        rows = np.nonzero(example.outline.mean(axis=1) > 127)[0]
        assert rows.max() < example.outline.shape[0] / 2 + 1


def test_opacities_are_masks_and_boxes_and_films_without_finding_may_count_as_empty(manifest: Path) -> None:
    recipe = tiny_region_recipe(region="opacities", target="pneumonia", clear_is_empty=True)

    train = load_data(recipe, [manifest], None)[0].train

    ill = [e.outline for e in train if e.label == 1 and e.source != "kids"]
    well = [e.outline for e in train if e.label == 0]
    assert all(outline is not None and outline.any() for outline in ill)
    assert all(outline is not None and not outline.any() for outline in well)
    assert [e.outline for e in train if e.label == 1 and e.source == "kids"] == [None] * 2


def test_lungs_are_read_as_one_region(manifest: Path) -> None:
    train = load_data(tiny_region_recipe(region="lungs"), [manifest], None)[0].train

    shares = [float((e.outline > 127).mean()) for e in train if e.outline is not None]
    assert len(shares) == 16
    assert 0.1 < min(shares) <= max(shares) < 0.5


@pytest.mark.parametrize("kind", ["cross-entropy", "l1", "l2"])
def test_films_without_an_outline_get_the_gradient_of_their_class_alone(data: RegionData, kind: str) -> None:
    task = RegionTask(tiny_region_recipe(localisation_loss=kind, localisation_weight=5.0), data)
    torch.nn.init.normal_(task.network.trunk.get_submodule("fc").weight)  # type: ignore[arg-type]  # a linear layer's
    task.network.eval()  # the features' own batch normalisation would join the films
    task.network.spn.train()
    batch = _batch(5, [1, 3])
    features = task.network.features(batch.films).detach().requires_grad_()
    task.network.features = lambda _: features  # type: ignore[method-assign,assignment]  # what the gradients are of
    logits = task.network.classify(features)
    losses = (task.loss(batch), functional.cross_entropy(logits, batch.labels))
    gradients = [torch.autograd.grad(loss, features)[0] for loss in losses]

    apart = (gradients[0] - gradients[1]).abs().amax(dim=(1, 2, 3))

    assert float(apart[[0, 2, 4]].max()) == 0.0
    assert float(apart[[1, 3]].min()) > 0.0


def test_the_localisation_part_is_the_same_whatever_else_is_in_the_batch(data: RegionData) -> None:
    task = RegionTask(tiny_region_recipe(localisation_weight=1.0), data)
    task.network.eval()
    all_, few = _batch(8, [0, 1]), _batch(8, [0, 1])
    few = replace(few, films=few.films[:2], labels=few.labels[:2])
    with torch.no_grad():
        apart = [
            float(task.loss(batch) - functional.cross_entropy(task.network(batch.films)[0], batch.labels))
            for batch in (all_, few)
        ]

    assert apart[0] == pytest.approx(apart[1], rel=1e-4)
    assert apart[0] > 0.1


def _stepped(task: RegionTask, recipe: RegionRecipe) -> SaliencyNetwork:
    optimiser = torch.optim.SGD(task.parameters(), 0.05)
    task.train_mode()
    for epoch in (0, 0):
        for batch in task.batches(epoch):
            optimiser.zero_grad()
            task.loss(batch).backward()  # type: ignore[no-untyped-call]  # torch's gap
            optimiser.step()
    return task.network


def test_no_outline_shown_or_no_weight_is_the_training_of_a_plain_classifier(data: RegionData) -> None:
    ratio, weight = (
        tiny_region_recipe(draws_per_epoch=16, **{name: 0.0}) for name in ("label_ratio", "localisation_weight")
    )
    plain_task = RegionTask(ratio, data)
    plain = plain_task.network.trunk
    optimiser = torch.optim.SGD(plain.parameters(), 0.05)
    plain.train()
    for epoch in (0, 0):
        for batch in plain_task.batches(epoch):
            optimiser.zero_grad()
            functional.cross_entropy(plain(batch.films), batch.labels).backward()  # type: ignore[no-untyped-call]
            optimiser.step()

    for recipe in (ratio, weight):
        stepped = _stepped(RegionTask(recipe, data), recipe).trunk.state_dict()

        for name, value in plain.state_dict().items():
            torch.testing.assert_close(stepped[name], value, msg=name, rtol=1e-4, atol=1e-5)


def test_the_label_ratio_changes_what_is_shown_not_which_films_are_drawn(data: RegionData) -> None:
    drawers = [RegionDrawer(tiny_region_recipe(label_ratio=ratio), data.train) for ratio in (0.0, 0.25, 1.0)]

    films = [torch.cat([batch.films for batch in drawer.epoch(0)]) for drawer in drawers]
    shown = [drawer.shown for drawer in drawers]

    assert torch.equal(films[0], films[1])
    assert torch.equal(films[1], films[2])
    assert shown[0].sum() == 0
    assert shown[1].sum() == 2  # one patient of four, two films each
    assert shown[2].sum() == 8
    assert not (shown[1] & ~shown[2]).any()


def test_outlines_move_with_their_films(data: RegionData) -> None:
    settings = {"crop": 0.2, "rotation_deg": 20, "shift": 0.1, "scale": 0.2}
    moving = tiny_region_recipe(augmentation=settings, intensity="full-range")
    # the film itself as its outline: what is shown must then be what is seen, up to the window's stretching
    bright = [replace(e, outline=np.where(e.loaded.grey > 0, np.uint8(255), np.uint8(0))) for e in data.train]
    drawer = RegionDrawer(moving, bright)

    batch = next(iter(drawer.epoch(0)))

    off_film = batch.outlines[:, 0] == 0
    seen = batch.films[batch.outlined, 0] * 0.229 + 0.485
    assert float(seen[off_film].max()) < 0.03
    assert 0.05 < float(off_film.float().mean()) < 0.9


def test_outlined_films_are_drawn_at_least_as_often_as_asked(data: RegionData) -> None:
    drawn = np.array([e.outline is not None for e in data.train])
    natural = drawing_chances(data.train, tiny_region_recipe())[drawn].sum()

    more = drawing_chances(data.train, tiny_region_recipe(outlined_share=0.9))
    less = drawing_chances(data.train, tiny_region_recipe(outlined_share=0.01))

    assert more[drawn].sum() == pytest.approx(0.9)
    assert more.sum() == pytest.approx(1.0)
    assert less[drawn].sum() == pytest.approx(natural)


def test_a_finished_run_is_read_back_and_not_trained_again(trained: Path, manifest: Path) -> None:
    run = load_region_run(trained)
    record = run.record

    assert run.recipe == tiny_region_recipe()
    assert record["classes"] == ["not_covid19", "covid19"]
    assert record["outlines"] == {"train": 8, "train_shown": 8, "train_drawn_shown": 8, "val": 4}
    before = (trained / "best.pt").stat().st_mtime_ns
    data_, _ = load_data(run.recipe, [manifest], None)
    RegionRun(run.recipe, data_, trained).train()
    assert (trained / "best.pt").stat().st_mtime_ns == before


def test_an_epoch_is_drawn_alike_whenever_it_is_drawn_and_no_two_are(data: RegionData) -> None:
    recipe = tiny_region_recipe(stages=[{"epochs": 2, "size_px": 32}])
    first, again = (RegionDrawer(recipe, data.train) for _ in range(2))

    one, other = (torch.cat([batch.films for batch in first.epoch(number)]) for number in (0, 1))

    assert torch.equal(torch.cat([batch.films for batch in again.epoch(1)]), other)
    assert not torch.equal(one, other)


def test_a_dry_run_says_what_would_be_trained_and_writes_nothing(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(tiny_region_recipe(label_ratio=0.25).model_dump_json(), encoding="utf-8")
    out = tmp_path / "out"

    given = ["regions", "--recipe", str(recipe), "--manifest", str(manifest), "--out", str(out), "--dry-run"]
    assert main(given) == 0

    said = capsys.readouterr().out
    assert "8 of train" in said
    assert "2 shown" in said
    assert "4 of them outlined" in said
    assert not out.exists()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"kind": "multilabel"}, "kind"),
        ({"architecture": "densenet161"}, "densenet161"),
        ({"shortcuts": {"outside_weight": 1.0}}, "shortcuts"),
        ({"region": "lungs", "clear_is_empty": True}, "clear_is_empty"),
        ({"region": "object"}, "target"),
        ({"select_by": "within-source-auroc"}, "select_by"),
        ({"label_ratio": 1.5}, "label_ratio"),
        ({"localisation_loss": "dice"}, "localisation_loss"),
        ({"lambda": 2}, "lambda"),
    ],
)
def test_a_recipe_that_cannot_be_meant_is_refused_by_the_field(changes: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        tiny_region_recipe(**changes)


@pytest.mark.parametrize(
    ("recipe", "manifests", "word"),
    [
        ({}, False, "--manifest"),
        ({"region": "object", "target": None}, True, "drawn birds"),
        ({"crop": "lungs"}, True, "lung network"),
    ],
)
def test_data_that_do_not_fit_the_recipe_are_refused(
    manifest: Path, recipe: dict[str, object], manifests: bool, word: str
) -> None:
    with pytest.raises(ValueError, match=word):
        load_data(tiny_region_recipe(**recipe), [manifest] if manifests else [], None)


def test_films_without_any_outline_are_an_error_unless_none_is_to_be_shown(manifest: Path, tmp_path: Path) -> None:
    moved = tmp_path / "films"
    write_outlined(moved)
    (moved / "masks.csv").unlink()

    with pytest.raises(ValueError, match=r"masks\.csv"):
        load_data(tiny_region_recipe(), [moved / manifest.name], None)
    assert load_data(tiny_region_recipe(label_ratio=0.0), [moved / manifest.name], None)[0].outlined_groups == set()


def test_every_shipped_recipe_is_valid_and_unknown_ones_are_named() -> None:
    for name in region_recipe_names():
        assert load_region_recipe(name).of_films == (name not in ("birds", "paper"))
    with pytest.raises(FileNotFoundError, match="birds"):
        load_region_recipe("nothing")


def test_a_bird_is_the_same_for_the_same_seed_and_its_head_lies_on_it() -> None:
    one, again, other = draw_bird(3, 64, 5), draw_bird(3, 64, 5), draw_bird(3, 64, 6)

    assert np.array_equal(one.grey, again.grey)
    assert not np.array_equal(one.grey, other.grey)
    assert not (one.part & ~one.outline).any()
    assert 0.02 < one.part.mean() < one.outline.mean() < 0.5


def test_only_the_head_differs_in_what_depends_on_the_kind() -> None:
    """The cap's grey is all that tells kind 0 from 2: with the same draws everything else is the same picture."""
    means = np.array(
        [
            [draw_bird(kind, 64, seed).grey[draw_bird(kind, 64, seed).part].mean() for seed in range(12)]
            for kind in (0, 2)
        ]
    )
    bodies = np.array(
        [
            [
                draw_bird(kind, 64, seed)
                .grey[draw_bird(kind, 64, seed).outline & ~draw_bird(kind, 64, seed).part]
                .mean()
                for seed in range(12)
            ]
            for kind in (0, 2)
        ]
    )

    assert means[0].mean() - means[1].mean() > 40
    assert abs(bodies[0].mean() - bodies[1].mean()) < 25


def test_the_parts_of_the_drawn_set_hold_every_kind_equally_often() -> None:
    drawn = load_birds(32, {"train": 2, "val": 1, "test": 1})

    assert [e.label for e in drawn.train] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [e.label for e in drawn.val] == [e.label for e in drawn.test] == list(range(len(KINDS)))
    assert all(e.outline is not None and e.part is not None for e in drawn.val)
    assert not np.array_equal(drawn.val[0].canvas, drawn.test[0].canvas)
