"""Pictures of outlined objects in folders, as BUSI and CUB-200 come."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.domain.preprocessing import InputSpecification
from training.__main__ import main
from training.datasets import ManifestError
from training.regions.pictures import load_pictures, read_picture_folder

SPECIFICATION = InputSpecification(32, intensity="full-range")


def write_pictures(folder: Path, masks: Path | None = None, count: int = 20) -> Path:
    """Write two classes of dark pictures with a bright square, its mask beside it or in a tree; number 3 has none."""
    for name in ("benign", "malignant"):
        (folder / name).mkdir(parents=True)
        if masks is not None:
            (masks / name).mkdir(parents=True)
        for k in range(count):
            picture = np.full((40, 60), 30, np.uint8)
            picture[10:20, 2 * k : 2 * k + 10] = 220
            Image.fromarray(picture).save(folder / name / f"{name} ({k}).png")
            if k == 3:
                continue
            mask = Image.fromarray(np.where(picture > 128, np.uint8(255), np.uint8(0)))
            mask.save(folder / name / f"{name} ({k})_mask.png" if masks is None else masks / name / f"{name} ({k}).png")
    return folder


def test_masks_lie_beside_the_pictures_or_in_a_tree_of_their_own(tmp_path: Path) -> None:
    beside = read_picture_folder(write_pictures(tmp_path / "busi"))
    write_pictures(tmp_path / "cub", tmp_path / "segmentations")
    apart = read_picture_folder(tmp_path / "cub", tmp_path / "segmentations")

    for pictures in (beside, apart):
        assert len(pictures) == 40
        assert [p.path.stem for p in pictures if not p.masks] == ["benign (3)", "malignant (3)"]
    assert [p.part for p in beside] == [p.part for p in apart]


def test_each_class_is_shared_out_80_10_10_by_name_alone(tmp_path: Path) -> None:
    write_pictures(tmp_path / "all")
    write_pictures(tmp_path / "again")

    pictures = read_picture_folder(tmp_path / "all")

    for label in ("benign", "malignant"):
        parts = [p.part for p in pictures if p.label == label]
        assert {part: parts.count(part) for part in ("train", "val", "test")} == {"train": 16, "val": 2, "test": 2}
    assert [p.part for p in read_picture_folder(tmp_path / "again")] == [p.part for p in pictures]


def test_pictures_and_outlines_lie_on_each_other_in_training_and_in_measuring(tmp_path: Path) -> None:
    data = load_pictures(read_picture_folder(write_pictures(tmp_path / "busi")), SPECIFICATION)

    assert data.classes == ("benign", "malignant")
    assert (len(data.train), len(data.val), len(data.test)) == (32, 4, 4)
    for example in data.train:
        if example.outline is not None:
            assert np.mean((example.outline > 127) != (example.loaded.grey > 125)) < 0.01  # edges, once shrunk
    for measured in data.test:
        if measured.outline is not None:
            rows, columns = np.nonzero(measured.outline)
            x, y = measured.placement.to_input(columns.mean() + 0.5, rows.mean() + 0.5)
            assert measured.canvas[int(y), int(x)] > 0.7


def test_several_masks_of_a_picture_are_united(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "busi")
    more = np.zeros((40, 60), np.uint8)
    more[30:35, :5] = 255
    for k in range(20):
        Image.fromarray(more).save(folder / "benign" / f"benign ({k})_mask_1.png")

    data = load_pictures(read_picture_folder(folder), SPECIFICATION)

    united = [e.outline for e in (*data.val, *data.test) if e.label == 0]
    assert all(outline is not None and outline[32, 2] for outline in united)


def test_only_the_classes_that_are_asked_for_are_read(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "busi")

    found = read_picture_folder(folder, classes=["malignant", "benign"])

    assert list(dict.fromkeys(p.label for p in found)) == ["malignant", "benign"]
    assert {p.label for p in read_picture_folder(folder, classes=["benign"])} == {"benign"}
    with pytest.raises(ManifestError, match="no folder 'normal'"):
        read_picture_folder(folder, classes=["normal"])


def test_a_mask_of_another_size_and_a_class_of_two_pictures_are_refused(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "busi")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "benign" / "benign (0)_mask.png")
    few = write_pictures(tmp_path / "few", count=2)

    with pytest.raises(ManifestError, match="another size"):
        load_pictures(read_picture_folder(folder), SPECIFICATION)
    with pytest.raises(ManifestError, match="holds 2 pictures"):
        read_picture_folder(few)


def test_the_paper_s_recipe_is_planned_on_such_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_pictures(tmp_path / "busi")
    smaller = ["architecture=resnet18", "stages=[{epochs: 1, size_px: 32}]", "initial_weights=scratch"]
    changes = [word for change in smaller for word in ("--set", change)]

    given = ["regions", "--recipe", "paper", "--pictures", str(folder), "--dry-run", "--out", str(tmp_path / "out")]
    assert main([*given, *changes]) == 0

    said = capsys.readouterr().out
    assert "16 benign, 16 malignant" in said
    assert main([*given, *changes, "--manifest", "films.csv"]) == 1
    assert "leave --manifest out" in capsys.readouterr().err
