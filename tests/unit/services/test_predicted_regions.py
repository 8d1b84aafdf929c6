"""Predicted regions of one film, over a network whose region and map are known."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.domain.activation_map import lay_over_film
from app.domain.arrays import NetworkInput
from app.domain.directed_divergence import directed_divergence
from app.domain.predicted_region import PredictedRegion
from app.domain.preprocessing import place
from app.domain.screening import DivergenceFinding
from app.inference.catalogue import Catalogue, CatalogueFile
from app.inference.region_network import RegionOutputs
from app.services.predicted_regions import predict_regions
from app.services.preparation import CheckedFilm, Preparation
from app.services.stopwatch import Stopwatch
from tests.fakes import FakeNetwork, manifest
from tests.phantoms import chest_film, radiograph

SIDE, CELLS = 32, 2
FILM = radiograph(chest_film(96, 80))
EXTENT = place(96, 80, SIDE).extent
LOWER_RIGHT = np.array([[0.0, 0.0], [0.0, 4.0]])


class RegionFake(FakeNetwork):
    """An expert whose region, map and margin are given."""

    def __init__(self, region: NDArray[np.float32], own: NDArray[np.float64], margin: float, **changes: Any) -> None:
        outputs = {
            "logits": ["N", 2], "features": ["N", 1, CELLS, CELLS], "cam": ["N", 2, CELLS, CELLS],
            "region": ["N", 1, SIDE, SIDE],
        }  # fmt: skip
        region_entry = {"of": "opacities", "outlined_films": 9}
        super().__init__(manifest("outliner", outputs=outputs, region=region_entry, **changes))
        self._region, self._own, self._margin = region, own, margin

    def predict(self, films: NetworkInput) -> RegionOutputs:
        assert films.shape == (1, 1, SIDE, SIDE)
        cam = np.stack([-self._own, self._own])[None].astype(np.float32)
        return RegionOutputs(np.array([[0.0, self._margin]], np.float32), cam, self._region[None])


def region_at(rows: slice, columns: slice, inside: float = 0.9) -> NDArray[np.float32]:
    region = np.full((SIDE, SIDE), 0.1, np.float32)
    region[rows, columns] = inside
    return region


def catalogue_of(*networks: RegionFake) -> Catalogue:
    experts = {name: FakeNetwork(manifest(name)) for name in ("covid19", "other")}
    content = {
        "schema": "discern-catalogue/1",
        "pairs": [{"interest": "covid19", "overlap": "other"}],
        "regions": [network.manifest.name for network in networks],
    }
    found = {network.manifest.name: network for network in networks}
    return Catalogue({**experts, **found}, {}, CatalogueFile.model_validate(content), regions=found)


def contrast_of(own: NDArray[np.float64], other: NDArray[np.float64]) -> DivergenceFinding:
    maps = (directed_divergence(own, other, 15.0), directed_divergence(own, other, 50.0))
    return DivergenceFinding("covid19", "other", True, None, maps, EXTENT, (None, None))


def ask(network: RegionFake, divergence: DivergenceFinding | None = None, **checked: Any) -> PredictedRegion:
    film, stopwatch = CheckedFilm(FILM, **checked), Stopwatch()
    found = predict_regions(catalogue_of(network), film, Preparation(film, stopwatch), divergence, stopwatch)
    assert found is not None
    (one,) = found
    assert {"networks", "predicted_regions"} <= set(stopwatch.elapsed_ms)
    return one


def test_the_lower_right_quarter_of_the_input_is_so_much_of_the_film() -> None:
    region = region_at(slice(16, 32), slice(16, 32))

    found = ask(RegionFake(region, LOWER_RIGHT, 2.0))

    # the film fills 32 x 26 pixels of the input: all rows below 16, and 13 of the 26 columns
    assert found.share == pytest.approx(0.25, abs=0.01)
    assert (found.name, found.region_of, found.target, found.flags) == ("outliner", "opacities", "outliner", ())
    assert found.extent == EXTENT
    np.testing.assert_array_equal(found.values, region)


def test_a_map_that_is_hottest_there_agrees_and_one_that_is_not_does_not() -> None:
    region = region_at(slice(16, 32), slice(16, 32))

    same = ask(RegionFake(region, LOWER_RIGHT, 2.0)).agreements[0].found
    away = ask(RegionFake(region, LOWER_RIGHT[::-1, ::-1], 2.0)).agreements[0].found

    assert same.iou is not None
    assert away.iou is not None
    assert same.iou > 0.6
    assert away.iou < 0.1
    assert same.energy_inside is not None
    assert away.energy_inside is not None
    assert same.energy_inside > 0.5
    assert away.energy_inside < 0.1
    assert same.correlation is not None
    assert away.correlation is not None
    assert same.correlation > 0.5
    assert away.correlation < 0.0


def test_the_divergence_is_compared_at_its_first_amplification() -> None:
    region = region_at(slice(16, 32), slice(16, 32))
    contrast = contrast_of(LOWER_RIGHT, LOWER_RIGHT[::-1])

    own, other = ask(RegionFake(region, LOWER_RIGHT, 2.0), contrast).agreements

    assert (own.with_map, own.alpha) == ("cam", None)
    assert (other.with_map, other.alpha) == ("divergence", 15.0)
    heat = lay_over_film(contrast.maps[0].display, EXTENT, 96, 80, 96, 80)
    inside = lay_over_film(region.astype(np.float64), EXTENT, 96, 80, 96, 80) >= 0.5
    assert other.found.energy_inside == pytest.approx(float(heat[inside].sum() / heat.sum()), abs=1e-6)


@pytest.mark.parametrize(
    ("inside", "everywhere", "flag"), [(0.2, False, "empty_region"), (0.9, True, "saturated_region")]
)
def test_nothing_and_everything_are_flagged(inside: float, everywhere: bool, flag: str) -> None:
    rows = slice(0, 32) if everywhere else slice(0, 4)

    found = ask(RegionFake(region_at(rows, rows, inside), LOWER_RIGHT, 2.0))

    assert found.flags == (flag,)


def test_a_map_that_holds_no_evidence_has_no_hottest_area_to_agree_with() -> None:
    region = region_at(slice(16, 32), slice(16, 32))

    found = ask(RegionFake(region, LOWER_RIGHT * 1e-4, 2.0)).agreements[0].found

    assert (found.iou, found.energy_inside, found.correlation) == (None, None, None)


def test_the_class_is_calibrated_decided_and_doubted_as_any_expert_s() -> None:
    region = region_at(slice(16, 32), slice(16, 32))
    calibrated = {"calibration": {"outliner": {"method": "platt", "slope": 2.0, "intercept": -1.0}}}
    adults = {"measured_on": {"age_groups": ["adult"]}}

    sure = ask(RegionFake(region, LOWER_RIGHT, 1.5, **calibrated))
    child = ask(RegionFake(region, LOWER_RIGHT, 1.5, **adults), flags=("paediatric",), paediatric=True)

    assert sure.probability == pytest.approx(1 / (1 + np.exp(-2.0)))
    assert (sure.decision, sure.doubts) == ("positive", ())
    assert (child.decision, child.doubts) == ("indeterminate", ("paediatric",))


def test_where_no_such_network_is_served_there_is_no_answer() -> None:
    film, stopwatch = CheckedFilm(FILM), Stopwatch()

    assert predict_regions(catalogue_of(), film, Preparation(film, stopwatch), None, stopwatch) is None
