"""The lung network: views that keep what is true of them, a run that learns, a release that says what it measured."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from app.inference.artifact import verify_report
from tests.unit.training.phantom_data import rows, tiny_recipe, write_data
from training.__main__ import main
from training.datasets import read_grey, read_manifest
from training.lung_films import BOTH_LUNGS, read_references
from training.lung_finder import LungFinder, lungs_for
from training.lung_network import FACTS, LungNetwork
from training.lung_release import NonFilms, release_lungs
from training.lung_report import Looked, box_iou, limits_from, threshold_of_children
from training.lung_train import LungRecipe, LungRun, Round, dice, load_examples, own_masks
from training.lung_views import LungExample, lung_view
from training.onnx_graph import ExportError
from training.recipe import Recipe

_OTHER = np.full((40, 40), 90, np.uint8)


def _example(*, is_film: bool = True) -> LungExample:
    grey = np.tile(np.linspace(20, 230, 60, dtype=np.uint8), (70, 1))
    lungs = np.zeros((2, 70, 60), np.uint8)
    lungs[0, 15:50, 8:25] = lungs[1, 15:50, 35:52] = 255
    return LungExample(grey, lungs if is_film else None, is_film, 1.0 if is_film else math.nan)


def test_what_a_view_says_of_itself_is_consistent() -> None:
    random, seen = np.random.default_rng(0), set()
    for _ in range(200):
        view = lung_view(_example(), _OTHER, 64, random)
        assert view.canvas.shape == (64, 64)
        assert 0.0 <= float(view.canvas.min()) <= float(view.canvas.max()) <= 1.0
        assert view.lungs is not None
        assert bool(view.lungs.any()) == bool(view.frontal)
        assert math.isnan(view.paediatric) == (view.frontal == 0.0)
        seen.add((view.frontal, view.inverted, view.rotated))

    assert seen == {(1.0, i, r) for i in (0.0, 1.0) for r in (0.0, 1.0)} | {(0.0, 0.0, 0.0)}


def test_a_picture_that_is_no_film_stays_none() -> None:
    views = [lung_view(_example(is_film=False), _OTHER, 64, np.random.default_rng(seed)) for seed in range(20)]

    assert not any(view.frontal or view.inverted or view.rotated for view in views)
    assert not any(view.lungs.any() for view in views if view.lungs is not None)


def test_a_film_without_a_mask_gets_none_while_it_is_a_film() -> None:
    bare = LungExample(_example().grey, None, True, 0.0)

    views = [lung_view(bare, _OTHER, 64, np.random.default_rng(seed)) for seed in range(40)]

    assert all((view.lungs is None) == bool(view.frontal) for view in views)


def test_the_network_answers_with_facts_and_half_the_resolution() -> None:
    facts, masks = LungNetwork()(torch.zeros(2, 1, 64, 64))

    assert facts.shape == (2, len(FACTS))
    assert masks.shape == (2, 2, 32, 32)


@pytest.fixture(scope="module")
def lung_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films, masks of every other one, and a few pictures that are no films."""
    folder = tmp_path_factory.mktemp("lung_data")
    manifest = write_data(folder, [*rows("train", 8), *rows("val", 8)], size=96)
    films = read_manifest(manifest)
    with (folder / "masks.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(("image", "mask", "kind"))
        for k, film in enumerate(films[::2]):
            height, width = read_grey(film.path).shape
            mask = np.zeros((height, width), np.uint8)
            mask[height // 5 : height * 3 // 4, width // 6 : width * 2 // 5] = 255
            mask[height // 5 : height * 3 // 4, width * 3 // 5 : width * 5 // 6] = 255
            Image.fromarray(mask).save(folder / f"mask{k}.png")
            writer.writerow((film.path.relative_to(folder), f"mask{k}.png", BOTH_LUNGS))
    for name in ("tuning", "held"):
        (folder / name).mkdir()
        for k in range(2):
            noise = np.random.default_rng(k).integers(0, 255, (40, 50), dtype=np.uint8)
            Image.fromarray(noise).save(folder / name / f"{k}.png")
    return manifest


@pytest.fixture(scope="module")
def lung_run(lung_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two short rounds."""
    out = tmp_path_factory.mktemp("lung_run")
    recipe = out / "recipe.yaml"
    recipe.write_text(
        "batch_size: 8\nrounds:\n"
        "  - {epochs: 8, draws: 48, learning_rate: 0.005, drawn_share: 0.8}\n"
        "  - {epochs: 1, draws: 16, learning_rate: 0.001, drawn_share: 0.5, relabel: true}\n"
    )
    code = main(
        ["lungs", "--manifest", str(lung_data), "--non-films", f"{lung_data.parent / 'tuning'}=2",
         "--recipe", str(recipe), "--out", str(out)]
    )  # fmt: skip
    assert code == 0
    return out


def test_a_run_records_what_it_learnt_from(lung_run: Path) -> None:
    record = json.loads((lung_run / "run.json").read_text())

    assert record["films_with_drawn_masks"] == 6
    assert record["films_with_masks_per_round"][0] == 6
    assert record["non_films"] == 2


def test_a_finished_run_is_not_trained_again(lung_run: Path, lung_data: Path) -> None:
    films = [film for film in read_manifest(lung_data) if film.part == "train"]
    recipe = LungRecipe.model_validate(json.loads((lung_run / "run.json").read_text())["recipe"])
    examples = load_examples(films, read_references(lung_data.parent, films), [(_OTHER, 1.0)])
    before = torch.load(lung_run / "lungs.pt", weights_only=True)["network"]

    again = LungRun(recipe, examples, lung_run)
    again.train()

    for name, value in again.network.state_dict().items():
        assert torch.equal(value, before[name]), name
    with pytest.raises(ValueError, match="another recipe"):
        LungRun(recipe.model_copy(update={"seed": 9}), examples, lung_run).train()


def test_training_moves_the_loss_down(lung_data: Path, tmp_path: Path) -> None:
    films = [film for film in read_manifest(lung_data) if film.part == "train"]
    examples = load_examples(films, read_references(lung_data.parent, films), [(_OTHER, 1.0)])
    recipe = LungRecipe(rounds=(Round(epochs=8, draws=48, learning_rate=5e-3, drawn_share=0.8),), batch_size=8)
    run = LungRun(recipe, examples, tmp_path)
    example = examples.films[run.drawn[0]]
    assert example.lungs is not None

    def error() -> float:
        from training.lung_train import predicted

        run.network.eval()
        assert example.lungs is not None
        return float(np.abs(predicted(run.network, example.grey) - example.lungs / 255.0).mean())

    before = error()
    run.train()

    assert error() < before


def test_examples_without_a_mask_or_a_picture_are_refused(lung_data: Path, tmp_path: Path) -> None:
    films = [film for film in read_manifest(lung_data) if film.part == "train"]

    with pytest.raises(ValueError, match="no film of part train has a mask"):
        LungRun(LungRecipe(), load_examples(films, {}, [(_OTHER, 1.0)]), tmp_path)
    with pytest.raises(ValueError, match="no picture that is no film"):
        LungRun(LungRecipe(), load_examples(films, read_references(lung_data.parent, films), []), tmp_path)


def test_an_untrained_network_does_not_label_films() -> None:
    torch.manual_seed(0)

    assert own_masks(LungNetwork().eval(), _example().grey, LungRecipe()) is None


def test_a_release_measures_masks_facts_and_the_gate(lung_run: Path, lung_data: Path, tmp_path: Path) -> None:
    folders = NonFilms(lung_data.parent / "tuning", lung_data.parent / "held")

    artifact = release_lungs(lung_run, "1.2.3", tmp_path, lung_data, folders, "val")

    report = json.loads((artifact.directory / "report.json").read_text())
    assert verify_report(artifact).passed == report["verdict"]["passed"]
    assert report["masks"]["films_with_masks"] == 6
    assert report["out_of_distribution"]["held_out"]["films"] == 12
    assert report["out_of_distribution"]["held_out"]["non_films"] == 2
    assert set(report["facts"]) == set(FACTS[1:])
    assert artifact.manifest.gate["min_lung_share"] < artifact.manifest.gate["max_lung_share"]
    card = (artifact.directory / "MODEL_CARD.md").read_text()
    assert "Research use. Not for diagnostic use." in card
    assert "non-films it never saw" in card


def test_the_finder_keeps_what_it_found_and_gives_windows_where_asked(
    lung_run: Path, lung_data: Path, tmp_path: Path
) -> None:
    folders = NonFilms(lung_data.parent / "tuning", lung_data.parent / "held")
    finder = LungFinder(release_lungs(lung_run, "1.0.0", tmp_path, lung_data, folders, "val").directory)
    film = read_manifest(lung_data)[0]
    whole: Recipe = tiny_recipe()

    assert finder.of(film) is finder.of(film)
    assert lungs_for(film, whole.specification, finder) is None
    assert lungs_for(film, whole.specification, None) is None
    with pytest.raises(ValueError, match="lung network"):
        lungs_for(film, tiny_recipe(crop="lungs").specification, None)


def test_the_test_part_of_a_lung_release_needs_the_word(lung_run: Path, lung_data: Path, tmp_path: Path) -> None:
    folders = NonFilms(lung_data.parent / "tuning", lung_data.parent / "held")

    with pytest.raises(ValueError, match="once per release"):
        release_lungs(lung_run, "1.0.0", tmp_path, lung_data, folders, "test")
    assert issubclass(ExportError, ValueError)


def test_the_frontal_threshold_lies_between_films_and_the_rest() -> None:
    films, others = ([_looked(value) for value in values] for values in ([4.0, 5.0, 6.0], [-3.0, -1.0]))

    thresholds, _limits = limits_from(films, [*others, None])

    assert thresholds["frontal"] == pytest.approx(1.5)
    assert thresholds["inverted"] == 0.0


def test_where_films_and_the_rest_overlap_one_film_in_a_hundred_is_given_up() -> None:
    films = [_looked(value) for value in np.linspace(0.0, 10.0, 101)]

    thresholds, _limits = limits_from(films, [_looked(5.0)])

    assert thresholds["frontal"] == pytest.approx(0.1)


def test_a_child_is_one_where_hardly_any_adult_is() -> None:
    assert threshold_of_children([3.0], np.linspace(-5.0, 5.0, 101)) == pytest.approx(4.9)
    assert threshold_of_children([], [1.0]) == 0.0


def test_dice_and_boxes_know_agreement_and_its_absence() -> None:
    mask = np.zeros((4, 4), bool)
    mask[1:3, 1:3] = True

    assert dice(mask, mask) == 1.0
    assert dice(mask, ~mask) == 0.0
    assert box_iou((1, 1, 3, 3), (0.25, 0.25, 0.75, 0.75), 4, 4) == pytest.approx(1.0)
    assert box_iou(None, (0.0, 0.0, 1.0, 1.0), 4, 4) == 0.0


def _looked(frontal: float) -> Looked:
    from app.domain.lung_geometry import LungGeometry

    geometry = LungGeometry(share=0.3, balance=0.9, overlap=0.0, aspect=1.1, offset=0.1, certainty=0.98, edge_contact=0)
    facts = {"frontal": frontal, "inverted": -3.0, "rotated": -3.0, "paediatric": -3.0}
    return Looked(facts=facts, geometry=geometry, two_levels=0.2)
