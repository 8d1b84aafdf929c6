"""Masks and boxes of the lungs, as people drew them, become two planes."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.unit.training.phantom_data import rows, write_data
from training.datasets import ManifestError, read_manifest
from training.lung_films import BOTH_LUNGS, LungReference, lung_masks, read_pictures, read_references, separate_lungs
from training.lung_network import LUNGS


def _two_areas() -> np.ndarray:
    both = np.zeros((40, 60), bool)
    both[10:30, 8:22] = True
    both[10:30, 36:54] = True
    return both


def test_two_areas_are_the_right_and_the_left_lung() -> None:
    both = _two_areas()

    right, left = separate_lungs(both, {})

    assert right[:, :30].sum() == 20 * 14
    assert left[:, 30:].sum() == 20 * 18
    np.testing.assert_array_equal(right | left, both)
    assert not (right & left).any()


def test_lungs_that_touch_are_cut_between_their_boxes() -> None:
    both = np.zeros((40, 60), bool)
    both[10:30, 8:54] = True
    boxes = {LUNGS[0]: (8 / 60, 0.25, 20 / 60, 0.75), LUNGS[1]: (22 / 60, 0.25, 54 / 60, 0.75)}

    right, left = separate_lungs(both, boxes)

    assert np.nonzero(right)[1].max() < np.nonzero(left)[1].min()
    assert int(np.nonzero(left)[1].min()) == 26


def test_a_piece_that_reaches_over_the_middle_stays_with_its_lung() -> None:
    both = _two_areas()
    both[28:30, 22:31] = True

    right, _left = separate_lungs(both, {})

    assert bool(right[29, 30])


def test_references_are_read_from_the_tables_beside_the_manifest(tmp_path: Path) -> None:
    manifest = write_data(tmp_path, rows("train", 4))
    films = read_manifest(manifest)
    names = [str(film.path.relative_to(tmp_path)) for film in films]
    mask = np.zeros((48, 42), np.uint8)
    mask[10:40, 5:18] = mask[10:40, 24:38] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    _table(
        tmp_path / "masks.csv",
        ("image", "mask", "kind"),
        [(names[0], "mask.png", BOTH_LUNGS), (names[0], "x", "airways")],
    )
    _table(
        tmp_path / "boxes.csv",
        ("image", "kind", "x", "y", "w", "h"),
        [(names[1], "right lung", 0.1, 0.2, 0.3, 0.5), (names[1], "infection", 0, 0, 1, 1)],
    )

    references = read_references(tmp_path, films)

    assert set(references) == {films[0].path, films[1].path}
    assert references[films[1].path] == LungReference(None, {"right_lung": (0.1, 0.2, 0.4, 0.7)})
    assert lung_masks(films[1], references[films[1].path]) is None
    drawn = lung_masks(films[0], references[films[0].path])
    assert drawn is not None
    assert drawn.shape == (2, 48, 42)
    assert int(drawn.sum()) == int((mask > 0).sum())


def test_a_mask_that_is_listed_but_absent_is_named(tmp_path: Path) -> None:
    films = read_manifest(write_data(tmp_path, rows("train", 4)))
    name = str(films[0].path.relative_to(tmp_path))
    _table(tmp_path / "masks.csv", ("image", "mask", "kind"), [(name, "gone.png", BOTH_LUNGS)])

    with pytest.raises(ManifestError, match=r"gone\.png"):
        read_references(tmp_path, films)


def test_without_tables_there_is_no_reference(tmp_path: Path) -> None:
    assert read_references(tmp_path, read_manifest(write_data(tmp_path, rows("train", 4)))) == {}


def test_pictures_of_a_folder_are_read_as_grey(tmp_path: Path) -> None:
    Image.new("RGB", (8, 6), (255, 0, 0)).save(tmp_path / "a.png")
    (tmp_path / "note.txt").write_text("no picture")

    (picture,) = read_pictures(tmp_path)

    assert picture.shape == (6, 8)
    assert picture.dtype == np.uint8


def _table(path: Path, columns: tuple[str, ...], lines: list[tuple[object, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([columns, *lines])
