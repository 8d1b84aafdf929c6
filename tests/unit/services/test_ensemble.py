"""The ensemble's answer for one film, over members whose answers are known."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.domain.arrays import NetworkInput
from app.domain.calibration import logit_of, sigmoid
from app.domain.ensemble import EnsembleResult, LabelFinding, LabelMap
from app.domain.preprocessing import place
from app.inference.catalogue import Catalogue, CatalogueFile
from app.inference.ensemble_file import FittedEnsemble
from app.inference.expert import NetworkOutputs
from app.inference.manifest import MeasuredOnEntry
from app.services.ensemble import NOT_FITTED, ask_ensemble
from app.services.preparation import CheckedFilm, Preparation
from app.services.stopwatch import Stopwatch
from tests.fakes import FakeNetwork, manifest
from tests.phantoms import chest_film, radiograph
from tests.unit.domain.lung_fields import padded_lungs

PNEUMONIA, NO_FINDING = "pneumonia", "no_finding"
FILM = radiograph(chest_film(96, 80))


class Member(FakeNetwork):
    """A member of two labels whose maps are given; its logits are their means plus its biases."""

    def __init__(self, name: str, cam: NDArray[np.float64], biases: tuple[float, float] = (0.0, 0.0), **changes: Any):
        cells = cam.shape[1]
        super().__init__(manifest(name, kind="multilabel", cells=cells, **changes))
        self.cam, self.biases = np.asarray(cam, np.float32), np.array(biases)
        self.asked: list[bool] = []

    def __call__(self, films: NetworkInput, *, maps: bool = True, features: bool = False) -> NetworkOutputs:
        assert (len(films), features) == (1, False)
        self.asked.append(maps)
        logits = (self.cam.mean(axis=(1, 2)) + self.biases).astype(np.float32)
        return NetworkOutputs(logits[None], self.cam[None] if maps else None)


RISING = np.array([[[1.0, 2.0], [3.0, 4.0]], [[-1.0, -1.0], [-1.0, -2.0]]])
FINE = np.stack([np.arange(16.0).reshape(4, 4) - 8.0, np.full((4, 4), 0.5)])


def ask(*members: Member, fitted: FittedEnsemble | None = None, maps: bool = True, **checked: Any) -> EnsembleResult:
    networks = {name: FakeNetwork(manifest(name)) for name in ("covid19", "other")}
    content = {
        "schema": "discern-catalogue/1",
        "pairs": [{"interest": "covid19", "overlap": "other"}],
        "ensemble": {"members": [member.manifest.name for member in members]},
    }
    catalogue = Catalogue(
        {**networks, **{member.manifest.name: member for member in members}},
        {},
        CatalogueFile.model_validate(content),
        fitted=fitted,
    )
    film, stopwatch = CheckedFilm(FILM, **checked), Stopwatch()
    found = ask_ensemble(catalogue, film, Preparation(film, stopwatch), stopwatch, maps=maps)
    assert found is not None
    return found


def fit(*members: Member, **changes: Any) -> FittedEnsemble:
    return FittedEnsemble.model_validate(
        {
            "schema": "discern-ensemble/1",
            "members": [
                {"name": m.manifest.name, "version": m.manifest.version, "model_sha256": m.manifest.model_sha256}
                for m in members
            ],
            "labels": {
                PNEUMONIA: {
                    "calibration": {"method": "platt", "slope": 1.5, "intercept": -0.5},
                    "operating_points": [{"name": "own", "threshold": 0.9}],
                },
                NO_FINDING: {"operating_points": [{"name": "own", "threshold": 0.5}], "evaluated": False},
            },
            "code_commit": "0000000",
            "created": "2026-01-01T00:00:00Z",
        }
        | changes
    )


def label(result: EnsembleResult, name: str) -> LabelFinding:
    return next(each for each in result.labels if each.name == name)


def map_of(result: EnsembleResult, name: str) -> LabelMap:
    found = label(result, name).activation_map
    assert found is not None
    return found


@pytest.mark.parametrize("name", [PNEUMONIA, NO_FINDING])
def test_every_label_s_map_and_bias_add_up_to_the_members_mean_logit(name: str) -> None:
    calibration = {"calibration": {PNEUMONIA: {"method": "platt", "slope": 2.0, "intercept": -1.0}}}
    members = Member("a", RISING, (0.5, -0.25), **calibration), Member("b", FINE, (-1.0, 2.0))

    result = ask(*members)

    found = map_of(result, name)
    logits = [logit_of(probability) for probability in label(result, name).members.values()]
    assert found.mean_logit == pytest.approx(np.mean(logits), abs=1e-5)
    assert found.values.mean() + found.bias == pytest.approx(found.mean_logit, abs=1e-6)
    assert found.values.shape == (4, 4)


def test_the_map_is_of_the_calibrated_logits_that_the_probabilities_come_from() -> None:
    calibration = {"calibration": {PNEUMONIA: {"method": "platt", "slope": 2.0, "intercept": -1.0}}}

    found = map_of(ask(Member("a", RISING, (0.5, 0.0), **calibration)), PNEUMONIA)

    np.testing.assert_allclose(found.values, 2.0 * RISING[0])
    assert found.bias == pytest.approx(2.0 * 0.5 - 1.0)
    assert found.mean_logit == pytest.approx(2.0 * (2.5 + 0.5) - 1.0)


def test_a_grid_that_does_not_reach_the_input_s_edges_lies_where_it_sees() -> None:
    inner = Member("a", RISING, grid_px=(8.0, 8.0, 24.0, 24.0))

    found = map_of(ask(inner, Member("b", np.zeros((2, 2, 2)))), PNEUMONIA)

    # Half of the input each way holds all of the first member's evidence.
    assert found.extent == place(96, 80, 32).extent
    assert found.values.shape == (4, 4)
    assert np.all(found.values[1:3, 1:3] > 0.0)
    assert found.values.sum() == pytest.approx(found.values[1:3, 1:3].sum())
    assert found.values.mean() == pytest.approx(RISING[0].mean() / 2)


def test_without_maps_no_network_computes_one() -> None:
    member = Member("a", RISING)

    result = ask(member, maps=False)

    assert member.asked == [False]
    assert all(each.activation_map is None for each in result.labels)


def test_the_mean_is_calibrated_and_decided_at_the_ensemble_s_own_points() -> None:
    members = Member("a", RISING), Member("b", FINE)

    result = ask(*members, fitted=fit(*members))

    found = label(result, PNEUMONIA)
    mean = float(np.mean(sigmoid(np.array([2.5, -0.5]))))
    assert found.mean == pytest.approx(mean)
    assert found.probability == pytest.approx(float(sigmoid(np.float64(1.5 * logit_of(mean) - 0.5))))
    assert (found.operating_point.name, found.operating_point.threshold) == ("own", 0.9)
    assert found.decision == "negative"
    assert not label(result, NO_FINDING).evaluated
    assert result.flags == ()


def test_a_mean_that_nothing_was_fitted_to_says_so_and_uses_the_first_member_s_points() -> None:
    points = {name: [{"name": "first", "threshold": 0.2}] for name in (PNEUMONIA, NO_FINDING)}

    result = ask(Member("a", RISING, operating_points=points), Member("b", FINE))

    assert result.flags == (NOT_FITTED,)
    assert label(result, PNEUMONIA).operating_point.name == "first"
    assert label(result, PNEUMONIA).probability == label(result, PNEUMONIA).mean


def test_one_member_alone_needs_no_fit() -> None:
    assert ask(Member("a", RISING)).flags == ()


def test_a_film_that_the_ensemble_was_not_measured_on_is_not_decided() -> None:
    members = Member("a", RISING), Member("b", FINE)
    fitted = fit(*members, measured_on=MeasuredOnEntry(age_groups=("adult",)))

    result = ask(*members, fitted=fitted, flags=("paediatric",))

    assert {each.decision for each in result.labels} == {"indeterminate"}
    assert result.flags == ("paediatric",)


def test_a_fitted_ensemble_speaks_for_its_members_age_groups() -> None:
    adults: Any = {"measured_on": {"age_groups": ["adult"]}}  # Any: as in a manifest
    members = Member("a", RISING, **adults), Member("b", FINE, **adults)
    both = fit(*members, measured_on=MeasuredOnEntry(age_groups=("adult", "paediatric")))

    assert ask(*members, fitted=both, flags=("paediatric",)).flags == ()
    assert ask(*members, flags=("paediatric",)).flags == (NOT_FITTED, "paediatric")


def test_a_map_says_what_lies_outside_the_lungs_and_what_argues_for_nothing() -> None:
    result = ask(Member("a", RISING), lungs=padded_lungs(96, 80))

    share = map_of(result, PNEUMONIA).outside_lungs
    assert share is not None
    assert 0.0 < share < 1.0
    assert map_of(result, NO_FINDING).outside_lungs is None
    assert map_of(result, NO_FINDING).flags == ("no_positive_evidence",)


def test_no_member_is_no_ensemble() -> None:
    networks = {name: FakeNetwork(manifest(name)) for name in ("covid19", "other")}
    content = {"schema": "discern-catalogue/1", "pairs": [{"interest": "covid19", "overlap": "other"}]}
    film, stopwatch = CheckedFilm(FILM), Stopwatch()

    catalogue = Catalogue(networks, {}, CatalogueFile.model_validate(content))

    assert ask_ensemble(catalogue, film, Preparation(film, stopwatch), stopwatch, maps=True) is None
