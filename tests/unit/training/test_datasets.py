"""Manifests, labels and splits."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.domain.label_hierarchy import ENSEMBLE_LABELS
from app.domain.preprocessing import InputSpecification
from tests.unit.training.phantom_data import Row, rows, tiny_recipe, with_split, write_data
from training.datasets import ManifestError, read_grey, read_manifest
from training.labels import ensemble_targets
from training.loading import load_inputs
from training.onnx_session import serving_input
from training.splits import SplitError, check_groups
from training.train import select_films

_ADULT = Row("train", "alpha", "p1", 1, 1)


def test_a_run_fails_if_a_patient_group_is_in_two_parts(tmp_path: Path) -> None:
    made = [*rows("train", 4), *rows("val", 4)]
    manifest = write_data(tmp_path, [*made, with_split(made[0], "test")])

    with pytest.raises(SplitError, match="train-0"):
        select_films(tiny_recipe(), [manifest])


def test_a_run_fails_if_a_group_crosses_between_two_manifests(tmp_path: Path) -> None:
    one = write_data(tmp_path, [*rows("train", 4), *rows("val", 4)], file="one.csv")
    other = write_data(tmp_path, [Row("val", "gamma", "train-0", 0, 0)], file="other.csv")

    with pytest.raises(SplitError, match="1 patient groups"):
        select_films(tiny_recipe(), [one, other])


def test_an_unknown_part_is_an_error(tmp_path: Path) -> None:
    manifest = write_data(tmp_path, [_ADULT, with_split(_ADULT, "holdout")])
    film = read_manifest(write_data(tmp_path, [_ADULT], file="other.csv"))[0]

    with pytest.raises(ManifestError, match="line 3: split 'holdout'; one of train"):
        read_manifest(manifest)
    with pytest.raises(SplitError, match="'holdout'"):
        check_groups([replace(film, part="holdout")])


def test_all_that_is_wrong_is_named_at_once_the_first_ten_lines_of_it(tmp_path: Path) -> None:
    manifest = write_data(tmp_path, [with_split(_ADULT, "holdout")] * 12)

    with pytest.raises(ManifestError, match=r"line 2: .*; line 11: .*; 2 more$"):
        read_manifest(manifest)


def test_a_manifest_whose_labels_are_misspelt_has_none(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("path,split,dataset,covid_19\nfilm.png,train,here,1\n")

    with pytest.raises(ManifestError, match="has no label: one of pneumonia, viral, covid19"):
        read_manifest(manifest)


def test_a_manifest_without_a_film_is_an_error(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("path,split,dataset,covid19\n")

    with pytest.raises(ManifestError, match="lists no film"):
        read_manifest(manifest)


def test_the_error_of_an_unreadable_label_names_the_line(tmp_path: Path) -> None:
    manifest = write_data(tmp_path, rows("train", 4))
    lines = manifest.read_text().splitlines()
    fields = lines[2].split(",")
    fields[7] = "maybe"
    manifest.write_text("\n".join([*lines[:2], ",".join(fields), *lines[3:]]))

    with pytest.raises(ManifestError, match=r"line 3: label covid19='maybe'"):
        read_manifest(manifest)


def test_the_error_of_an_absent_film_names_the_line(tmp_path: Path) -> None:
    manifest = write_data(tmp_path, rows("train", 4))
    (tmp_path / "images" / "manifest-1.png").unlink()

    with pytest.raises(ManifestError, match=r"line 3: images/manifest-1\.png is not there"):
        read_manifest(manifest)


def test_the_error_of_a_missing_column_names_it(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("path,split\n")

    with pytest.raises(ManifestError, match="dataset"):
        read_manifest(manifest)


def test_two_manifests_of_one_name_both_leave_their_hash(tmp_path: Path) -> None:
    manifests = [write_data(tmp_path / part, rows(part, 4)) for part in ("train", "val")]

    hashes = select_films(tiny_recipe(), manifests).manifests

    assert set(hashes) == {"train/manifest.csv", "val/manifest.csv"}


def test_training_and_serving_prepare_a_film_alike(tmp_path: Path) -> None:
    films = read_manifest(write_data(tmp_path, rows("train", 2), size=70))
    specification = InputSpecification(64)

    prepared = load_inputs(films, specification)

    for film, grey in zip(films, prepared, strict=True):
        served = serving_input(read_grey(film.path), specification)
        normalised = (grey[None] - np.array(specification.mean)[:, None, None]) / np.array(specification.std)[
            :, None, None
        ]
        np.testing.assert_allclose(served[0], normalised, atol=1e-5)


def test_a_species_is_never_found_inside_another_word() -> None:
    row = {"pneumonia": "1", "dataset": "ieee8023", "finding": "Pneumonia/Bacterial/Streptococcus"}

    targets = dict(zip(ENSEMBLE_LABELS, ensemble_targets(row), strict=True))

    assert targets["streptococcus"] == 1
    assert targets["klebsiella"] == 0
    assert math.isnan(targets["covid19"])
