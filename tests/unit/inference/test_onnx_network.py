"""No network answers before its files, signature, golden answers and identity have been checked."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from app.domain.errors import ArtifactError
from app.inference import device
from app.inference.artifact import read_artifact
from app.inference.device import CPU_PROVIDER, CUDA_PROVIDER, DeviceUnavailableError, choose_device
from app.inference.manifest import Manifest
from app.inference.onnx_network import OnnxNetwork
from tests.toy_models import CHANNELS, SIZE_PX, write_classes, write_manifest, write_model

CELLS = SIZE_PX // 16


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_model(tmp_path, "covid19")


def load(directory: Path) -> OnnxNetwork:
    return OnnxNetwork(read_artifact(directory), "cpu")


def rehash(directory: Path) -> None:
    """Make the hashes those of what is there now, as somebody would who tampers with care."""
    write_manifest(directory, "expert", ("not_covid19", "covid19"), SIZE_PX, CELLS, 0.5)


def change_model(directory: Path, change: Callable[[onnx.ModelProto], object]) -> None:
    model = onnx.load(directory / "model.onnx")
    change(model)
    onnx.save(model, directory / "model.onnx")


def answer_again(directory: Path) -> None:
    """Make the golden answers those of the model there is now."""
    films = np.random.default_rng(5).normal(0, 1, (2, 3, SIZE_PX, SIZE_PX)).astype(np.float32)
    session = ort.InferenceSession(directory / "model.onnx", providers=[CPU_PROVIDER])
    logits, features, cam = session.run(["logits", "features", "cam"], {"films": films})
    write_golden(directory, films=films, logits=logits, features=features, cam=cam)


def write_golden(directory: Path, **stored: NDArray[np.float32]) -> None:
    with (directory / "golden.npz").open("wb") as handle:
        np.savez_compressed(handle, **stored)  # type: ignore[arg-type]  # numpy's stub takes the names for allow_pickle


def golden_of(directory: Path) -> dict[str, NDArray[np.float32]]:
    with np.load(directory / "golden.npz") as stored:
        return dict(stored)


def scale_weight(name: str, factor: float) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        for each in model.graph.initializer:
            if each.name == name:
                each.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(each) * np.float32(factor), name))

    return change


def test_a_released_network_answers_what_is_asked_for_and_no_more(directory: Path) -> None:
    network = load(directory)
    films = np.random.default_rng(1).normal(0, 1, (3, 3, SIZE_PX, SIZE_PX)).astype(np.float32)

    everything = network(films, maps=True, features=True)
    least = network(films, maps=False)

    assert everything.cam is not None
    assert everything.features is not None
    assert everything.cam.shape == (3, 2, CELLS, CELLS)
    assert everything.features.shape == (3, CHANNELS, CELLS, CELLS)
    assert (least.cam, least.features) == (None, None)
    np.testing.assert_array_equal(least.logits, everything.logits)
    assert (network.runs_on.device, network.runs_on.provider) == ("cpu", CPU_PROVIDER)


def test_one_film_is_answered_alone_as_in_a_batch(directory: Path) -> None:
    network = load(directory)
    films = np.random.default_rng(1).normal(0, 1, (4, 3, SIZE_PX, SIZE_PX)).astype(np.float32)

    together = network(films).logits
    alone = np.concatenate([network(films[n : n + 1]).logits for n in range(4)])

    np.testing.assert_allclose(alone, together, rtol=1e-5, atol=1e-6)


def test_changed_weights_are_refused_by_their_hash(directory: Path) -> None:
    change_model(directory, scale_weight("fc.weight", 1.05))

    with pytest.raises(ArtifactError, match=r"model\.onnx has hash"):
        load(directory)


@pytest.mark.parametrize("name", ["conv1.weight", "fc.weight", "fc.bias"])
def test_changed_weights_with_fresh_hashes_are_refused_by_the_golden_answers(directory: Path, name: str) -> None:
    change_model(directory, scale_weight(name, 1.05))
    rehash(directory)

    with pytest.raises(ArtifactError, match="differ from the golden answer"):
        load(directory)


@pytest.mark.parametrize("name", ["logits", "cam", "features"])
def test_each_golden_output_is_compared(directory: Path, name: str) -> None:
    golden = golden_of(directory)
    golden[name] = golden[name] * np.float32(1.02)
    write_golden(directory, **golden)
    rehash(directory)

    with pytest.raises(ArtifactError, match=f"{name} differ from the golden answer"):
        load(directory)


def test_an_answer_that_is_not_a_number_is_never_golden(directory: Path) -> None:
    change_model(directory, scale_weight("conv1.weight", float("nan")))
    rehash(directory)

    with pytest.raises(ArtifactError, match="differ from the golden answer by nan"):
        load(directory)


def test_maps_that_do_not_belong_to_the_logits_are_refused_by_the_identity(directory: Path) -> None:
    def other_maps(model: onnx.ModelProto) -> None:
        """The maps of a matrix that is not the classifier's."""
        rows = numpy_helper.to_array(next(i for i in model.graph.initializer if i.name == "fc.weight"))
        model.graph.initializer.append(numpy_helper.from_array(rows[:, ::-1].copy(), "other"))
        next(node for node in model.graph.node if node.op_type == "Einsum").input[1] = "other"

    change_model(directory, other_maps)
    answer_again(directory)
    rehash(directory)

    with pytest.raises(ArtifactError, match="do not belong to the logits"):
        load(directory)


def test_a_single_golden_film_is_refused_for_it_cannot_show_the_identity(directory: Path) -> None:
    write_golden(directory, **{name: value[:1] for name, value in golden_of(directory).items()})
    rehash(directory)

    with pytest.raises(ArtifactError, match="two or more"):
        load(directory)


def damaged(directory: Path) -> bytes:
    content = bytearray((directory / "golden.npz").read_bytes())
    content[200:400] = bytes(200)
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda _: b"not an archive", id="text"),
        pytest.param(lambda d: (d / "golden.npz").read_bytes()[:300], id="truncated"),
        pytest.param(damaged, id="damaged"),
    ],
)
def test_golden_answers_that_cannot_be_read_are_refused(directory: Path, content: Callable[[Path], bytes]) -> None:
    (directory / "golden.npz").write_bytes(content(directory))
    rehash(directory)

    with pytest.raises(ArtifactError, match=r"golden\.npz cannot be read"):
        load(directory)


def test_golden_answers_need_every_output(directory: Path) -> None:
    golden = golden_of(directory)
    del golden["cam"]
    write_golden(directory, **golden)
    rehash(directory)

    with pytest.raises(ArtifactError, match=r"golden\.npz cannot be read"):
        load(directory)


def test_golden_films_of_another_size_are_refused(directory: Path) -> None:
    golden = golden_of(directory)
    write_golden(directory, **golden | {"films": golden["films"][..., :32]})
    rehash(directory)

    with pytest.raises(ArtifactError, match="golden films have shape"):
        load(directory)


def test_an_input_of_another_size_than_the_manifest_says_is_refused(directory: Path) -> None:
    write_manifest(directory, "expert", ("not_covid19", "covid19"), 96, CELLS, 0.5)

    with pytest.raises(ArtifactError, match="the model takes films"):
        load(directory)


def test_a_grid_of_another_size_than_the_manifest_says_is_refused(directory: Path) -> None:
    write_manifest(directory, "expert", ("not_covid19", "covid19"), SIZE_PX, CELLS + 1, 0.5)

    with pytest.raises(ArtifactError, match=r"cam have shape \(2, 2, 4, 4\)"):
        load(directory)


def test_a_network_with_another_number_of_labels_than_the_manifest_is_refused(tmp_path: Path) -> None:
    names = ("pneumonia", "viral")
    directory = write_model(tmp_path, "member", kind="multilabel", labels=(*names, "covid19"))
    write_manifest(directory, "multilabel", names, SIZE_PX, CELLS, 0.5)

    with pytest.raises(ArtifactError, match="logits have shape"):
        load(directory)


def test_a_model_without_maps_is_refused(directory: Path) -> None:
    def drop_maps(model: onnx.ModelProto) -> None:
        del model.graph.output[2]

    change_model(directory, drop_maps)
    rehash(directory)

    with pytest.raises(ArtifactError, match="outputs are"):
        load(directory)


def test_a_model_with_a_second_input_is_refused(directory: Path) -> None:
    def add_input(model: onnx.ModelProto) -> None:
        model.graph.input.append(helper.make_tensor_value_info("mask", onnx.TensorProto.FLOAT, ["N"]))
        model.graph.node.append(helper.make_node("Identity", ["mask"], ["unused"]))
        model.graph.output.append(helper.make_tensor_value_info("unused", onnx.TensorProto.FLOAT, ["N"]))

    change_model(directory, add_input)
    rehash(directory)

    with pytest.raises(ArtifactError, match="the model takes films"):
        load(directory)


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.95])
def test_a_truncated_model_is_refused(directory: Path, keep: float) -> None:
    path = directory / "model.onnx"
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep > 1 else keep * len(content))])
    rehash(directory)

    with pytest.raises(ArtifactError, match="onnxruntime cannot load"):
        load(directory)


# --- devices ----------------------------------------------------------------------------------------------------------


def no_gpu() -> bool:
    return False


def test_a_gpu_that_onnxruntime_cannot_use_is_an_error_and_automatic_choice_takes_the_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CPU_PROVIDER])

    with pytest.raises(DeviceUnavailableError, match=r"no CUDA provider here; install the extra \[gpu\]"):
        choose_device("cuda")
    assert choose_device("auto") == "cpu"
    assert choose_device("cpu") == "cpu"


def test_a_cuda_package_on_a_machine_without_gpu_is_an_error_only_if_the_gpu_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA_PROVIDER, CPU_PROVIDER])
    monkeypatch.setattr(device, "_gpu_is_present", no_gpu)

    with pytest.raises(DeviceUnavailableError, match="finds no GPU here"):
        choose_device("cuda")
    assert choose_device("auto") == "cpu"


def test_a_driver_that_is_not_there_has_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_DRIVER", "libnothing-of-this-name.so")

    assert device._gpu_is_present() is False


def test_a_session_that_fell_back_to_the_cpu_is_an_error(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.inference.onnx_session.provider_options", lambda _: [CPU_PROVIDER])

    with pytest.raises(DeviceUnavailableError, match=f"{CUDA_PROVIDER} was asked for, onnxruntime uses {CPU_PROVIDER}"):
        OnnxNetwork(read_artifact(directory), "cuda")


def test_the_manifest_answers_for_the_network(directory: Path) -> None:
    network = load(directory)

    assert isinstance(network.manifest, Manifest)
    assert network.artifact.directory == directory
    assert network.manifest.calibration_of("covid19").probability(0.0) == pytest.approx(0.5)
    assert network.manifest.operating_point_of("covid19").threshold == pytest.approx(0.5)


def test_a_network_without_maps_answers_and_gives_none(tmp_path: Path) -> None:
    network = OnnxNetwork(read_artifact(write_classes(tmp_path, "covidnet", maps=False)), "cpu")
    films = np.zeros((1, 3, SIZE_PX, SIZE_PX), np.float32)

    outputs = network(films, maps=True, features=True)

    assert outputs.logits.shape == (1, 3)
    assert (outputs.cam, outputs.features) == (None, None)
    assert np.isnan(network.biases).all()


def test_a_network_of_exclusive_classes_keeps_the_identity_of_its_maps(tmp_path: Path) -> None:
    network = OnnxNetwork(read_artifact(write_classes(tmp_path, "resnet50v2")), "cpu")
    films = np.random.default_rng(3).normal(0, 1, (2, 3, SIZE_PX, SIZE_PX)).astype(np.float32)

    outputs = network(films)

    assert outputs.cam is not None
    np.testing.assert_allclose(outputs.cam.mean(axis=(2, 3)) + network.biases, outputs.logits, atol=1e-4)
