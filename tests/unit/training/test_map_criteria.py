"""Criteria of maps, on reports that are made up."""

from typing import Any

import pytest

from training.audit.estimates import Estimated
from training.audit.faithfulness import FaithfulnessReport, FaithfulnessResult
from training.audit.localisation import LocalisationReport, LocalisationTable, MethodResult
from training.audit.map_criteria import TWO_LUNGS, MapsAudit, maps_criteria
from training.audit.map_methods import map_methods
from training.audit.sanity import Likeness, RandomisedResult, SanityReport
from training.audit.verdict import Criterion


def _estimated(value: float, reach: float = 0.1) -> Estimated:
    return Estimated(value=value, low=value - reach, high=value + reach)


def _sanity(cam: float, one: float, other: float, both: float = 0.0) -> SanityReport:
    def result(method: str, randomised: Any, likeness: float) -> RandomisedResult:  # Any: a literal
        alike = Likeness(rank_correlation=_estimated(likeness), structure=_estimated(0.0), same_top=_estimated(0.0))
        return RandomisedResult(method=method, randomised=randomised, down_to="stem", likeness=alike)

    addk = "ADDK covid19 over pneumonia"
    rows = (
        result("CAM covid19", "interest", cam),
        result(addk, "interest", one),
        result(addk, "overlap", other),
        result(addk, "both", both),
    )
    return SanityReport(
        interest="covid19",
        overlap="pneumonia",
        films=9,
        patients=9,
        seeds=(0,),
        stages=("fc", "stem"),
        alpha=15.0,
        randomised=rows,
        baselines=(),
    )


def _faithfulness(deletion: float, insertion: float) -> FaithfulnessReport:
    zero = _estimated(0.0)
    result = FaithfulnessResult(
        order="ADDK covid19 over pneumonia",
        filling="blurred film",
        deletion=zero,
        insertion=zero,
        deletion_over_random=_estimated(deletion),
        insertion_over_random=_estimated(insertion),
        deletion_over_cam=zero,
        insertion_over_cam=zero,
    )
    return FaithfulnessReport(
        interest="covid19",
        overlap="pneumonia",
        films=9,
        patients=9,
        both_positive=4,
        steps=6,
        margin="margin",
        margin_of_films=zero,
        results=(result,),
    )


def _table(kind: str, subset: Any, films: int, hits: dict[str, float]) -> LocalisationTable:  # Any: a literal
    rows = tuple(
        MethodResult(
            method=method.name,
            direction=method.direction,
            hit=_estimated(hits.get(method.name, 0.0)),
            energy=_estimated(0.0),
            iou=_estimated(0.0),
            flat=0,
        )
        for method in map_methods("covid19", "pneumonia")
    )
    return LocalisationTable(
        kind=kind, part="all parts", subset=subset, films=films, patients=films, marked_share=0.1, rows=rows, gains=()
    )


def _localisation(hits: dict[str, float]) -> LocalisationReport:
    return LocalisationReport(
        interest="covid19",
        overlap="pneumonia",
        alphas=(5.0, 15.0, 50.0),
        parts=("val",),
        has_lungs_model=True,
        refused=0,
        notes=(),
        tables=(
            _table("opacity boxes", "all films", 30, {TWO_LUNGS: 0.99}),
            _table("opacity boxes", "interest positive", 3, {}),
            _table("infection masks", "all films", 10, hits),
            _table("infection masks", "interest positive", 9, {}),
        ),
    )


def _by_name(maps: MapsAudit) -> dict[str, Criterion]:
    return {criterion.name: criterion for criterion in maps_criteria(maps)}


def test_without_measurements_nothing_is_kept() -> None:
    found = _by_name(MapsAudit())

    assert len(found) == 7
    assert not any(criterion.passed for criterion in found.values())


def test_the_most_alike_of_the_randomised_pairs_decides() -> None:
    good, bad = _by_name(MapsAudit(_sanity(0.1, 0.2, 0.7))), _by_name(MapsAudit(_sanity(0.6, 0.9, 0.7, 0.6)))

    names = ("sanity_cam", "sanity_addk", "sanity_addk_each")
    assert all(good[name].passed for name in names)
    assert not any(bad[name].passed for name in names)
    assert (good["sanity_addk_each"].measured, good["sanity_addk_each"].remark) == (0.7, "overlap random")
    assert bad["sanity_addk_each"].remark == "interest random"


@pytest.mark.parametrize(("deletion", "insertion", "kept"), [(-0.5, 0.5, True), (-0.05, 0.05, False)])
def test_faithfulness_needs_an_interval_beyond_random(deletion: float, insertion: float, kept: bool) -> None:
    found = _by_name(MapsAudit(faithfulness=_faithfulness(deletion, insertion)))

    assert found["faithful_deletion"].passed == found["faithful_insertion"].passed == kept


def test_lesions_are_those_of_the_expert_and_the_prior_is_the_bar() -> None:
    hits = {TWO_LUNGS: 0.4, "CAM covid19": 0.5}

    found = _by_name(MapsAudit(localisation=_localisation(hits)))

    assert found["cam_finds_lesions"].measured == pytest.approx(0.1)
    assert found["cam_finds_lesions"].remark.startswith("infection masks, 10 films")
    assert found["addk_finds_lesions"].measured == pytest.approx(-0.4)
    assert (found["cam_finds_lesions"].passed, found["addk_finds_lesions"].passed) == (True, False)
