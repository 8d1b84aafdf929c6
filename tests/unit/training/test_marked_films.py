"""Masks and boxes, as the tables beside a manifest list them."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.unit.training.phantom_data import rows, write_data
from training.audit.marked_films import INFECTION_MASKS, OPACITY_BOXES, boxes_as_mask, read_marked_films
from training.datasets import ManifestError, read_manifest


def write_table(path: Path, made: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(made[0]))
        writer.writeheader()
        writer.writerows(made)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six films; a mask on the first, boxes on the first and the second, a lung box on the third."""
    write_data(tmp_path, rows("val", 2))
    mask = np.zeros((48, 42), np.uint8)
    mask[10:20, 5:15] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    image = "images/manifest-{}.png"
    kind = "infection (ground glass or consolidation)"
    write_table(
        tmp_path / "masks.csv",
        [
            {"image": image.format(0), "mask": "mask.png", "kind": kind},
            {"image": image.format(1), "mask": "mask.png", "kind": "lungs (both)"},
        ],
    )
    box = {"x": "0.5", "y": "0", "w": "0.5", "h": "0.5"}
    lower = {"x": "0", "y": "0.5", "w": "0.5", "h": "0.5"}
    write_table(
        tmp_path / "boxes.csv",
        [
            {"image": image.format(0), "kind": "lung opacity", **box},
            {"image": image.format(1), "kind": "pneumonia", **box},
            {"image": image.format(1), "kind": "infiltrate", **lower},
            {"image": image.format(2), "kind": "left lung", **box},
        ],
    )
    return tmp_path


def test_masks_and_boxes_are_kept_apart_and_lungs_are_neither(data: Path) -> None:
    marked = read_marked_films(data, read_manifest(data / "manifest.csv"))

    assert [(film.name, film.kind) for film in marked] == [
        ("manifest-0", INFECTION_MASKS),
        ("manifest-0", OPACITY_BOXES),
        ("manifest-1", OPACITY_BOXES),
    ]
    assert marked[0].mask.sum() == 100
    assert (marked[0].part, marked[0].group) == ("val", "val-0")


def test_boxes_of_one_film_are_joined(data: Path) -> None:
    marked = read_marked_films(data, read_manifest(data / "manifest.csv"))

    assert marked[2].mask.mean() == pytest.approx(0.5)
    assert marked[2].mask[0, -1]
    assert marked[2].mask[-1, 0]
    assert not marked[2].mask[0, 0]


def test_only_the_films_that_are_given_are_read(data: Path) -> None:
    films = read_manifest(data / "manifest.csv")

    assert read_marked_films(data, films[2:]) == []


def test_a_mask_that_is_listed_and_not_there_is_an_error(data: Path) -> None:
    (data / "mask.png").unlink()

    with pytest.raises(ManifestError, match=r"mask\.png is not there"):
        read_marked_films(data, read_manifest(data / "manifest.csv"))


def test_an_empty_mask_is_an_error(data: Path) -> None:
    Image.fromarray(np.zeros((48, 42), np.uint8)).save(data / "mask.png")

    with pytest.raises(ManifestError, match="nothing is drawn"):
        read_marked_films(data, read_manifest(data / "manifest.csv"))


def test_without_tables_nothing_is_marked(tmp_path: Path) -> None:
    write_data(tmp_path, rows("val", 2))

    assert read_marked_films(tmp_path, read_manifest(tmp_path / "manifest.csv")) == []


def test_a_box_over_everything_marks_everything() -> None:
    assert boxes_as_mask([(0.0, 0.0, 1.0, 1.0)], 7, 5).all()
