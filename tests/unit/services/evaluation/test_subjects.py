"""Which labels of the ensemble are measured, and at which operating points."""

from datetime import UTC, datetime

from app.inference.catalogue import Catalogue, CatalogueFile
from app.inference.ensemble_file import FittedEnsemble
from app.services.evaluation.subjects import ensemble_subjects
from tests.fakes import FakeNetwork, manifest


def catalogue(members: list[str], fitted: FittedEnsemble | None = None) -> Catalogue:
    networks = {name: FakeNetwork(manifest(name)) for name in ("covid19", "other")}
    networks |= {name: FakeNetwork(manifest(name, kind="multilabel")) for name in members}
    content = {
        "schema": "discern-catalogue/1",
        "pairs": [{"interest": "covid19", "overlap": "other"}],
        "ensemble": {"members": members},
    }
    return Catalogue(networks, {}, CatalogueFile.model_validate(content), fitted=fitted)


def test_without_members_there_is_nothing_to_measure() -> None:
    assert ensemble_subjects(catalogue([])) == {}


def test_what_was_fitted_says_what_is_measured_and_where_it_is_decided() -> None:
    labels = {
        "pneumonia": {"operating_points": [{"name": "own", "threshold": 0.3}]},
        "no_finding": {"operating_points": [{"name": "own", "threshold": 0.4}], "evaluated": False},
    }
    fitted = FittedEnsemble.model_validate(
        {
            "schema": "discern-ensemble/1",
            "members": [{"name": name, "version": "1.0.0", "model_sha256": "0" * 64} for name in ("a", "b")],
            "labels": labels,
            "code_commit": "0000000",
            "created": datetime(2026, 1, 1, tzinfo=UTC),
        }
    )

    found = ensemble_subjects(catalogue(["a", "b"], fitted))

    assert list(found) == ["pneumonia"]
    assert (found["pneumonia"].version, found["pneumonia"].points[0].threshold) == ("a 1.0.0, b 1.0.0", 0.3)


def test_where_nothing_was_fitted_the_first_member_says_so() -> None:
    found = ensemble_subjects(catalogue(["a", "b"]))

    assert list(found) == ["pneumonia", "no_finding"]
    assert found["pneumonia"].points[0].threshold == 0.5
