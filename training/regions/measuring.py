"""What a trained region network is worth on prepared films: its classes, its regions, and where its own map lies."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from app.domain.activation_map import lay_over_film, positive_share
from app.domain.arrays import FloatMap, HeatMap
from app.domain.discrimination import auroc
from app.domain.predicted_region import agreement, area_share, intersection_over_union, region_flags, region_mask
from app.domain.preprocessing import Placement
from training.audit.pointing import Mask, point
from training.networks.saliency import SaliencyNetwork
from training.regions.examples import MeasuredExample
from training.regions.looking import film_region, look_at

_TWO: Final = 2


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Marks(_Part):
    """Map and region against one mask.

    Attributes
    ----------
    share
        Of the film that the mask covers: the energy of a map that is the same everywhere.
    map_hit, map_energy, map_iou
        Of the class's map: its maximum is inside; share of its heat inside; overlap after Otsu's threshold.
    region_iou
        Overlap of the predicted region, cut at even odds.
    """

    share: float
    map_hit: float
    map_energy: float
    map_iou: float
    region_iou: float


class MeasuredFilm(_Part):
    """One film's answers.

    Attributes
    ----------
    logits
        Of the classes.
    outline, part
        Against what was drawn, and against what decides the class; None where that is not known.
    area
        Share of the film in the predicted region.
    flags
        `app.domain.predicted_region.region_flags`.
    map_entropy
        Of the class's positive map as a distribution over its cells, in nats; None where nothing is positive.
    agreement_iou, agreement_energy, agreement_correlation
        Of region and map, see `app.domain.predicted_region.Agreement`.
    """

    group: str
    label: int
    logits: tuple[float, ...]
    is_clear: bool
    outline: Marks | None
    part: Marks | None
    area: float
    flags: tuple[str, ...]
    map_entropy: float | None
    agreement_iou: float | None
    agreement_energy: float | None
    agreement_correlation: float | None


class MeasuredRun(_Part):
    """One trained network on one part; what it is called in the tables, and the seed."""

    row: str
    seed: int
    classes: tuple[str, ...]
    part: str
    outlines_shown: int
    seconds: float
    films: tuple[MeasuredFilm, ...]

    def write(self, path: Path) -> None:
        """Write it as JSON, at once or not at all."""
        unfinished = path.with_name(f"{path.name}.part")
        unfinished.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        unfinished.replace(path)


def measure(network: SaliencyNetwork, examples: Sequence[MeasuredExample]) -> tuple[MeasuredFilm, ...]:
    """Measure a network on prepared films, each on its own pixels.

    The class's map is that of the target (of two classes) or of the film's true class, rectified, as in `look_at`.
    """
    looked = look_at(network, examples)
    return tuple(
        _measured(example, logits, map_.astype(np.float64), region)
        for example, logits, map_, region in zip(examples, looked.logits, looked.maps, looked.regions, strict=True)
    )


def _measured(
    example: MeasuredExample, logits: NDArray[np.float32], map_: FloatMap, region: NDArray[np.float32]
) -> MeasuredFilm:
    on_film = film_region(region, example.placement)
    heat = over_film(positive_share(map_), example.placement)
    agreed, share = agreement(on_film, heat), area_share(on_film)
    return MeasuredFilm(
        group=example.group,
        label=example.label,
        logits=tuple(float(logit) for logit in logits),
        is_clear=example.is_clear,
        outline=_marks(heat, on_film, example.outline),
        part=_marks(heat, on_film, example.part),
        area=share,
        flags=region_flags(share),
        map_entropy=entropy_nats(positive_share(map_)),
        agreement_iou=agreed.iou,
        agreement_energy=agreed.energy_inside,
        agreement_correlation=agreed.correlation,
    )


def over_film(display: FloatMap, placement: Placement) -> HeatMap:
    """Lay a map on its own grid over the film's pixels, ``(H, W)``."""
    height, width = placement.film_height, placement.film_width
    return lay_over_film(display, placement.extent, height, width, height, width)


def _marks(heat: HeatMap, region: HeatMap, mask: Mask | None) -> Marks | None:
    if mask is None or not mask.any():
        return None
    pointed = point(heat, mask)
    return Marks(
        share=float(mask.mean()),
        map_hit=pointed.hit,
        map_energy=pointed.energy,
        map_iou=pointed.iou,
        region_iou=intersection_over_union(region_mask(region), mask),
    )


def entropy_nats(heat: FloatMap) -> float | None:
    """Entropy of a map that is at least 0, as a distribution over its cells; None where it is 0 everywhere."""
    total = float(heat.sum())
    if total <= 0.0:
        return None
    shares = heat[heat > 0] / total
    return float(-(shares * np.log(shares)).sum())


def classification(logits: NDArray[np.float32], labels: Sequence[int]) -> dict[str, float]:
    """Accuracy, and AUROC: of the second class of two, else the mean of each class against the rest.

    Parameters
    ----------
    logits
        ``(N, K)``.
    labels
        Class indices.
    """
    truth = np.array(labels)
    found = {"accuracy": float((logits.argmax(axis=1) == truth).mean()) if len(truth) else math.nan}
    two = logits.shape[1] == _TWO
    scores = (logits[:, 1:] - logits[:, :1] if two else logits).astype(np.float64)
    areas = [
        auroc((truth == column + two).astype(np.float64), scores[:, column])
        for column in range(scores.shape[1])
        if 0 < int((truth == column + two).sum()) < len(truth)
    ]
    found["auroc"] = float(np.mean(areas)) if areas else math.nan
    return found
