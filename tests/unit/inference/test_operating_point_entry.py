"""Operating points as manifests write them."""

import pytest
from pydantic import ValidationError

from app.domain.operating_point import OperatingPoint, Rates
from app.inference.manifest import OperatingPointEntry


def test_a_point_comes_out_of_the_manifest_as_it_went_in() -> None:
    entry = OperatingPointEntry.model_validate(
        {
            "name": "sensitivity-0.90", "threshold": 0.4, "sensitivity": 0.9, "specificity": 0.8,
            "indeterminate": [0.35, 0.5], "adults": {"sensitivity": 0.91, "specificity": 0.82},
            "children": {"specificity": 0.3},
        }
    )  # fmt: skip

    expected = OperatingPoint(0.4, 0.9, 0.8, "sensitivity-0.90", (0.35, 0.5), Rates(0.91, 0.82), Rates(None, 0.3))
    assert entry.point() == expected
    assert OperatingPointEntry.model_validate_json(entry.model_dump_json()) == entry


def test_a_manifest_made_before_there_were_bands_decides_as_it_did() -> None:
    entry = OperatingPointEntry.model_validate({"name": "default", "threshold": 0.4})

    assert [entry.point().decide(probability) for probability in (0.39, 0.4)] == ["negative", "positive"]


@pytest.mark.parametrize("band", [[0.5, 0.6], [0.1, 0.3], [0.5, 0.3], [-0.1, 0.5], [0.3]])
def test_a_band_beside_the_threshold_is_no_manifest(band: list[float]) -> None:
    with pytest.raises(ValidationError):
        OperatingPointEntry.model_validate({"name": "default", "threshold": 0.4, "indeterminate": band})
