"""Lungs, the input gate and what the experts are fed, through the screening service over fakes."""

from typing import Any

import numpy as np
import pytest

from app.domain.errors import DivergenceError, ImageRefusedError, RefusalReason
from app.domain.lungs import lung_window, outside_lungs
from app.domain.preprocessing import place
from app.domain.screening import ExpertFinding, ScreeningResult
from app.inference.expert import Network
from tests.fakes import FakeDecoder, FakeLungs, FakeNetwork, manifest
from tests.phantoms import chest_film, radiograph, square_film
from tests.unit.domain.lung_fields import boxed_lungs
from tests.unit.services.test_screening import FALLING, RISING, Bench, solid

SIDE = 256
BOTH, NONE, ONE = boxed_lungs(), boxed_lungs(None, None), boxed_lungs(right=None)
CROPPED: dict[str, Any] = {  # Any: a manifest's fields
    "input": {
        "size_px": 32, "channels": 1, "intensity": "full-range", "mean": [0.0], "std": [1.0],
        "crop": "lungs", "crop_margin": 0.125,
    },
}  # fmt: skip


def bench(lungs: FakeLungs | None, *more: Network, **changes: Any) -> Bench:  # Any: a manifest's fields
    """Two experts fed with the lungs' part of a square film."""
    changes = CROPPED | changes
    experts = solid("covid19", cam=RISING, **changes), solid("pneumonia", cam=FALLING, **changes)
    return Bench(*experts, *more, decoder=FakeDecoder(radiograph(chest_film(SIDE, SIDE))), lungs=lungs)


def screened(lungs: FakeLungs, *more: Network, force: bool = False, **changes: Any) -> ScreeningResult:  # Any: as above
    return bench(lungs, *more, **changes).screen(force=force).result


def first(result: ScreeningResult) -> ExpertFinding:
    return result.experts["covid19"]


def test_experts_see_the_window_around_the_lungs() -> None:
    result = screened(FakeLungs(BOTH))

    window = lung_window(BOTH, 0.125)
    expected = place(SIDE, SIDE, 32, window).extent
    assert window is not None
    assert {finding.extent for finding in result.experts.values()} == {expected}
    assert result.divergence is not None
    assert result.divergence.extent == expected


def test_what_an_expert_is_fed_with_is_that_window() -> None:
    seen: list[Any] = []  # Any: arrays of the network's input
    film = square_film(SIDE, SIDE, (8, 48, 248, 208))  # white exactly where the window lies
    asked = FakeNetwork(manifest("covid19", **CROPPED), before=seen.append)
    bench = Bench(asked, solid("pneumonia"), decoder=FakeDecoder(radiograph(film)), lungs=FakeLungs(BOTH))

    bench.screen(include=frozenset())

    placement = place(SIDE, SIDE, 32, (8, 48, 248, 208))
    inside = np.zeros((32, 32), np.float32)
    inside[placement.top_px : placement.top_px + placement.height_px] = 1.0
    np.testing.assert_allclose(seen[0][0, 0], inside, atol=1e-6)


def test_experts_with_other_margins_see_other_rectangles_and_are_not_contrasted() -> None:
    wider = solid("pneumonia", input=CROPPED["input"] | {"crop_margin": 0.0})
    film = FakeDecoder(radiograph(chest_film(SIDE, SIDE)))

    with pytest.raises(DivergenceError, match="rectangle"):
        Bench(solid("covid19", **CROPPED), wider, decoder=film, lungs=FakeLungs(BOTH)).screen()


def test_the_share_outside_the_lungs_is_that_of_each_map_and_of_each_divergence() -> None:
    result = bench(FakeLungs(BOTH)).screen(alphas=(5.0, 50.0)).result

    divergence = result.divergence
    assert divergence is not None
    for finding, values in ((result.experts["covid19"], RISING), (result.experts["pneumonia"], FALLING)):
        assert finding.outside_lungs == pytest.approx(outside_lungs(values, divergence.extent, BOTH))
    assert divergence.outside_lungs == pytest.approx(
        [outside_lungs(each.display, divergence.extent, BOTH) for each in divergence.maps]
    )
    assert len(set(divergence.outside_lungs)) == 2


@pytest.mark.parametrize(("cell", "zone"), [((5, 1), "right lower"), ((2, 6), "left upper"), ((4, 3), None)])
def test_regions_bear_the_names_of_their_zones(cell: tuple[int, int], zone: str | None) -> None:
    claimed = np.zeros((8, 8))
    claimed[cell] = 1.0
    experts = solid("covid19", cam=claimed, **CROPPED), solid("pneumonia", cam=1.0 - claimed, **CROPPED)
    film = FakeDecoder(radiograph(chest_film(SIDE, SIDE)))

    divergence = Bench(*experts, decoder=film, lungs=FakeLungs(BOTH)).screen().result.divergence

    assert divergence is not None
    assert [region.zone for region in divergence.regions[0]] == [zone]


def test_without_a_lungs_network_nothing_is_known_of_lungs() -> None:
    result = Bench(solid("covid19"), solid("pneumonia", cam=FALLING)).screen().result

    assert first(result).outside_lungs is None
    assert result.divergence is not None
    assert result.divergence.outside_lungs == (None,)
    assert {region.zone for region in result.divergence.regions[0]} == {None}
    assert result.flags == ()
    assert {"lungs", "gate"} & set(result.timings_ms) == set()


def test_lungs_and_gate_are_timed_and_the_lungs_network_is_named_last() -> None:
    result = screened(FakeLungs(BOTH), FakeNetwork(manifest("member", kind="multilabel")))

    assert {"decode", "lungs", "gate", "preprocess", "networks", "maps"} <= set(result.timings_ms)
    assert [model.name for model in result.models] == ["covid19", "pneumonia", "member", "lungs"]


# --- the gate ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lungs", "reason", "words"),
    [
        (FakeLungs(BOTH, frontal=-1.0), RefusalReason.NOT_A_CHEST_RADIOGRAPH, "frontal film is 0.27; 0.50 or more"),
        (FakeLungs(NONE), RefusalReason.NOT_A_CHEST_RADIOGRAPH, "no lung was found"),
        (FakeLungs(ONE), RefusalReason.NOT_A_CHEST_RADIOGRAPH, "only one lung"),
        (FakeLungs(BOTH, {"min_lung_share": 0.3}), RefusalReason.NOT_A_CHEST_RADIOGRAPH, "0.25; 0.30 or more"),
        (FakeLungs(BOTH, {"min_balance": 1.1}), RefusalReason.LATERAL_VIEW, "1.00; 1.10 or more"),
        (FakeLungs(BOTH, {"max_two_level_share": 0.1}), RefusalReason.LOW_CONTRAST, "0.10 at most"),
    ],
)
def test_a_picture_that_the_gate_refuses_is_answered_only_if_forced_and_decides_nothing(
    lungs: FakeLungs, reason: RefusalReason, words: str
) -> None:
    with pytest.raises(ImageRefusedError, match=words) as refusal:
        screened(lungs)
    forced = screened(lungs, force=True)

    assert refusal.value.reason is reason
    assert {"forced", f"gate_{reason}"} <= set(forced.flags)
    assert first(forced).decision == "indeterminate"
    assert f"gate_{reason}" in first(forced).doubts
    assert first(forced).probability == pytest.approx(1 / (1 + np.exp(-1.0)))


@pytest.mark.parametrize("lungs", [NONE, ONE])
def test_without_both_lungs_a_forced_film_is_fed_whole_and_its_maps_have_no_share(lungs: Any) -> None:
    result = screened(FakeLungs(lungs), force=True)

    assert first(result).extent == place(SIDE, SIDE, 32).extent
    assert "lungs_not_found" in result.flags
    assert first(result).outside_lungs is None
    assert result.divergence is not None
    assert result.divergence.outside_lungs == (None,)


def test_a_film_that_passes_is_not_marked_as_refused_though_forced() -> None:
    result = screened(FakeLungs(BOTH), force=True)

    assert result.flags == ("forced",)
    assert (first(result).decision, first(result).doubts) == ("positive", ())


@pytest.mark.parametrize("fact", ["inverted", "rotated"])
def test_a_film_that_lies_wrong_is_flagged_and_decides_nothing(fact: str) -> None:
    logit: dict[str, Any] = {fact: 0.0}  # Any: beside the gate's limits
    result = screened(FakeLungs(BOTH, **logit), FakeNetwork(manifest("member", kind="multilabel")))

    assert result.flags == (fact,)
    assert (first(result).decision, first(result).doubts) == ("indeterminate", (fact,))
    assert result.divergence is not None
    assert not result.divergence.intended_use
    assert f"expert is indeterminate ({fact})" in (result.divergence.reason or "")
    assert result.ensemble is not None
    assert {label.decision for label in result.ensemble.labels} == {"indeterminate"}
    assert fact in result.ensemble.flags


@pytest.mark.parametrize(
    ("groups", "decision"), [(None, "positive"), (["adult", "paediatric"], "positive"), (["adult"], "indeterminate")]
)
def test_a_child_is_flagged_and_decided_only_by_experts_measured_on_children(
    groups: list[str] | None, decision: str
) -> None:
    measured_on = None if groups is None else {"age_groups": groups}
    result = screened(FakeLungs(BOTH, paediatric=1.0), measured_on=measured_on)

    assert result.flags == ("paediatric",)
    assert first(result).decision == decision


def test_lungs_cut_off_by_the_films_edge_are_flagged_and_decided() -> None:
    result = screened(FakeLungs(boxed_lungs(right=(0.0, 0.25, 0.375, 0.75)), {"max_edge_contact": 0.3}))

    assert result.flags == ("cropped",)
    assert first(result).decision == "positive"


def test_a_window_with_fewer_pixels_than_the_input_is_flagged_though_the_film_has_more() -> None:
    small = boxed_lungs((0.4, 0.4, 0.47, 0.5), (0.5, 0.4, 0.57, 0.5))

    assert screened(FakeLungs(small)).flags == ()  # 51 of 256 px are more than 32
    assert screened(FakeLungs(small), input=CROPPED["input"] | {"size_px": 64}).flags == ("low_resolution",)


def test_the_post_test_probability_is_that_of_the_patients_age_where_it_was_measured() -> None:
    rates = {"sensitivity": 0.5, "specificity": 0.5}
    point = {"name": "a", "threshold": 0.5, "sensitivity": 0.9, "specificity": 0.8, "children": rates}
    changes = {"operating_points": {"covid19": [point], "pneumonia": [point]}}

    def found(**logits: Any) -> Any:  # Any: either of the fake's arguments
        screening = bench(FakeLungs(BOTH, **logits), **changes).screen(pretest_probability=0.1)
        return first(screening.result).post_test

    assert (found(paediatric=3.0).measured_on, found(paediatric=3.0).probability) == ("children", pytest.approx(0.1))
    assert found().measured_on == "all"


def test_a_blank_film_is_refused_even_if_forced() -> None:
    blank = FakeDecoder(radiograph(np.full((SIDE, SIDE), 90, np.uint8)))
    lungs = FakeLungs(BOTH)
    lungs.manifest = lungs.manifest.model_copy(
        update={"input": lungs.manifest.input.model_copy(update={"intensity": "percentile-1-99"})}
    )

    with pytest.raises(ImageRefusedError, match="grey values lie between"):
        Bench(solid("covid19"), solid("pneumonia"), decoder=blank, lungs=lungs).screen(force=True)


def test_the_gate_uses_the_calibrated_probability_and_the_threshold_of_the_manifest() -> None:
    lungs = FakeLungs(BOTH, frontal=0.1)
    assert screened(lungs).flags == ()

    strict = [{"name": "a", "threshold": 0.6}]
    lungs.manifest = lungs.manifest.model_copy(
        update={
            "operating_points": lungs.manifest.model_validate(
                lungs.manifest.model_dump(by_alias=True)
                | {"operating_points": dict.fromkeys(("frontal", "inverted", "rotated", "paediatric"), strict)}
            ).operating_points
        }
    )
    with pytest.raises(ImageRefusedError, match=r"0\.52; 0\.60 or more"):
        screened(lungs)
