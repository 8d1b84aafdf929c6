"""The ensemble that ships: three members of two families, fitted together, with maps that add up to its mean logit."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.bootstrap import Services, open_services
from app.domain.ensemble import EnsembleResult
from app.domain.label_hierarchy import ENSEMBLE_LABELS, PARENT_OF
from app.services.options import Part, ScreeningOptions
from app.settings import load_settings
from tests.phantoms import RIGHT_LOWER, chest_film, png_bytes

MODELS = Path("models")
pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(not (MODELS / "ensemble.json").is_file(), reason="no ensemble is shipped in this checkout"),
]
PARTS: frozenset[Part] = frozenset({"ensemble", "ensemble_maps"})


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with open_services(load_settings({}, models_dir=MODELS, device="cpu")) as opened:
        yield opened


@pytest.fixture(scope="module")
def answers(services: Services) -> list[EnsembleResult]:
    """Two phantoms of opposite shapes, whatever the input gate says of them."""
    films = [chest_film(320, 288, opacities=(RIGHT_LOWER,)), chest_film(256, 340, seed=2)]
    options = ScreeningOptions(include=PARTS, force=True)
    found = [services.screening.screen(png_bytes(film), options).result.ensemble for film in films]
    return [each for each in found if each is not None]


def test_three_members_of_two_families_were_fitted_together(services: Services) -> None:
    members = services.catalogue.members

    assert len(members) >= 3
    assert len({network.manifest.architecture.rstrip("0123456789") for network in members.values()}) >= 2
    assert services.catalogue.fitted is not None
    assert list(services.catalogue.fitted.labels) == list(ENSEMBLE_LABELS)


def test_every_label_s_map_and_bias_add_up_to_the_members_mean_logit(answers: list[EnsembleResult]) -> None:
    assert len(answers) == 2
    for result in answers:
        for label in result.labels:
            found = label.activation_map
            logits = [math.log(p / (1.0 - p)) for p in label.members.values()]
            assert found is not None
            assert found.mean_logit == pytest.approx(float(np.mean(logits)), abs=1e-5)
            assert float(found.values.mean()) + found.bias == pytest.approx(found.mean_logit, abs=2e-5)


def test_labels_that_were_not_evaluated_say_so_and_no_child_is_above_its_parent(
    answers: list[EnsembleResult],
) -> None:
    for result in answers:
        probabilities = {label.name: label.probability for label in result.labels}
        assert {label.name for label in result.labels if label.evaluated} == {
            *("pneumonia", "viral", "covid19", "bacterial", "no_finding")
        }
        for name, parent in PARENT_OF.items():
            assert parent is None or probabilities[name] <= probabilities[parent]
