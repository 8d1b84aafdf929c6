"""The criteria of a release, and why each limit is where it is."""

from collections.abc import Iterator, Mapping
from typing import Final

from app.domain.subgroups import POOLED
from training.audit.blackout import BlackoutRow
from training.audit.calibration_error import CALIBRATED_FOR, CalibrationQuality
from training.audit.identity import Identity
from training.audit.outside_lungs import OutsideLungs, ShareOutside
from training.audit.robustness import Robustness
from training.audit.shortcut_audit import FEWEST_OF_A_CLASS, LabelShortcuts, Shortcuts
from training.audit.verdict import Criterion, at_least, at_most
from training.evaluate import SubgroupResult

IDENTITY_LIMIT: Final = 1e-4
"""Single precision: more is a wrong graph."""
PRECISION_LIMIT: Final = 1e-3
"""A change of AUROC nobody could measure on these data."""
CHANCE: Final = 0.5
CHANCE_DISTANCE: Final = 0.10
"""How far from 0.5 the AUROC may be without the lungs; outlines and size of the lungs are still visible then."""
KEPT_SHARE: Final = 0.80
"""How much of AUROC - 0.5 must be left with nothing but the lungs."""
OUTSIDE_LIMIT: Final = 0.40
"""Share of the evidence outside the lungs: cells of the map are several centimetres wide, and lungs have an edge."""
CALIBRATION_LIMIT: Final = 0.05
"""Calibration error, unless chance alone makes more of it on so few films."""
FLIP_LIMIT: Final = 0.05
CORRELATION_LIMIT: Final = 0.90
NOT_MEASURED: Final = "not measured"


def identity_criteria(identity: Identity | None) -> Iterator[Criterion]:
    """Ask whether the file is the network, and the maps add up."""
    question = "Do ONNX Runtime and PyTorch agree, and do map and bias add up to the answer?"
    worst = max(*identity.parity.values(), identity.identity) if identity is not None else None
    yield at_most("identity", question, worst, IDENTITY_LIMIT)
    if identity is not None and identity.golden is not None:
        yield at_most("golden", "Are the stored golden answers repeated?", identity.golden, IDENTITY_LIMIT)
    if identity is not None:
        change = identity.precision.gates.get("max_auroc_change", 0.0) if identity.precision.storage == "fp16" else 0.0
        yield at_most(
            "precision",
            "Does storing the weights in half precision change the AUROC?",
            change,
            PRECISION_LIMIT,
            f"stored as {identity.precision.storage}",
        )


def mixed_sources(rows: Mapping[str, BlackoutRow] | Mapping[str, SubgroupResult]) -> list[str]:
    """Sources with at least ten films of each class: there the source does not give the label away."""
    return [
        name
        for name, row in rows.items()
        if name.startswith("source ") and min(row.positives, row.negatives) >= FEWEST_OF_A_CLASS
    ]


def widest(rows: Mapping[str, object]) -> str:
    """Name the widest subgroup that is not won by telling children from adults."""
    return next((name for name in rows if name.startswith("without ")), POOLED)


def discrimination_criteria(
    rows: Mapping[str, SubgroupResult], shortcuts: LabelShortcuts | None, suffix: str
) -> Iterator[Criterion]:
    """Ask whether the network tells the classes apart where the source does not."""
    mixed = mixed_sources(rows)
    lows = {name: rows[name].auroc.low for name in mixed}
    known = {name: low for name, low in lows.items() if low is not None}
    worst = min(known, key=lambda name: known[name]) if known else None
    yield at_least(
        f"within_source{suffix}",
        "Is the AUROC within every source above chance (lower end of its 95 % interval)?",
        known[worst] if worst is not None else None,
        CHANCE,
        worst or f"{NOT_MEASURED}: no source holds {FEWEST_OF_A_CLASS} films of each class",
    )
    gains = {}
    cues = shortcuts.trivial_cues if shortcuts is not None else None
    for name in mixed:
        mine, theirs = rows[name].auroc.value, cues.subgroups[name].auroc.value if cues is not None else None
        if mine is not None and theirs is not None:
            gains[name] = mine - theirs
    least = min(gains, key=lambda name: gains[name]) if gains else None
    yield at_least(
        f"beats_trivial_cues{suffix}",
        "Is the AUROC within every source higher than that of a model that sees no anatomy (difference)?",
        gains[least] if least is not None else None,
        0.0,
        least or NOT_MEASURED,
    )


def blackout_criteria(blackout: Mapping[str, BlackoutRow] | None, suffix: str) -> Iterator[Criterion]:
    """Ask whether the score comes from the lungs."""
    rows = blackout or {}
    chosen = {f"lungs_blacked_out{suffix}": [widest(rows)] if rows else []}
    chosen[f"lungs_blacked_out_within_source{suffix}"] = mixed_sources(rows)
    for name, subgroups in chosen.items():
        away = {
            subgroup: abs(value - CHANCE)
            for subgroup in subgroups
            if subgroup in rows and (value := rows[subgroup].lungs_blacked_out.value) is not None
        }
        worst = max(away, key=lambda subgroup: away[subgroup]) if away else None
        yield at_most(
            name,
            "How far from chance is the AUROC with the lungs blacked out?",
            away[worst] if worst is not None else None,
            CHANCE_DISTANCE,
            worst or NOT_MEASURED,
        )
    chosen = {f"only_lungs{suffix}": [widest(rows)] if rows else []}
    chosen[f"only_lungs_within_source{suffix}"] = mixed_sources(rows)
    for name, subgroups in chosen.items():
        kept = {subgroup: share for subgroup in subgroups if (share := kept_share(rows.get(subgroup))) is not None}
        worst = min(kept, key=lambda subgroup: kept[subgroup]) if kept else None
        yield at_least(
            name,
            "How much of AUROC - 0.5 is left with everything but the lungs blacked out?",
            kept[worst] if worst is not None else None,
            KEPT_SHARE,
            worst or NOT_MEASURED,
        )


def kept_share(row: BlackoutRow | None) -> float | None:
    """Share of the discrimination that nothing but the lungs gives; None where there is none to begin with."""
    if row is None or row.untouched.value is None or row.only_lungs.value is None or row.untouched.value <= CHANCE:
        return None
    return (row.only_lungs.value - CHANCE) / (row.untouched.value - CHANCE)


def outside_criteria(outside: OutsideLungs | None, suffix: str, *, is_expert: bool) -> Iterator[Criterion]:
    """Ask whether the maps lie in the lungs."""

    def share(maps: Mapping[str, ShareOutside] | None) -> float | None:
        return maps["positive"].mean.value if maps is not None else None

    question = "Which share of the {map}'s mass lies outside the lungs (mean over positive films)?"
    cam = share(outside.cam) if outside is not None else None
    yield at_most(
        f"cam_outside_lungs{suffix}",
        question.format(map="class activation map"),
        cam,
        OUTSIDE_LIMIT,
        "" if cam is not None else NOT_MEASURED,
    )
    if is_expert:
        addk = share(outside.addk) if outside is not None else None
        yield at_most(
            f"addk_outside_lungs{suffix}",
            question.format(map="directed divergence"),
            addk,
            OUTSIDE_LIMIT,
            "" if addk is not None else f"{NOT_MEASURED}: no partner",
        )


def calibration_criteria(calibration: CalibrationQuality | None, label: str, suffix: str) -> Iterator[Criterion]:
    """Ask whether probabilities mean what they say."""
    entry = calibration.labels.get(label) if calibration is not None else None
    row = entry.subgroups.get(CALIBRATED_FOR) if entry is not None else None
    by_chance = row.error_by_chance if row is not None and row.error_by_chance is not None else 0.0
    yield at_most(
        f"calibration{suffix}",
        "How large is the calibration error (15 bins of equal mass)?",
        row.error if row is not None else None,
        max(CALIBRATION_LIMIT, by_chance),
        f"over {row.films} films; chance alone gives up to {by_chance:.3f}" if row is not None else NOT_MEASURED,
    )


def robustness_criteria(robustness: Robustness | None, label: str, suffix: str) -> Iterator[Criterion]:
    """Ask whether small changes leave decision and map alone."""
    changes = robustness.perturbations.get(label, {}) if robustness is not None else {}
    flips = {name: change.flips for name, change in changes.items() if change.flips is not None}
    worst = max(flips, key=lambda name: flips[name]) if flips else None
    yield at_most(
        f"decisions_hold{suffix}",
        "Which share of the decisions flips under a small perturbation?",
        flips[worst] if worst is not None else None,
        FLIP_LIMIT,
        worst or NOT_MEASURED,
    )
    maps = {name: change.map_correlation for name, change in changes.items() if change.map_correlation is not None}
    least = min(maps, key=lambda name: maps[name]) if maps else None
    yield at_least(
        f"maps_hold{suffix}",
        "How well does the map under a small perturbation correlate with the untouched one (median)?",
        maps[least] if least is not None else None,
        CORRELATION_LIMIT,
        least or NOT_MEASURED,
    )


def label_criteria(
    label: str,
    rows: Mapping[str, SubgroupResult],
    shortcuts: Shortcuts | None,
    calibration: CalibrationQuality | None,
    robustness: Robustness | None,
    *,
    is_expert: bool,
) -> Iterator[Criterion]:
    """Ask everything about one label; the names of a member's criteria end with the label."""
    suffix = "" if is_expert else f":{label}"
    mine = shortcuts.labels.get(label) if shortcuts is not None else None
    yield from discrimination_criteria(rows, mine, suffix)
    yield from blackout_criteria(mine.blackout if mine is not None else None, suffix)
    yield from outside_criteria(mine.outside_lungs if mine is not None else None, suffix, is_expert=is_expert)
    yield from calibration_criteria(calibration, label, suffix)
    yield from robustness_criteria(robustness, label, suffix)
