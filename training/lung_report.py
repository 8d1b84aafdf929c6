"""How well the lung network and the input gate do: masks, boxes, facts, refusals."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from tqdm import tqdm

from app.domain.calibration import sigmoid
from app.domain.errors import ImageRefusedError
from app.domain.input_gate import FACTS, Fact, GateLimits, judge, two_level_share
from app.domain.lung_geometry import LungGeometry, lung_geometry
from app.domain.lungs import SIDES, box_of
from app.domain.preprocessing import Rectangle
from training.datasets import Film, read_grey
from training.lung_films import LungReference, lung_masks
from training.lung_finder import LungFinder
from training.lung_network import LUNGS
from training.lung_train import dice

ROOM: Final = 0.5
"""Limits of the geometry leave so much room beyond what validation films show, as a share of their spread."""
_MEASURES: Final = {
    "min_lung_share": ("share", min),
    "max_lung_share": ("share", max),
    "min_aspect": ("aspect", min),
    "max_aspect": ("aspect", max),
    "max_offset": ("offset", max),
    "min_certainty": ("certainty", min),
    "min_balance": ("balance", min),
    "max_overlap": ("overlap", max),
}
_CROPPED_QUANTILE: Final = 0.95
_FALSE_FLAGS: Final = 0.01


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MaskReport(_Part):
    """Agreement with drawn masks and boxes; medians with the 5th and 95th percentile over films."""

    films_with_masks: int
    dice: dict[str, tuple[float, float, float] | None]
    films_with_boxes: int
    box_iou: dict[str, tuple[float, float, float] | None]


class FactReport(_Part):
    """One fact at its threshold: share of films that have it and are flagged, and of those that do not and are."""

    threshold: float
    films_with: int
    flagged_with: float | None
    films_without: int
    flagged_without: float | None


class GateReport(_Part):
    """What the gate refuses: true films by source, and pictures that are no films by kind."""

    films: int
    refused_films: int
    refused_by_source: dict[str, tuple[int, int]]
    refused_codes: dict[str, int]
    non_films: int
    refused_non_films: int
    non_film_codes: dict[str, int]
    missed_non_films: tuple[str, ...]
    flags: dict[str, int]


class Looked(_Part):
    """What the network says of one picture, and the measures of the lungs; None where there is nothing on it."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    facts: dict[str, float]
    geometry: LungGeometry | None
    two_levels: float


def look_at(grey: NDArray[np.uint8], finder: LungFinder) -> Looked | None:
    """Look at one picture; None where it is refused for want of contrast."""
    try:
        lungs, facts = finder.look(grey)
    except ImageRefusedError:
        return None
    return Looked(facts=dict(facts), geometry=lung_geometry(lungs), two_levels=two_level_share(grey))


def limits_from(films: Sequence[Looked], others: Sequence[Looked | None]) -> tuple[dict[str, float], dict[str, float]]:
    """Choose the thresholds of the facts (as logits) and the limits of the geometry.

    ``frontal`` lies midway between the lowest validation film and the highest tuning picture that is no film, if they
    do not overlap, else at the films' first percentile. The others lie where one upright, uninverted adult film in a
    hundred is flagged, but not below even odds. Geometry: the range of the validation films with `ROOM` beyond.

    Returns
    -------
    dict
        Logit thresholds by fact; ``paediatric`` is chosen by `threshold_of_children`.
    dict
        Fields of `app.domain.input_gate.GateLimits`.

    Raises
    ------
    ValueError
        If both lungs were found on no film.
    """
    frontal = np.array([film.facts["frontal"] for film in films])
    highest = max((other.facts["frontal"] for other in others if other is not None), default=-np.inf)
    apart = np.isfinite(highest) and highest < frontal.min()
    thresholds = {"frontal": float((frontal.min() + highest) / 2) if apart else float(np.quantile(frontal, 0.01))}
    for fact in ("inverted", "rotated"):
        values = np.array([film.facts[fact] for film in films])
        thresholds[fact] = max(0.0, float(np.quantile(values, 1 - _FALSE_FLAGS)))
    limits: dict[str, float] = {}
    geometries = [asdict(film.geometry) for film in films if film.geometry is not None]
    if not geometries:
        raise ValueError(f"both lungs were found on none of {len(films)} validation films: the network is not trained")
    for name, (measure, extreme) in _MEASURES.items():
        values = np.array([geometry[measure] for geometry in geometries])
        most, least = float(values.max()), float(values.min())
        room = ROOM * (most - least)
        limits[name] = max(0.0, least - room) if extreme is min else most + room
    limits["max_two_level_share"] = min(1.0, max(film.two_levels for film in films) + ROOM / 2)
    limits["max_edge_contact"] = float(
        np.quantile([geometry["edge_contact"] for geometry in geometries], _CROPPED_QUANTILE)
    )
    return thresholds, limits


def threshold_of_children(children: Iterable[float], adults: Iterable[float]) -> float:
    """Choose the logit from which on a film counts as a child's: where one adult in a hundred does, at least even."""
    values = np.array(list(adults))
    return max(0.0, float(np.quantile(values, 1 - _FALSE_FLAGS))) if values.size and list(children) else 0.0


def gate_report(
    films: Mapping[str, Sequence[Looked | None]],
    others: Mapping[str, Looked | None],
    thresholds: Mapping[str, float],
    limits: Mapping[str, float],
) -> GateReport:
    """Judge true films (by source) and other pictures (by name) with the gate itself."""
    bounds = GateLimits.of(limits)

    def code_and_flags(looked: Looked | None) -> tuple[str | None, tuple[str, ...]]:
        if looked is None:
            return "low_contrast", ()
        facts = {
            name: Fact(float(sigmoid(np.array(looked.facts[name]))), float(sigmoid(np.array(thresholds[name]))))
            for name in FACTS
        }
        verdict = judge(facts, looked.geometry, looked.two_levels, bounds)
        return (verdict.refusal.reason.value if verdict.refusal else None), tuple(str(flag) for flag in verdict.flags)

    by_source, codes, flags = {}, Counter[str](), Counter[str]()
    for source, looked in films.items():
        said = [code_and_flags(one) for one in looked]
        by_source[source] = (sum(code is not None for code, _ in said), len(said))
        codes.update(code for code, _ in said if code is not None)
        flags.update(flag for code, several in said if code is None for flag in several)
    told = {name: code_and_flags(one)[0] for name, one in others.items()}
    return GateReport(
        films=sum(count for _, count in by_source.values()),
        refused_films=sum(refused for refused, _ in by_source.values()),
        refused_by_source=by_source,
        refused_codes=dict(codes),
        non_films=len(told),
        refused_non_films=sum(code is not None for code in told.values()),
        non_film_codes=dict(Counter(code for code in told.values() if code is not None)),
        missed_non_films=tuple(sorted(name for name, code in told.items() if code is None)),
        flags=dict(flags),
    )


def fact_reports(films: Sequence[Film], finder: LungFinder, thresholds: Mapping[str, float]) -> dict[str, FactReport]:
    """Measure the facts: inverted and turned copies of each film, and children as the manifest names them."""
    values: dict[tuple[str, bool], list[float]] = defaultdict(list)
    for film in tqdm(films, "facts", unit="film", leave=False):
        grey = read_grey(film.path)
        upright = finder.looked(film)[1]
        for fact in ("inverted", "rotated"):
            values[fact, False].append(upright[fact])
        values["inverted", True].append(finder.look(np.bitwise_not(grey))[1]["inverted"])
        for quarters in (1, 2, 3):
            turned = np.ascontiguousarray(np.rot90(grey, quarters))
            values["rotated", True].append(finder.look(turned)[1]["rotated"])
        if film.paediatric is not None:
            values["paediatric", film.paediatric].append(upright["paediatric"])
    reports = {}
    for fact in FACTS[1:]:
        with_it, without = values[fact, True], values[fact, False]
        reports[fact] = FactReport(
            threshold=float(sigmoid(np.array(thresholds[fact]))),
            films_with=len(with_it),
            flagged_with=_share(with_it, thresholds[fact]),
            films_without=len(without),
            flagged_without=_share(without, thresholds[fact]),
        )
    return reports


def _share(values: Sequence[float], threshold: float) -> float | None:
    return float(np.mean([value >= threshold for value in values])) if values else None


def mask_report(films: Sequence[Film], references: Mapping[Path, LungReference], finder: LungFinder) -> MaskReport:
    """Compare the lungs that were found with masks and boxes that people drew, on the film's own pixels."""
    coefficients: dict[str, list[float]] = defaultdict(list)
    overlaps: dict[str, list[float]] = defaultdict(list)
    masked = boxed = 0
    for film in films:
        reference = references.get(film.path)
        if reference is None:
            continue
        fields = finder.of(film)
        height, width = fields.film_height, fields.film_width
        found = fields.masks(height, width)
        drawn = lung_masks(film, reference)
        if drawn is not None:
            masked += 1
            for side, one, other in zip(SIDES, found, drawn, strict=True):
                coefficients[side].append(dice(one, other))
            coefficients["both"].append(dice(found[0] | found[1], drawn[0] | drawn[1]))
        if reference.boxes:
            boxed += 1
            for side, lung, mask in zip(SIDES, LUNGS, found, strict=True):
                if lung in reference.boxes:
                    overlaps[side].append(box_iou(box_of(mask), reference.boxes[lung], width, height))
    return MaskReport(
        films_with_masks=masked,
        dice={name: _spread(coefficients[name]) for name in (*SIDES, "both")},
        films_with_boxes=boxed,
        box_iou={name: _spread(overlaps[name]) for name in SIDES},
    )


def box_iou(found: tuple[int, int, int, int] | None, drawn: Rectangle, width: int, height: int) -> float:
    """Intersection over union of a box in pixels and one in shares of the film; 0 where none was found."""
    if found is None:
        return 0.0
    other = (drawn[0] * width, drawn[1] * height, drawn[2] * width, drawn[3] * height)
    across = max(0.0, min(found[2], other[2]) - max(found[0], other[0]))
    down = max(0.0, min(found[3], other[3]) - max(found[1], other[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (found, other)]
    return across * down / max(sum(areas) - across * down, 1e-9)


def _spread(values: Sequence[float]) -> tuple[float, float, float] | None:
    if not values:
        return None
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    return float(middle), float(low), float(high)


def read_folder(folder: Path, finder: LungFinder) -> dict[str, Looked | None]:
    """Look at every PNG and JPEG of a folder, by file name."""
    paths = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in (".png", ".jpg", ".jpeg")]
    return {path.name: look_at(read_grey(path), finder) for path in paths}
