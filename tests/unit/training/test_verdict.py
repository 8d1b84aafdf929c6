"""Criteria: what is kept, what is not, and what was never measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.inference.manifest import CalibrationEntry, PrecisionEntry
from training.audit.blackout import BlackoutRow
from training.audit.calibration_error import CALIBRATED_FOR, CalibrationQuality, CalibrationRow, LabelCalibrationQuality
from training.audit.criteria import (
    blackout_criteria,
    calibration_criteria,
    discrimination_criteria,
    identity_criteria,
    kept_share,
    label_criteria,
    outside_criteria,
    robustness_criteria,
)
from training.audit.identity import Identity
from training.audit.verdict import at_least, at_most, verdict_of
from training.evaluate import Measured


def _row(untouched: float, only_lungs: float, without: float, films: int = 40) -> BlackoutRow:
    def value(of: float) -> Measured:
        return Measured(value=of, low=of - 0.1, high=of + 0.1)

    return BlackoutRow(
        films=films,
        patients=films,
        positives=films // 2,
        negatives=films // 2,
        untouched=value(untouched),
        lungs_blacked_out=value(without),
        only_lungs=value(only_lungs),
    )


@given(value=st.floats(-10, 10), limit=st.floats(-10, 10))
def test_a_bound_is_kept_up_to_and_including_itself(value: float, limit: float) -> None:
    assert at_most("a", "?", value, limit).passed == (value <= limit)
    assert at_least("a", "?", value, limit).passed == (value >= limit)
    assert at_most("a", "?", limit, limit).passed
    assert at_least("a", "?", limit, limit).passed


def test_a_verdict_fails_by_one_criterion_and_names_it() -> None:
    good, bad = at_most("good", "?", 0.0, 1.0), at_least("bad", "?", 0.0, 1.0)

    assert verdict_of([good]).passed
    assert verdict_of([good, bad]).failed == ("bad",)
    assert not verdict_of([good, bad]).passed
    assert not verdict_of([]).passed


def test_what_was_not_measured_has_not_passed() -> None:
    found = list(label_criteria("covid19", {}, None, None, None, is_expert=True))

    assert not any(criterion.passed for criterion in found)
    assert all(criterion.measured is None for criterion in found)
    names = [criterion.name for criterion in found]
    assert len(names) == len(set(names)) == 11
    assert {"addk_outside_lungs", "only_lungs", "calibration", "maps_hold"} <= set(names)


def test_the_criteria_of_a_member_are_named_by_label_and_have_no_divergence() -> None:
    names = [criterion.name for criterion in label_criteria("viral", {}, None, None, None, is_expert=False)]

    assert all(name.endswith(":viral") for name in names)
    assert "addk_outside_lungs:viral" not in names


def test_the_worst_subgroup_decides_about_the_blackout() -> None:
    rows = {
        "pooled": _row(0.95, 0.9, 0.9),
        "without kids": _row(0.9, 0.86, 0.55),
        "source alpha": _row(0.8, 0.8, 0.45),
        "source beta": _row(0.8, 0.6, 0.7),
        "source gamma": _row(0.8, 0.1, 1.0, films=4),
    }

    found = {criterion.name: criterion for criterion in blackout_criteria(rows, "")}

    across, within = found["lungs_blacked_out"], found["lungs_blacked_out_within_source"]
    assert across.measured == pytest.approx(0.05)
    assert within.measured == pytest.approx(0.2)
    assert (across.passed, across.remark) == (True, "without kids")
    assert (within.passed, within.remark) == (False, "source beta")
    assert found["only_lungs"].measured == pytest.approx(0.9)
    assert found["only_lungs_within_source"].measured == pytest.approx(1 / 3)


def test_what_is_at_chance_to_begin_with_keeps_nothing() -> None:
    assert kept_share(_row(0.5, 0.9, 0.5)) is None
    assert kept_share(None) is None
    assert kept_share(_row(0.9, 0.9, 0.5)) == pytest.approx(1.0)


def test_beyond_rounding_the_identity_fails() -> None:
    def asked(identity: float, gates: dict[str, float]) -> dict[str, bool]:
        found = Identity(
            parity={"logits": 1e-6},
            parity_films=2,
            identity=identity,
            identity_films=9,
            golden=1e-7,
            precision=PrecisionEntry(storage="fp16", gates=gates),
        )
        return {criterion.name: criterion.passed for criterion in identity_criteria(found)}

    assert asked(1e-6, {"max_auroc_change": 1e-5}) == {"identity": True, "golden": True, "precision": True}
    assert asked(1e-3, {"max_auroc_change": 1e-2}) == {"identity": False, "golden": True, "precision": False}


def test_a_calibration_error_that_chance_explains_is_kept() -> None:
    def asked(error: float, by_chance: float) -> bool:
        row = CalibrationRow(
            films=60,
            error=error,
            error_by_chance=by_chance,
            brier=None,
            log_loss=None,
            error_uncalibrated=None,
            brier_uncalibrated=None,
            log_loss_uncalibrated=None,
        )
        quality = LabelCalibrationQuality(calibration=CalibrationEntry(), subgroups={CALIBRATED_FOR: row}, bins=())
        (criterion,) = calibration_criteria(CalibrationQuality(fitted_here=False, labels={"a": quality}), "a", "")
        return criterion.passed

    assert asked(0.09, 0.1)
    assert not asked(0.11, 0.1)
    assert asked(0.05, 0.01)
    assert not asked(0.06, 0.01)


def test_single_criteria_without_data_name_what_is_missing() -> None:
    found = [
        *discrimination_criteria({}, None, ""),
        *outside_criteria(None, "", is_expert=True),
        *robustness_criteria(None, "a", ""),
    ]

    assert all(criterion.remark.startswith("not measured") for criterion in found)
