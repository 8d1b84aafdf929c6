"""From two experts and marked films to tables, on planted experts whose maps are known."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app.domain.errors import ImageRefusedError
from app.domain.lungs import LungFields
from app.domain.preprocessing import InputSpecification
from tests.phantoms import chest_film, lung_mask
from tests.toy_models import write_model
from tests.unit.training.phantom_data import rows, write_data
from tests.unit.training.planted_experts import CELLS, SIZE_PX, cell_mask, left_half, planted, spot
from tests.unit.training.test_marked_films import write_table
from training.__main__ import main
from training.audit.expert_pair import film_maps, network_expert, released_expert
from training.audit.localisation import LocalisationReport, localise_networks, measure_localisation
from training.audit.localisation_text import localisation_markdown
from training.audit.map_methods import (
    RANDOM_DRAWS,
    centre_prior,
    map_methods,
    normalised_difference,
    raw_difference,
    two_lungs_prior,
)
from training.audit.marked_films import MarkedFilm
from training.networks import build_network
from training.onnx_session import ExportedNetwork


class DrawnLungs:
    """The lungs of `tests.phantoms.chest_film`."""

    def fields(self, grey: NDArray[np.uint8]) -> LungFields:
        """Give both lungs."""
        height, width = grey.shape
        mask = lung_mask(height, width)
        sides = np.broadcast_to(np.arange(width) < width / 2, mask.shape)
        planes = np.stack([mask & sides, mask & ~sides]).astype(np.float32)
        return LungFields(planes, (0.0, 0.0, float(width), float(height)), height, width)


class NoLungs:
    """Finds nothing."""

    def fields(self, grey: NDArray[np.uint8]) -> LungFields:
        """Give empty planes."""
        height, width = grey.shape
        return LungFields(np.zeros((2, 4, 4), np.float32), (0.0, 0.0, width, height), height, width)


def two_spots(row: int, left: int, right: int) -> NDArray[np.uint8]:
    """A film with a bright cell on the left and a brighter one on the right."""
    return np.where(cell_mask(row, left), np.uint8(160), spot(row, right))


def marked(count: int = 6) -> list[MarkedFilm]:
    """Films whose left spot is marked; the right one is seen by the overlapping expert too."""
    films = []
    for k in range(count):
        row = 2 + k % 4
        part = "val" if k % 2 else "train"
        films.append(MarkedFilm(two_spots(row, 2, 5), cell_mask(row, 2), "spots", part, f"p{k}", f"film-{k}"))
    return films


def right_half(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Look at the right half only."""
    return cells - left_half(cells)


@pytest.fixture(scope="module")
def report() -> LocalisationReport:
    """An expert that sees everything against one that sees only the right half."""
    return measure_localisation(planted("all", positive_from=0.0), planted("right", right_half), marked())


def test_the_divergence_finds_what_only_one_expert_sees(report: LocalisationReport) -> None:
    table = report.table("spots")

    assert table.row("CAM all").hit.value == 0.0  # the right spot is brighter
    for alpha in (5, 15, 50):
        assert table.row(f"ADDK all over right, alpha {alpha}").hit.value == 1.0
    assert table.row("ADDK right over all, alpha 15").hit.value == 0.0


def test_energy_grows_with_alpha_where_the_divergence_is_right(report: LocalisationReport) -> None:
    energies = [report.table("spots").row(f"ADDK all over right, alpha {alpha}").energy.value for alpha in (5, 15, 50)]

    assert energies == sorted(energies, key=lambda value: value or 0.0)
    assert energies[0] != energies[1]


def test_gains_are_paired_with_the_same_experts_map(report: LocalisationReport) -> None:
    table = report.table("spots")
    gain = next(gain for gain in table.gains if gain.method == "ADDK all over right, alpha 15")

    assert gain.against == "CAM all"
    assert gain.hit.value == 1.0
    assert {gain.against for gain in table.gains} == {"CAM all", "CAM right"}


def test_chance_is_the_share_that_is_marked(report: LocalisationReport) -> None:
    table = report.table("spots")

    assert table.marked_share == pytest.approx(1 / CELLS**2, abs=1e-4)
    assert table.row("random map").energy.value == pytest.approx(1 / CELLS**2, abs=0.006)
    assert table.row("random map").direction is None


def test_parts_are_told_apart_and_together(report: LocalisationReport) -> None:
    films = {part: report.table("spots", part).films for part in ("all parts", "train", "val")}

    assert films == {"all parts": 6, "train": 3, "val": 3}
    assert any("seen in training" in note for note in report.notes)
    with pytest.raises(KeyError):
        report.table("spots", "test")


def test_subsets_follow_the_operating_points() -> None:
    bright, dark = planted("bright", positive_from=-1.0), planted("dark", bias=-9.0)

    report = measure_localisation(bright, dark, marked())

    films = {table.subset: table.films for table in report.tables if table.part == "all parts"}
    assert films == {"all films": 6, "both positive": 0, "interest positive": 6, "overlap positive": 0}
    assert report.table("spots", subset="both positive").rows == ()


def test_without_a_lungs_model_its_row_is_missing_and_it_is_said(report: LocalisationReport) -> None:
    assert "lung mask" not in {row.method for row in report.table("spots").rows}
    assert any("lung mask" in note for note in report.notes)


def test_with_lungs_the_mask_points_at_a_lung() -> None:
    film = np.asarray(chest_film(80, 72), np.uint8)
    right_lung = lung_mask(80, 72) & (np.arange(72) < 36)
    films = [MarkedFilm(film, right_lung, "lung", "val", "p", "film")]

    report = measure_localisation(planted("a"), planted("b", left_half), films, DrawnLungs())

    row = report.table("lung").row("lung mask")
    assert row.hit.value == 0.5  # two lungs of equal height, one of them marked
    assert row.energy.value == pytest.approx(0.5, abs=0.02)


def test_flat_maps_are_counted_and_miss() -> None:
    report = measure_localisation(planted("a"), planted("a too"), marked())

    row = report.table("spots").row("ADDK a over a too, alpha 15")
    assert (row.flat, row.hit.value, row.energy.value) == (6, 0.0, 0.0)


def test_refused_films_are_counted() -> None:
    blank = MarkedFilm(np.full((64, 64), 9, np.uint8), cell_mask(1, 1), "spots", "val", "p9", "blank")
    stretched = InputSpecification(SIZE_PX, 1, mean=(0.0,), std=(1.0,))

    report = measure_localisation(
        planted("a", specification=stretched), planted("b", left_half, specification=stretched), [*marked(), blank]
    )

    assert (report.refused, report.table("spots").films) == (1, 6)


def test_experts_of_different_grids_or_windows_are_not_contrasted() -> None:
    finer = planted("b", lambda cells: np.repeat(np.repeat(cells, 2, axis=1), 2, axis=2))
    cropped = planted("b", specification=InputSpecification(
        SIZE_PX, 1, intensity="full-range", mean=(0.0,), std=(1.0,), crop="lungs", crop_margin=0.1
    ))  # fmt: skip
    film = np.asarray(chest_film(80, 72), np.uint8)

    with pytest.raises(ValueError, match="grids"):
        film_maps(planted("a"), finer, film, None)
    with pytest.raises(ValueError, match="different rectangles"):
        film_maps(planted("a"), cropped, film, DrawnLungs())


def test_what_a_cropped_expert_was_not_fed_has_no_heat() -> None:
    specification = InputSpecification(SIZE_PX, 1, intensity="full-range", mean=(0.0,), std=(1.0,), crop="lungs")
    film = np.asarray(chest_film(160, 144), np.uint8)
    expert = planted("a", specification=specification)

    maps = film_maps(expert, expert, film, DrawnLungs())
    heat = maps.over_film(np.ones((CELLS, CELLS)))

    left, top, right, bottom = maps.placement.seen
    assert (left, top) != (0, 0)
    assert heat[top:bottom, left:right].min() == 1.0
    assert heat.sum() == (right - left) * (bottom - top)


def test_a_cropped_expert_needs_lungs_to_be_found() -> None:
    specification = InputSpecification(SIZE_PX, 1, mean=(0.0,), std=(1.0,), crop="lungs")
    expert, film = planted("a", specification=specification), np.asarray(chest_film(80, 72), np.uint8)

    with pytest.raises(ValueError, match="lungs model"):
        film_maps(expert, expert, film, None)
    with pytest.raises(ImageRefusedError, match="no two lungs"):
        film_maps(expert, expert, film, NoLungs())


def test_normalised_and_raw_differences_are_rectified() -> None:
    own, other = np.array([[4.0, 1.0]]), np.array([[1.0, 2.0]])

    np.testing.assert_allclose(normalised_difference(own, other), [[0.5, 0.0]])
    np.testing.assert_allclose(raw_difference(own, other), [[3.0, 0.0]])


def test_priors_are_highest_where_their_names_say() -> None:
    lungs, centre = two_lungs_prior(100, 80), centre_prior(100, 80)

    assert divmod(int(lungs[:, :40].argmax()), 40)[1] == 21
    assert lungs[46, 21] > 2 * lungs[46, 40]
    np.testing.assert_allclose(divmod(int(centre.argmax()), 80), (49.5, 39.5), atol=0.5)


def test_random_maps_are_the_same_for_the_same_film_and_differ_between_films() -> None:
    method = next(method for method in map_methods("a", "b") if method.name == "random map")
    first, again, other = (
        method.heats(film_maps(planted("a"), planted("b"), spot(1, 1), None, seed)) for seed in (3, 3, 4)
    )

    assert len(first) == RANDOM_DRAWS
    np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])


def test_checkpoints_are_measured_as_networks() -> None:
    specification = InputSpecification(64)
    networks = [build_network("resnet18", 2) for _ in range(2)]
    networks[0].train()

    report = localise_networks(networks[0], networks[1], specification, marked(2), None, names=("one", "two"))

    assert networks[0].training
    assert (report.interest, report.overlap) == ("one", "two")
    assert report.table("spots").films == 2


def test_a_networks_margin_belongs_to_its_maps() -> None:
    network = build_network("resnet18", 2)
    expert = network_expert(network, InputSpecification(64), "one")

    logits, cam = expert.explain(np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32))

    bias = network.get_parameter("fc.bias").detach().numpy()
    np.testing.assert_allclose(cam.mean(axis=(2, 3)) + bias, logits, atol=1e-4)


def test_an_artefacts_operating_point_becomes_a_margin(tmp_path: Path) -> None:
    directory = write_model(tmp_path, "covid19", threshold=0.8)

    expert = released_expert(directory)

    assert expert.name == "covid19"
    assert expert.positive_from == pytest.approx(np.log(4.0))
    inputs = np.random.default_rng(1).normal(size=(1, 3, 64, 64)).astype(np.float32)
    np.testing.assert_array_equal(
        expert.explain(inputs)[1], ExportedNetwork(directory / "model.onnx").outputs(inputs).cam
    )


def test_a_member_is_no_expert(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="an expert expected"):
        released_expert(write_model(tmp_path, "member", kind="multilabel"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Films of two parts with boxes on two of them."""
    folder = tmp_path / "data"
    write_data(folder, [*rows("val", 2), *rows("test", 2)])
    box = {"kind": "lung opacity", "x": "0.2", "y": "0.2", "w": "0.3", "h": "0.4"}
    write_table(folder / "boxes.csv", [{"image": f"images/manifest-{k}.png", **box} for k in (0, 1, 7)])
    return folder


def test_the_verb_writes_tables_of_two_artefacts(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experts = [str(write_model(tmp_path / "models", name, seed=k)) for k, name in enumerate(("covid19", "pneumonia"))]
    out = tmp_path / "out"

    code = main(["localise", *experts, "--data", str(data), "--out", str(out), "--pictures", "1"])

    assert code == 0
    report = LocalisationReport.model_validate_json((out / "localisation.json").read_text("utf-8"))
    assert report.table("opacity boxes").films == 2
    assert report.parts == ("val",)
    assert (out / "localisation.md").read_text("utf-8") == localisation_markdown(report)
    assert (out / "maps-01.png").is_file()
    assert "ADDK covid19 over pneumonia, alpha 15" in capsys.readouterr().out


def test_the_verb_reads_part_test_only_for_a_release(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experts = [str(write_model(tmp_path / "models", name)) for name in ("covid19", "pneumonia")]
    arguments = ["localise", *experts, "--data", str(data), "--out", str(tmp_path / "out"), "--parts"]

    assert main([*arguments, "test"]) == 1
    assert "--release" in capsys.readouterr().err
    assert main([*arguments, "test", "--release"]) == 0
    assert main([*arguments, "holdout"]) == 1
    assert "some of train,val,test" in capsys.readouterr().err


def test_pictures_of_films_stay_out_of_the_repository(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experts = [str(write_model(tmp_path / "models", name)) for name in ("covid19", "pneumonia")]

    code = main(["localise", *experts, "--data", str(data), "--out", "out/sheets", "--pictures", "1"])

    assert code == 1
    assert "inside the repository" in capsys.readouterr().err
    assert not Path("out/sheets").exists()


def test_nothing_marked_is_said(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "boxes.csv").unlink()
    experts = [str(write_model(tmp_path / "models", name)) for name in ("covid19", "pneumonia")]

    assert main(["localise", *experts, "--data", str(data), "--out", str(tmp_path / "out")]) == 1
    assert "nothing is drawn" in capsys.readouterr().err
