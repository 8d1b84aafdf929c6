"""The input gate: every rule by itself, at its bound, and what it says."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.domain.errors import RefusalReason
from app.domain.input_gate import (
    FACTS,
    Fact,
    GateFlag,
    GateLimits,
    Verdict,
    doubts,
    is_enlarged,
    judge,
    two_level_share,
)
from app.domain.lung_geometry import LungGeometry
from app.domain.preprocessing import Window, place
from tests.phantoms import chest_film
from tests.unit.domain.strategies import LAW

NO_FILM, LATERAL, BLANK = (
    RefusalReason.NOT_A_CHEST_RADIOGRAPH,
    RefusalReason.LATERAL_VIEW,
    RefusalReason.LOW_CONTRAST,
)
GOOD = LungGeometry(
    share=0.3, balance=0.8, overlap=0.1, aspect=1.2, offset=0.1, certainty=0.95, edge_contact=0.02
)  # fmt: skip
LIMITS = GateLimits(
    min_lung_share=0.1, max_lung_share=0.6, min_aspect=0.7, max_aspect=2.0, max_offset=0.4, min_certainty=0.8,
    min_balance=0.3, max_overlap=0.4, max_two_level_share=0.8, max_edge_contact=0.2,
)  # fmt: skip


def facts(**probabilities: float) -> dict[str, Fact]:
    """A frontal, upright adult, but for what is named; every threshold is one half."""
    usual = {"frontal": 0.99, "inverted": 0.01, "rotated": 0.01, "paediatric": 0.01}
    return {name: Fact(probability, 0.5) for name, probability in (usual | probabilities).items()}


def verdict(
    geometry: LungGeometry | None = GOOD, two_levels: float = 0.3, limits: GateLimits = LIMITS, **probabilities: float
) -> Verdict:
    return judge(facts(**probabilities), geometry, two_levels, limits)


def refused(found: Verdict) -> RefusalReason | None:
    return found.refusal.reason if found.refusal else None


def test_a_good_film_is_taken_without_a_remark() -> None:
    assert verdict() == Verdict(None, ())


def test_the_facts_are_those_of_the_network_in_its_order() -> None:
    assert tuple(facts()) == FACTS


@pytest.mark.parametrize(("probability", "taken"), [(0.4999, False), (0.5, True), (1.0, True)])
def test_a_picture_is_frontal_from_the_threshold_on(probability: float, taken: bool) -> None:
    found = verdict(frontal=probability)

    assert refused(found) == (None if taken else NO_FILM)


def test_a_refusal_names_the_rule_the_value_and_the_bound() -> None:
    found = verdict(frontal=0.02)

    assert found.refusal is not None
    assert found.refusal.detail == "the probability of a frontal film is 0.02; 0.50 or more expected"
    assert found.flags == (GateFlag.NOT_A_CHEST_RADIOGRAPH,)


@pytest.mark.parametrize(
    ("measure", "limit", "good", "bad", "reason"),
    [
        ("share", "min_lung_share", 0.1, 0.099, NO_FILM),
        ("share", "max_lung_share", 0.6, 0.601, NO_FILM),
        ("aspect", "min_aspect", 0.7, 0.699, NO_FILM),
        ("aspect", "max_aspect", 2.0, 2.001, NO_FILM),
        ("offset", "max_offset", 0.4, 0.401, NO_FILM),
        ("certainty", "min_certainty", 0.8, 0.799, NO_FILM),
        ("balance", "min_balance", 0.3, 0.299, LATERAL),
        ("overlap", "max_overlap", 0.4, 0.401, LATERAL),
    ],
)
def test_lungs_that_lie_beyond_a_bound_are_refused(
    measure: str, limit: str, good: float, bad: float, reason: RefusalReason
) -> None:
    def lying(value: float) -> LungGeometry:
        changed: dict[str, Any] = {measure: value}  # Any: the measure's name is a parameter
        return replace(GOOD, **changed)

    assert refused(verdict(lying(good))) is None
    found = verdict(lying(bad))
    assert refused(found) is reason
    assert found.refusal is not None
    assert f"is {bad:.2f}; {getattr(LIMITS, limit):.2f}" in found.refusal.detail
    off: dict[str, Any] = {limit: None}  # Any: as above
    assert refused(verdict(lying(bad), limits=replace(LIMITS, **off))) is None


@pytest.mark.parametrize("geometry", [None, replace(GOOD, balance=0.0)])
def test_without_both_lungs_a_picture_is_no_chest_film(geometry: LungGeometry | None) -> None:
    found = verdict(geometry, limits=GateLimits())

    assert refused(found) is NO_FILM
    assert found.flags == (GateFlag.LUNGS_NOT_FOUND, GateFlag.NOT_A_CHEST_RADIOGRAPH)


@pytest.mark.parametrize(("change", "reason"), [({"overlap": 0.9}, LATERAL), ({"share": 0.01}, NO_FILM), ({}, NO_FILM)])
def test_a_picture_that_is_not_frontal_is_lateral_if_its_lungs_lie_like_that(
    change: dict[str, float], reason: RefusalReason
) -> None:
    found = verdict(replace(GOOD, **change), frontal=0.1)

    assert refused(found) is reason
    assert found.refusal is not None
    assert found.refusal.detail.startswith("the probability of a frontal film is 0.10")


def test_a_picture_without_lungs_that_is_not_frontal_is_no_chest_film() -> None:
    assert verdict(None, frontal=0.1).flags == (GateFlag.LUNGS_NOT_FOUND, GateFlag.NOT_A_CHEST_RADIOGRAPH)


@pytest.mark.parametrize(("share", "taken"), [(0.8, True), (0.801, False)])
def test_a_picture_of_two_grey_levels_has_no_contrast(share: float, taken: bool) -> None:
    found = verdict(two_levels=share, frontal=0.99 if taken else 0.0)

    assert refused(found) == (None if taken else BLANK)
    assert (GateFlag.LOW_CONTRAST in found.flags) is not taken


def test_without_limits_only_the_facts_and_the_lungs_count() -> None:
    wild = LungGeometry(0.001, 0.001, 1.0, 9.0, 1.0, 0.5, 1.0)

    assert verdict(wild, 1.0, GateLimits()) == Verdict(None, ())


@pytest.mark.parametrize("name", FACTS[1:])
def test_a_fact_that_holds_is_a_flag_and_refuses_nothing(name: str) -> None:
    assert judge(facts(**{name: 0.5}), GOOD, 0.3, LIMITS) == Verdict(None, (GateFlag(name),))
    assert judge(facts(**{name: 0.49}), GOOD, 0.3, LIMITS) == Verdict(None, ())


@pytest.mark.parametrize(("contact", "cropped"), [(0.2, False), (0.21, True)])
def test_lungs_at_the_films_edge_are_cropped(contact: float, cropped: bool) -> None:
    assert verdict(replace(GOOD, edge_contact=contact)).flags == ((GateFlag.CROPPED,) if cropped else ())


def test_every_refusal_stands_among_the_flags_for_answers_that_are_forced() -> None:
    assert verdict(two_levels=1.0).flags == (GateFlag.LOW_CONTRAST,)
    assert verdict(replace(GOOD, overlap=0.9)).flags == (GateFlag.LATERAL_VIEW,)
    assert verdict(frontal=0.0, inverted=0.9).flags == (GateFlag.INVERTED, GateFlag.NOT_A_CHEST_RADIOGRAPH)


# --- limits -----------------------------------------------------------------------------------------------------------


def test_limits_are_read_by_their_names() -> None:
    entries = {each.name: 0.5 for each in fields(GateLimits)}

    assert GateLimits.of(entries) == GateLimits(*[0.5] * len(entries))
    assert GateLimits.of({}) == GateLimits()


def test_an_unknown_limit_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"knows no min_lungs; known: min_lung_share, "):
        GateLimits.of({"min_lungs": 0.1})


@pytest.mark.parametrize("value", [-0.01, float("nan"), float("inf")])
def test_a_limit_that_is_no_number_of_zero_or_more_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="max_offset"):
        GateLimits(max_offset=value)


@pytest.mark.parametrize("ends", [("min_lung_share", "max_lung_share"), ("min_aspect", "max_aspect")])
def test_bounds_that_leave_nothing_between_them_are_refused(ends: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="nothing between"):
        GateLimits.of({ends[0]: 0.6, ends[1]: 0.5})
    assert GateLimits.of({ends[0]: 0.6}) != GateLimits.of({ends[1]: 0.5})


# --- the picture itself -----------------------------------------------------------------------------------------------


def test_a_blank_picture_is_of_one_level() -> None:
    assert two_level_share(np.full((80, 90), 7, np.uint8)) == 1.0


def test_a_page_of_text_is_of_two_levels_and_a_film_is_not() -> None:
    page = np.full((300, 200), 250, np.uint8)
    page[::10, 20:180] = 5

    assert two_level_share(page) == 1.0
    assert two_level_share(chest_film(300, 280)) < 0.6


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_even_grey_lies_evenly_on_all_levels(kind: type[np.uint8] | type[np.uint16]) -> None:
    ramp: NDArray[Any] = np.linspace(0, 255, 256 * 256).reshape(256, 256).astype(kind)  # Any: either of the two

    assert two_level_share(ramp) == pytest.approx(2 / 32, abs=0.02)


@LAW
@given(gain=st.integers(1, 5), offset=st.integers(0, 9000), seed=st.integers(0, 99))
def test_contrast_and_brightness_change_no_share(gain: int, offset: int, seed: int) -> None:
    film = chest_film(90, 80, seed=seed).astype(np.uint16)

    changed = (film * np.uint16(gain) + np.uint16(offset)).astype(np.uint16)

    assert two_level_share(changed) == pytest.approx(two_level_share(film), abs=0.01)


def test_a_large_picture_is_sampled_and_not_changed() -> None:
    film = chest_film(1500, 1100)
    film.setflags(write=False)

    assert two_level_share(film) == pytest.approx(two_level_share(film[::3, ::3]), abs=0.02)


@pytest.mark.parametrize(("window", "enlarged"), [(None, False), ((0, 0, 224, 200), False), ((10, 10, 233, 200), True)])
def test_a_part_smaller_than_the_input_is_enlarged(window: Window | None, enlarged: bool) -> None:
    assert is_enlarged(place(300, 280, 224, window)) is enlarged


# --- doubts -----------------------------------------------------------------------------------------------------------


def test_a_network_that_does_not_say_whom_it_was_measured_on_does_not_doubt_children() -> None:
    assert doubts(["paediatric"], None) == ()
    assert doubts(["paediatric"], ("adult", "paediatric")) == ()
    assert doubts(["paediatric"], ("adult",)) == ("paediatric",)


def test_what_nothing_was_measured_on_is_doubted_and_what_only_needs_care_is_not() -> None:
    found = doubts([str(flag) for flag in GateFlag] + ["voi_window_missing"], None)

    assert set(found) == {str(flag) for flag in GateFlag} - {"paediatric", "cropped", "low_resolution"}
    assert doubts((), ("adult",)) == ()
