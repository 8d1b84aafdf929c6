"""The command line of training: help, dry runs, changed recipes, checked and made manifests, reports."""

import csv
from pathlib import Path

import pytest
from PIL import Image

from tests.unit.training.phantom_data import Row, rows, write_data
from training.__main__ import main
from training.phantoms import radiograph_phantom
from training.recipe import recipe_names

_TINY = (
    "kind: expert\ntarget: covid19\nstages:\n  - {epochs: 1, size_px: 32}\nbatch_size: 8\ndraws_per_epoch: 16\n"
    "optimiser: {learning_rate: 0.001}\nmixed_precision: false\nseed: 7\n"
)


def _verbs(capsys: pytest.CaptureFixture[str]) -> list[str]:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    return text[text.index("{") + 1 : text.index("}")].split(",")


def test_every_verb_has_help_that_names_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    verbs = _verbs(capsys)

    for verb in verbs:
        with pytest.raises(SystemExit) as left:
            main([verb, "--help"])
        assert left.value.code == 0
        assert verb in capsys.readouterr().out
    assert {"check", "manifest", "experts", "report", "recipes", "evaluate", "release"} <= set(verbs)


@pytest.fixture
def tiny(tmp_path: Path) -> list[str]:
    (tmp_path / "tiny.yaml").write_text(_TINY)
    return ["--recipe", str(tmp_path / "tiny.yaml"), "--out", str(tmp_path / "run")]


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    tmp_path: Path, phantom_manifest: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    changed = ["--set", "stages=[{epochs: 3, size_px: 40}]", "--set", "optimiser.name=sgd", "--dry-run"]

    assert main(["experts", *tiny, "--manifest", str(phantom_manifest), *changed]) == 0

    said = capsys.readouterr().out
    assert "expert for covid19: resnet18, from scratch" in said
    assert "3 epochs at 40 px; 16 films an epoch in batches of 8, 2 steps" in said
    assert "sgd, learning rate 0.001" in said
    assert "val: 80 films" in said
    assert "alpha: 16 films; covid19 +8 -8" in said
    assert not (tmp_path / "run").exists()


def test_a_run_ends_with_a_report_that_stands_alone(
    tmp_path: Path, phantom_manifest: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["experts", *tiny, "--manifest", str(phantom_manifest)]) == 0
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    (tmp_path / "run" / "report.html").unlink()
    assert main(["report", str(tmp_path / "run"), "--manifest", str(phantom_manifest), "--films", "2"]) == 0

    again = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "report.html" in capsys.readouterr().out
    assert page.count("data:image/png;base64,") == again.count("data:image/png;base64,") == 2
    assert len(again) < len(page)  # fewer films are shown
    assert "COVID-19, within alpha" in page
    assert "http" not in page
    assert str(tmp_path) not in page


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("batch_size", "KEY=VALUE expected"),
        ("batch_size=[", "no YAML"),
        ("batchsize=3", "has no setting 'batchsize'"),
        ("optimizer.name=sgd", "has no setting 'optimizer.name'"),
        ("optimiser.name=lion", "optimiser.name: Input should be 'sgd', 'adam' or 'adamw'"),
        ("optimiser.speed=3", "optimiser.speed: Extra inputs are not permitted"),
    ],
)
def test_a_change_that_the_recipe_does_not_take_is_a_clear_error(
    change: str, said: str, phantom_manifest: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["experts", *tiny, "--manifest", str(phantom_manifest), "--set", change]) == 1

    assert said in capsys.readouterr().err


def test_recipes_are_listed_with_what_they_are_and_printed_to_start_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert main(["recipes", "paper"]) == 0
    printed = capsys.readouterr().out

    assert [line.split()[0] for line in listed] == recipe_names()
    assert all(len(line.split()) > 3 for line in listed)
    assert "kind: expert" in printed
    assert main(["recipes", "magic"]) == 1


def test_a_manifest_is_checked_as_a_run_would_read_it(
    tmp_path: Path, phantom_manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crossing = write_data(tmp_path, [*rows("train", 2), Row("val", "alpha", "train-0", 0, 0)])

    assert main(["check", str(phantom_manifest)]) == 0
    said = capsys.readouterr().out
    assert main(["check", str(crossing)]) == 1

    assert "test: 60 films of 36 patients" in said
    assert "1 patient groups are in more than one part: train-0" in capsys.readouterr().err


def _folder(root: Path, **counts: int) -> Path:
    number = 0
    for label, count in counts.items():
        (root / label / "deeper").mkdir(parents=True)
        for k in range(count):
            number += 1
            film = Image.fromarray(radiograph_phantom(40, 36, seed=number))
            film.save(root / label / ("deeper" if k % 2 else ".") / f"P{number // 2:02d}_{k}.png")
    return root


def test_any_folder_of_folders_becomes_a_manifest_that_can_be_trained_on(
    tmp_path: Path, tiny: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _folder(tmp_path / "films", covid19=24, bacterial=24, no_finding=24, other=8)

    assert main(["manifest", str(folder), "--source", "here", "--patient", "^(P[0-9]+)", "--age-group", "adult"]) == 0
    assert "80 films" in capsys.readouterr().out
    manifest = folder / "manifest.csv"
    assert main(["check", str(manifest)]) == 0
    assert main(["experts", *tiny, "--manifest", str(manifest)]) == 0

    with manifest.open(encoding="utf-8") as handle:
        read = list(csv.DictReader(handle))
    by_folder = {row["path"].split("/")[0]: row for row in read}
    assert [by_folder["covid19"][c] for c in ("covid19", "viral", "pneumonia", "bacterial", "no_finding")] == [
        "1", "1", "1", "-1", "0",
    ]  # fmt: skip
    assert [by_folder["other"][c] for c in ("covid19", "pneumonia", "no_finding")] == ["0", "0", "0"]
    assert [by_folder["no_finding"][c] for c in ("covid19", "pneumonia", "no_finding")] == ["0", "0", "1"]
    shares = [len({row["group"] for row in read if row["split"] == part}) for part in ("train", "val", "test")]
    assert shares == [25, 8, 8]
    assert {row["age_group"] for row in read} == {"adult"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--patient", "^(Q[0-9]+)"], "no patient in 'P"),
        (["--patient", "^P[0-9]+"], "has no group that could be the patient"),
        (["--val", "0.6", "--test", "0.5"], "something must be left to train on"),
    ],
)
def test_a_folder_that_cannot_be_split_is_a_clear_error(
    tmp_path: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _folder(tmp_path / "films", covid19=2)

    assert main(["manifest", str(folder), "--source", "here", *arguments]) == 1

    assert said in capsys.readouterr().err


def test_a_folder_that_is_no_label_or_holds_nothing_is_a_clear_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["manifest", str(_folder(tmp_path / "one", corona=1)), "--source", "here"]) == 1
    assert "the folder 'corona' is no label" in capsys.readouterr().err
    assert main(["manifest", str(_folder(tmp_path / "two", covid19=0)), "--source", "here"]) == 1
    assert "holds no PNG or JPEG" in capsys.readouterr().err
