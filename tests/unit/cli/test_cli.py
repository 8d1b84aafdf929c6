"""The `discern` command in process: files in, answers and exit codes out."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from PIL import Image

from app.api.schemas import ScreeningDocument
from app.cli import main
from app.cli.exit_codes import OK, SOME_FAILED, UNUSABLE
from app.cli.screen import answer_names, films_below
from app.inference.device import CPU_PROVIDER
from tests.phantoms import chest_film, dicom_bytes, dicom_dataset, jpeg_bytes, png_bytes
from tests.toy_models import (
    FILES,
    change_manifest,
    sha256,
    write_catalogue,
    write_classes,
    write_ensemble,
    write_region_model,
)

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, release: Path, tmp_path: Path) -> None:
    monkeypatch.setenv("DISCERN_MODELS_DIR", str(release))
    monkeypatch.setenv("DISCERN_QUEUE__WORKERS", "2")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A folder of three readable films, one broken one and a hidden file."""
    folder = tmp_path / "films"
    (folder / "ward" / ".cache").mkdir(parents=True)
    (folder / "a.png").write_bytes(png_bytes(chest_film(160, 128)))
    (folder / "ward" / "a.jpg").write_bytes(jpeg_bytes(chest_film(160, 128).astype(np.uint8)))
    (folder / "ward" / "IM0001").write_bytes(dicom_bytes(dicom_dataset(chest_film(160, 128, bits=12), bits=12)))
    (folder / "broken.png").write_bytes(png_bytes(chest_film(160, 128))[:500])
    (folder / ".hidden").write_bytes(b"no film")
    (folder / "ward" / ".cache" / "thumbnail").write_bytes(b"no film")
    return folder


def test_a_folder_is_screened_and_one_broken_film_stops_nothing(films: Path, tmp_path: Path, capsys: Captured) -> None:
    code = main(["screen", str(films), "--out", "answers", "--alpha", "15", "50"])

    out = tmp_path / "answers"
    documents = sorted(path.name for path in out.glob("*.json"))
    assert code == SOME_FAILED
    assert documents == ["IM0001.json", "a-2.json", "a.json"]
    for name in documents:
        content = json.loads((out / name).read_text(encoding="utf-8"))
        assert content.pop("file") in {"a.png", "a.jpg", "IM0001"}
        assert ScreeningDocument.model_validate(content).id == Path(name).stem
    assert sorted(path.name for path in out.glob("a.*.png")) == [
        "a.addk-covid19-over-pneumonia-a15.png",
        "a.addk-covid19-over-pneumonia-a50.png",
        "a.cam-covid19.png",
        "a.cam-pneumonia.png",
    ]
    said = capsys.readouterr().err
    assert "broken.png: unreadable_image" in said
    assert "3 answered, 1 refused or failed" in said


def test_a_figure_holds_the_whole_film_between_its_words(films: Path, tmp_path: Path) -> None:
    main(["screen", str(films / "a.png"), "--out", "answers"])

    for path in (tmp_path / "answers").glob("*.png"):
        with Image.open(io.BytesIO(path.read_bytes())) as figure:
            assert figure.width > 128
            assert figure.height > 160


def test_json_lines_are_printed_and_nothing_is_written(films: Path, tmp_path: Path, capsys: Captured) -> None:
    code = main(["screen", str(films), "--json"])

    lines: list[dict[str, Any]] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]  # Any: JSON
    failed = [line for line in lines if "error" in line]
    assert code == SOME_FAILED
    assert len(lines) == 4
    assert [(Path(line["file"]).name, line["error"]["code"]) for line in failed] == [("broken.png", "unreadable_image")]
    assert {path.name for path in tmp_path.iterdir()} == {"films"}


def test_films_alone_exit_with_zero(films: Path, capsys: Captured) -> None:
    code = main(["screen", str(films / "a.png"), "--json", "--interest", "pneumonia"])

    found = json.loads(capsys.readouterr().out)
    assert code == OK
    assert (found["divergence"]["interest"], found["divergence"]["overlap"]) == ("pneumonia", "covid19")


def test_force_answers_a_film_that_says_it_is_lateral(tmp_path: Path, capsys: Captured) -> None:
    lateral = dicom_dataset(chest_film(160, 128, bits=12), bits=12, elements={"ViewPosition": "LL"})
    (tmp_path / "lateral.dcm").write_bytes(dicom_bytes(lateral))

    assert main(["screen", "lateral.dcm", "--json"]) == SOME_FAILED
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "lateral_view"
    assert main(["screen", "lateral.dcm", "--json", "--force"]) == OK
    assert "forced" in json.loads(capsys.readouterr().out)["flags"]


def test_a_missing_file_is_named(capsys: Captured) -> None:
    assert main(["screen", "nothing.png", "--json"]) == SOME_FAILED
    assert json.loads(capsys.readouterr().out)["file"] == "nothing.png"


def test_a_folder_without_films_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    assert main(["screen", "empty"]) == SOME_FAILED


def test_earlier_answers_are_not_screened_again(films: Path) -> None:
    main(["screen", str(films / "a.png"), "--out", str(films / "answers")])

    names = sorted(path.name for path in films_below([films], films / "answers"))

    assert names == ["IM0001", "a.jpg", "a.png", "broken.png"]


def test_every_film_has_an_answer_of_its_own_name() -> None:
    paths = [Path(name) for name in ("x/a.png", "y/a.jpg", "y/A.dcm", "z/a-2.png", "b.png")]

    names = answer_names(paths)

    assert len({name.lower() for name in names.values()}) == len(paths)
    assert names[Path("b.png")] == "b"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["screen", "a.png", "--alpha", "0"], "discern: alpha is 0.0"),
        (["screen", "a.png", "--interest", "measles"], "discern: there is no expert 'measles'; loaded: covid19"),
        (["--models-dir", "nowhere", "screen", "a.png"], "discern: nowhere has no catalogue.json"),
        (["--models-dir", "nowhere", "models", "list"], "discern: there is no models directory nowhere"),
        (["models", "show", "measles"], "discern: there is no model 'measles'"),
        (["evaluate", "nothing.csv"], "discern: there is no manifest nothing.csv"),
    ],
)
def test_what_cannot_start_says_why(arguments: list[str], message: str, capsys: Captured) -> None:
    assert main(arguments) == UNUSABLE
    assert capsys.readouterr().err.startswith(message)


def test_answers_that_cannot_be_written_are_an_error(films: Path, capsys: Captured) -> None:
    assert main(["screen", str(films / "a.png"), "--out", str(films / "a.png")]) == UNUSABLE
    assert capsys.readouterr().err.startswith("discern: ")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DISCERN_DEVIC", "cpu", "discern: no such setting: DISCERN_DEVIC"),
        ("DISCERN_QUEUE__CAPACTY", "9", "discern: no such setting: DISCERN_QUEUE__CAPACTY"),
        ("DISCERN_LIMITS", '{"max_pixels": 1}', "discern: no such setting: DISCERN_LIMITS"),
        ("DISCERN_DEVICE", "tpu", "discern: setting device: "),
        ("DISCERN_QUEUE__CAPACITY", "0", "discern: setting queue.capacity: "),
        ("DISCERN_REQUEST_TIMEOUT_S", "nan", "discern: setting request_timeout_s: "),
        ("DISCERN_LIMITS__MAX_SIDE_PX", "100", "discern: setting "),
    ],
)
def test_a_setting_that_is_wrong_is_named(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv(name, value)

    assert main(["models", "list"]) == UNUSABLE
    assert capsys.readouterr().err.startswith(message)


@pytest.mark.parametrize("arguments", [["screen", "a.png"], ["models", "verify"], ["serve", "--port", "1"]])
def test_a_gpu_that_is_not_there_is_an_error_and_not_a_silent_cpu(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("DISCERN_DEVICE", "cuda")
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CPU_PROVIDER])
    monkeypatch.setattr("app.cli.serve.configure_logging", lambda *_: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)

    assert main(arguments) == UNUSABLE
    assert capsys.readouterr().err.startswith("discern: DISCERN_DEVICE=cuda, but onnxruntime has no CUDA provider")


def test_models_are_listed_and_shown(capsys: Captured) -> None:
    assert main(["models", "list"]) == OK
    listed = [line.split("\t")[:3] for line in capsys.readouterr().out.splitlines()]
    assert main(["models", "show", "covid19"]) == OK
    shown = json.loads(capsys.readouterr().out)

    assert listed == [
        ["covid19", "1.0.0", "expert"],
        ["ensemble-toy", "1.0.0", "multilabel"],
        ["pneumonia", "1.0.0", "expert"],
    ]
    assert (shown["schema"], shown["target"]) == ("discern-manifest/1", "covid19")


def test_verifying_names_the_model_that_was_tampered_with(release: Path, tmp_path: Path, capsys: Captured) -> None:
    models = shutil.copytree(release, tmp_path / "models")
    assert main(["--models-dir", str(models), "models", "verify"]) == OK
    assert capsys.readouterr().out.count("valid; its release gate passed") == 3
    with (models / "pneumonia" / "1.0.0" / "golden.npz").open("ab") as handle:
        handle.write(b"x")

    code = main(["--models-dir", str(models), "models", "verify"])

    said = capsys.readouterr().out.splitlines()
    assert code == SOME_FAILED
    assert said[0] == "covid19 1.0.0: valid; its release gate passed"
    assert said[2].startswith("pneumonia 1.0.0: golden.npz has hash")


def test_verifying_knows_every_kind_of_model(release_with_lungs: Path, capsys: Captured) -> None:
    assert main(["--models-dir", str(release_with_lungs), "models", "verify"]) == OK

    assert "lungs 1.0.0: valid; its release gate passed" in capsys.readouterr().out.splitlines()


def rewrite_report(directory: Path, **changes: object) -> None:
    """Change a model's report, with a manifest whose hashes agree."""
    path = directory / "report.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")
    change_manifest(directory, files={file: sha256(directory / file) for file in FILES})


def test_verifying_prints_what_the_release_gate_failed(release: Path, tmp_path: Path, capsys: Captured) -> None:
    models = shutil.copytree(release, tmp_path / "models")
    rewrite_report(models / "covid19" / "1.0.0", verdict={"passed": False, "failed": ["localisation", "shortcuts"]})
    rewrite_report(models / "pneumonia" / "1.0.0", verdict={"passed": False, "failed": []})

    assert main(["--models-dir", str(models), "models", "verify"]) == OK

    said = capsys.readouterr().out
    assert "covid19 1.0.0: valid; its release gate failed in localisation, shortcuts" in said
    assert "pneumonia 1.0.0: valid; its release gate failed in an unnamed point" in said


def test_a_model_without_a_report_of_its_own_weights_is_not_valid_but_is_served_with_a_warning(
    release: Path, films: Path, tmp_path: Path, capsys: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    models = shutil.copytree(release, tmp_path / "models")
    rewrite_report(models / "covid19" / "1.0.0", model_sha256="0" * 64)

    assert main(["--models-dir", str(models), "models", "verify", "covid19"]) == SOME_FAILED
    assert "report.json is of weights 000000000000…" in capsys.readouterr().out
    assert main(["--models-dir", str(models), "screen", str(films / "a.png"), "--json"]) == OK

    warned = [record for record in caplog.records if record.message == "model_without_report"]
    assert [(record.levelname, vars(record)["model"]) for record in warned] == [("WARNING", "covid19")]


def test_a_picture_that_the_gate_refuses_is_named_and_answered_if_forced(
    release_with_lungs: Path, tmp_path: Path, capsys: Captured
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (160, 128)).astype(np.uint8)
    (tmp_path / "noise.png").write_bytes(png_bytes(noise))
    arguments = ["--models-dir", str(release_with_lungs), "screen", "noise.png", "--json"]

    assert main(arguments) == SOME_FAILED
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "not_a_chest_radiograph"
    assert main([*arguments, "--force"]) == OK
    assert {"forced", "gate_not_a_chest_radiograph"} <= set(json.loads(capsys.readouterr().out)["flags"])


def test_without_a_verb_the_command_says_what_there_is(capsys: Captured) -> None:
    with pytest.raises(SystemExit) as exit_code:
        main([])

    assert exit_code.value.code == UNUSABLE
    assert "serve,pacs,screen,convert,models,evaluate" in capsys.readouterr().err


# --- the ensemble -----------------------------------------------------------------------------------------------------


@pytest.fixture
def fitted(release: Path, tmp_path: Path) -> Path:
    """The release, with something fitted to its one member."""
    models = shutil.copytree(release, tmp_path / "models")
    write_ensemble(models, [models / "ensemble-toy" / "1.0.0"])
    return models


def test_maps_of_the_ensemble_are_written_only_on_request(fitted: Path, films: Path, tmp_path: Path) -> None:
    for folder, asked in (("without", []), ("with", ["--ensemble-maps"])):
        main(["--models-dir", str(fitted), "screen", str(films / "a.png"), "--out", folder, *asked])

    found = {
        folder: json.loads((tmp_path / folder / "a.json").read_text(encoding="utf-8"))["ensemble"]["labels"]
        for folder in ("without", "with")
    }
    assert all(label["map"] is None for label in found["without"])
    assert all(label["map"] is not None for label in found["with"])
    drawn = {path.name for path in (tmp_path / "with").glob("a.ensemble-*.png")}
    assert drawn == {f"a.ensemble-{label['name']}.png" for label in found["with"] if label["evaluated"]}
    assert "a.ensemble-mers.png" not in drawn
    assert not list((tmp_path / "without").glob("a.ensemble-*.png"))


def test_predicted_regions_are_written_only_on_request(release: Path, films: Path, tmp_path: Path) -> None:
    models = shutil.copytree(release, tmp_path / "models")
    write_region_model(models, "outliner", seed=8)
    write_catalogue(models, "covid19", "pneumonia", ["ensemble-toy"], regions=["outliner"])
    for folder, asked in (("without", []), ("with", ["--predicted-regions"])):
        main(["--models-dir", str(models), "screen", str(films / "a.png"), "--out", folder, *asked])

    answers = [
        json.loads((tmp_path / folder / "a.json").read_text(encoding="utf-8"))["predicted_regions"]
        for folder in ("without", "with")
    ]
    assert answers[0] is None
    assert [each["name"] for each in answers[1]] == ["outliner"]
    assert (tmp_path / "with" / "a.predicted-region-outliner.png").is_file()
    assert not list((tmp_path / "without").glob("a.predicted*"))


def test_the_ensemble_is_listed_shown_and_verified_beside_the_models(fitted: Path, capsys: Captured) -> None:
    assert main(["--models-dir", str(fitted), "models", "list"]) == OK
    assert capsys.readouterr().out.splitlines()[-1].startswith("ensemble\t")
    assert main(["--models-dir", str(fitted), "models", "show", "ensemble"]) == OK
    assert json.loads(capsys.readouterr().out)["schema"] == "discern-ensemble/1"
    assert main(["--models-dir", str(fitted), "models", "verify", "ensemble"]) == OK
    assert capsys.readouterr().out == "ensemble: valid; fitted to ensemble-toy 1.0.0\n"
    assert main(["--models-dir", str(fitted), "models", "verify"]) == OK
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_an_ensemble_of_other_weights_fails_verification_and_serves_nothing(fitted: Path, capsys: Captured) -> None:
    path = fitted / "ensemble.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["members"][0]["model_sha256"] = "0" * 64
    path.write_text(json.dumps(content), encoding="utf-8")

    assert main(["--models-dir", str(fitted), "models", "verify", "ensemble"]) == SOME_FAILED
    assert "fit the ensemble again" in capsys.readouterr().out
    assert main(["--models-dir", str(fitted), "screen", "a.png"]) == UNUSABLE
    assert "fit the ensemble again" in capsys.readouterr().err


def test_an_ensemble_is_asked_for_in_vain_where_none_was_fitted(capsys: Captured) -> None:
    assert main(["models", "show", "ensemble"]) == UNUSABLE
    assert "there is no model 'ensemble'" in capsys.readouterr().err


def test_networks_of_exclusive_classes_answer_and_are_drawn_where_they_have_maps(
    release: Path, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    models_dir = tmp_path / "models"
    shutil.copytree(release, models_dir)
    write_classes(models_dir, "resnet50v2")
    write_classes(models_dir, "covidnet", maps=False)
    write_catalogue(models_dir, "covid19", "pneumonia", ["ensemble-toy"], multiclass=["resnet50v2", "covidnet"])
    monkeypatch.setenv("DISCERN_MODELS_DIR", str(models_dir))

    codes = [main(["screen", str(films / "a.png"), "--out", "answers"]), main(["models", "verify", "covidnet"])]

    answer = json.loads((tmp_path / "answers" / "a.json").read_text(encoding="utf-8"))
    assert codes == [OK, OK]
    assert [each["explanation"]["kind"] for each in answer["multiclass"]] == ["cam", "none"]
    assert [path.name for path in (tmp_path / "answers").glob("*multiclass*")] == ["a.multiclass-resnet50v2.png"]
    assert "covidnet 1.0.0: valid" in capsys.readouterr().out
