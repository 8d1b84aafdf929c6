"""A released network of several classes: what is checked, written, served; and the command line around it."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from app.domain.preprocessing import to_network_input
from app.domain.radiograph import Provenance, Radiograph
from app.inference.artifact import Artifact, read_artifact, verify_report
from app.inference.manifest import PrecisionEntry
from app.inference.onnx_network import OnnxNetwork
from tests.unit.training.multiclass_data import data_of, tiny_recipe
from training.__main__ import main
from training.datasets import read_grey
from training.multiclass.evaluation import evaluated
from training.multiclass.export import ClassesExport, classes_parity, classes_precision
from training.multiclass.films import CLASSES, LabelledFilm
from training.multiclass.finished import load_multiclass_run, network_inputs
from training.multiclass.recipe import MulticlassRecipe
from training.multiclass.release import ClassesAsked, release_classes
from training.multiclass.report import criteria_of
from training.networks import build_network
from training.onnx_graph import ExportError, rebuild_network
from training.onnx_session import ExportedNetwork
from training.release import ReleaseError


def _write_run(directory: Path, recipe: MulticlassRecipe, manifest: Path) -> Path:
    """Pretend that a run of the recipe ended with a random network, statistics of batch normalisation included."""
    torch.manual_seed(0)
    network = build_network(recipe.architecture, 3, recipe.size_px)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)  # type: ignore[arg-type]  # tracked, so never None
            nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]  # tracked, so never None
    directory.mkdir(parents=True)
    for name in ("best.pt", "whole.pt"):
        torch.save({"network": network.state_dict(), "epoch": 1, "stage": "whole"}, directory / name)
    data = data_of(manifest, recipe)
    record = {
        "recipe": recipe.model_dump(mode="json"), "classes": list(CLASSES), "class_weights": [1.0, 1.0, 1.0],
        "held_out": "val", "lists_sha256": data.films.sha256, "films": data.counts(), "left_out": 0,
        "kept_stage": "whole", "versions": {"torch": torch.__version__},
        "stages": [{"name": "whole", "trained_parameters": 1, "epochs": 1, "best_epoch": 1, "best_validation": 0.5,
                    "seconds": 1.0, "curves": []}],
    }  # fmt: skip
    (directory / "run.json").write_text(json.dumps(record))
    return directory


@pytest.fixture(scope="module", autouse=True)
def _small_networks() -> Iterator[None]:
    """Shrink both networks to a block a stage: tracing them costs what they have operations."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.networks.resnet50v2._BLOCKS", (1, 1, 1, 1))
        patch.setattr("training.networks.resnet50v2._WIDTHS", (4, 4, 8, 8))
        patch.setattr("training.networks.covidnet._BLOCKS", ((8, 1), (8, 2)))
        yield


def _release(run: Path, name: str, models_dir: Path, manifest: Path) -> Artifact:
    data = data_of(manifest, load_multiclass_run(run).recipe)
    return release_classes(ClassesAsked(run, name, "1.0.0", accept_failed=True), data, models_dir)


@pytest.fixture(scope="module")
def resnet50v2(tmp_path_factory: pytest.TempPathFactory, classes_manifest: Path) -> Artifact:
    folder = tmp_path_factory.mktemp("resnet50v2")
    recipe = tiny_recipe(architecture="resnet50v2", initial_weights="/somewhere/else/runs/pretrained/best.pt")
    run = _write_run(folder / "run", recipe, classes_manifest)
    return _release(run, "resnet50v2", folder / "models", classes_manifest)


@pytest.fixture(scope="module")
def covidnet(tmp_path_factory: pytest.TempPathFactory, classes_manifest: Path) -> Artifact:
    folder = tmp_path_factory.mktemp("covidnet")
    run = _write_run(folder / "run", tiny_recipe(architecture="covidnet-paper"), classes_manifest)
    return _release(run, "covidnet", folder / "models", classes_manifest)


def test_a_release_is_verified_as_serving_does_and_keeps_its_report(resnet50v2: Artifact, covidnet: Artifact) -> None:
    for artifact in (resnet50v2, covidnet):
        network = OnnxNetwork(artifact, "cpu")
        report = json.loads((artifact.directory / "report.json").read_text())

        assert network.manifest.kind == "multiclass"
        assert [label.name for label in network.manifest.labels] == list(CLASSES)
        assert verify_report(artifact).failed == tuple(report["verdict"]["failed"])
        assert report["evaluation"]["subgroups"]["pooled"]["films"] == 30
        assert report["parity"]["logits"] < 1e-4


def test_resnet50v2_has_maps_that_are_its_logits_and_covidnet_says_why_it_has_none(
    resnet50v2: Artifact, covidnet: Artifact
) -> None:
    with_maps, without = (artifact.manifest for artifact in (resnet50v2, covidnet))

    assert with_maps.explained().kind == "cam"
    assert with_maps.outputs["cam"] == ("N", 3, 1, 1)
    assert with_maps.evaluation["parity"]["identity"] < 1e-4
    assert without.explained().reason == "no_global_average_pooling"
    assert without.outputs == {"logits": ("N", 3)}
    assert set(without.evaluation["parity"]) == {"logits", "films"}


@pytest.mark.parametrize("name", ["resnet50v2", "covidnet"])
def test_the_network_can_be_rebuilt_from_its_file(name: str, request: pytest.FixtureRequest) -> None:
    artifact: Artifact = request.getfixturevalue(name)
    films = np.load(artifact.directory / "golden.npz")["films"]

    rebuilt = rebuild_network(artifact.model_path)

    with torch.inference_mode():
        logits = rebuilt(torch.from_numpy(films)).numpy()
    np.testing.assert_allclose(logits, OnnxNetwork(artifact, "cpu")(films).logits, rtol=1e-4, atol=1e-5)


def test_the_input_is_minus_one_to_one_of_the_padded_film(resnet50v2: Artifact) -> None:
    entry = resnet50v2.manifest.input

    assert (entry.mean, entry.std, entry.intensity) == ((0.5,) * 3, (0.5,) * 3, "full-range")
    assert (entry.padding, entry.crop, entry.size_px) == ("centre-zero", "film", 32)


def test_the_calibration_is_one_slope_and_decisions_need_no_threshold(resnet50v2: Artifact) -> None:
    manifest = resnet50v2.manifest

    assert manifest.operating_points == {}
    assert len({manifest.calibration_of(name) for name in CLASSES}) == 1


def test_no_path_of_the_machine_is_released(resnet50v2: Artifact) -> None:
    texts = [(resnet50v2.directory / name).read_text() for name in ("manifest.json", "MODEL_CARD.md", "report.json")]

    assert not any("/somewhere" in text for text in texts)
    assert "pretrained/best.pt" in texts[0]


def test_the_card_says_what_it_is_what_the_source_tells_and_what_was_not_measured(covidnet: Artifact) -> None:
    card = (covidnet.directory / "MODEL_CARD.md").read_text()

    for words in (
        "not to be compared with an expert's probability", "*source alone*", "No class activation map: COVID-Net",
        "Not measured for networks of several classes", "![roc.png](roc.png)", "released all the same",
    ):  # fmt: skip
        assert words in card


def test_a_run_of_other_films_is_not_released(resnet50v2: Artifact, classes_manifest: Path, tmp_path: Path) -> None:
    run = resnet50v2.directory.parents[2] / "run"
    data = data_of(classes_manifest, load_multiclass_run(run).recipe)
    changed = type(data)(data.films, "split", data.parts)

    with pytest.raises(ReleaseError, match="are not those of the run"):
        release_classes(ClassesAsked(run, "x", "1.0.0"), changed, tmp_path)


def test_a_version_whose_verdict_fails_is_put_aside(
    resnet50v2: Artifact, classes_manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = resnet50v2.directory.parents[2] / "run"
    exported = ClassesExport(PrecisionEntry(), {"logits": 0.0, "films": 2.0}, {"logits": ("N", 3)})
    assert "resnet50v2" in str(run)
    data = data_of(classes_manifest, load_multiclass_run(run).recipe)

    def export(_: object, directory: Path, *__: object) -> ClassesExport:
        for name in ("model.onnx", "golden.npz"):
            (directory / name).write_bytes((resnet50v2.directory / name).read_bytes())
        return ClassesExport(exported.precision, exported.parity, dict(resnet50v2.manifest.outputs))

    monkeypatch.setattr("training.multiclass.release.export_classes", export)
    asked = ClassesAsked(run, "resnet50v2", "2.0.0")

    with pytest.raises(ReleaseError, match=r"the verdict fails \(.*beats_source"):
        release_classes(asked, data, tmp_path / "models", tmp_path / "rejected")

    assert not (tmp_path / "models" / "resnet50v2" / "2.0.0").exists()
    assert not verify_report(read_artifact(tmp_path / "rejected" / "resnet50v2" / "2.0.0")).passed


def test_an_export_that_is_off_is_refused(resnet50v2: Artifact) -> None:
    other = build_network("resnet50v2", 3)
    films = np.zeros((2, 3, 32, 32), np.float32)

    with pytest.raises(ExportError, match="of the ONNX graph is off"):
        classes_parity(ExportedNetwork(resnet50v2.model_path), other.eval(), [films])


def test_half_precision_is_refused_where_an_answer_changes_or_is_not_finite() -> None:
    torch.manual_seed(1)
    network = build_network("resnet18", 3).eval()
    films, labels = np.random.default_rng(0).normal(size=(6, 3, 32, 32)).astype(np.float32), np.arange(6) % 3
    other, broken = build_network("resnet18", 3).eval(), build_network("resnet18", 3).eval()
    with torch.no_grad():
        broken.get_submodule("fc").weight.fill_(float("inf"))  # type: ignore[operator]  # torch types it loosely

    same, changed, infinite = (classes_precision(network, each, films, labels) for each in (network, other, broken))

    assert (same.storage, same.gates["max_logit_change"]) == ("fp16", 0.0)
    assert changed.storage == "fp32"
    assert (infinite.storage, infinite.gates["finite"]) == ("fp32", 0.0)


def test_criteria_ask_for_more_than_chance_within_a_source_and_than_the_source_alone() -> None:
    films = [LabelledFilm(Path(f"{k}"), "val", f"p{k}", "mixed", k % 3) for k in range(90)]
    good = np.eye(3, dtype=np.float32)[[film.label for film in films]] * 3
    export = ClassesExport(PrecisionEntry(), {"logits": 1e-6, "films": 4.0}, {"logits": ("N", 3)})
    random = np.random.default_rng(0).normal(size=good.shape).astype(np.float32)

    told, perfect, guessed = (
        {
            each.name: each.passed
            for each in criteria_of(
                evaluated(logits, films, CLASSES, "covid19", slope=1.0, thresholds={}, train=films), export
            )
        }
        for logits in (good + random, good, random)
    )

    assert told == perfect == {"identity": True, "precision": True, "within_source": True, "beats_source": True}
    assert not guessed["within_source"]


# --- the command line ---


def test_a_run_is_measured_into_a_folder(resnet50v2: Artifact, classes_manifest: Path, tmp_path: Path) -> None:
    run = resnet50v2.directory.parents[2] / "run"
    told = ["--manifest", str(classes_manifest), "--held-out", "val"]

    code = main(["evaluate-multiclass", str(run), *told, "--stage", "whole", "--out", str(tmp_path / "out")])

    assert code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "evaluation.json", "evaluation.md", "roc.png", "confusion.png",
    }  # fmt: skip
    as_released = json.loads((resnet50v2.directory / "report.json").read_text())["evaluation"]
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert found["subgroups"]["pooled"]["confusion"] == as_released["subgroups"]["pooled"]["confusion"]
    assert found["slope"] == pytest.approx(as_released["slope"], rel=0.01)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (["--held-out", "test"], "read once per release"),
        (["--held-out", "val", "--stage", "top"], "has no stage 'top'; whole"),
        (["--held-out", "split"], "are not those of the run"),
    ],
)
def test_what_must_not_be_measured_is_refused(
    told: list[str], words: str, resnet50v2: Artifact, classes_manifest: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run = resnet50v2.directory.parents[2] / "run"

    code = main(["evaluate-multiclass", str(run), "--manifest", str(classes_manifest), *told, "--out", str(tmp_path)])

    assert code == 1
    assert words in capsys.readouterr().err


def test_a_directory_that_is_no_finished_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="holds no finished run"):
        load_multiclass_run(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ExportError, match="no run of several classes"):
        load_multiclass_run(tmp_path)


def test_films_are_fed_as_serving_feeds_them(resnet50v2: Artifact, classes_manifest: Path) -> None:
    run = load_multiclass_run(resnet50v2.directory.parents[2] / "run")
    film = data_of(classes_manifest, run.recipe).parts.held_out[0]

    found = network_inputs([film], run.recipe)

    served = to_network_input(
        Radiograph(read_grey(film.path), Provenance("png", "")), resnet50v2.manifest.input.specification()
    )[0]
    np.testing.assert_allclose(found, served, atol=1e-6)


def test_the_parameters_carry_their_names(covidnet: Artifact) -> None:
    model = onnx.load(covidnet.model_path)

    assert {"fc.weight", "fc.bias", "stem.weight"} <= {entry.name for entry in model.graph.initializer}
